"""The OpenAPI 3.1 document as pydantic models, one class for each object of the specification (§4.8 of OpenAPI 3.1.1).

Field names and their order are the specification's; unknown fields are kept, since the specification allows extensions (`x-…`)
almost everywhere. Knows nothing of routes. Read `tercel.openapi.document` next for who fills these in.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from importlib.util import find_spec
from inspect import Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import core_schema
from typing_extensions import deprecated as deprecated_since

from tercel.http.log import logger
from tercel.openapi.example import Example as Example

if TYPE_CHECKING or find_spec("email_validator") is not None:
    from pydantic import EmailStr
else:

    class EmailStr(str):
        """Any string: without the `email-validator` package addresses are not checked."""

        @classmethod
        def _validate(cls, input_value: Any, _info: Any) -> str:
            logger.warning(
                "email-validator is not installed, so email addresses are not checked; `pip install email-validator` changes that."
            )
            return str(input_value)

        @classmethod
        def __get_pydantic_core_schema__(
            cls, source: type[Any], handler: Callable[[Any], core_schema.CoreSchema]
        ) -> core_schema.CoreSchema:
            return core_schema.with_info_plain_validator_function(cls._validate)

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Mapping[str, Any], handler: GetJsonSchemaHandler) -> dict[str, Any]:
            return {"type": "string", "format": "email"}


class _SignatureOnDemand:
    """`__signature__` of a model whose validator is not built yet: whoever asks for it has it built."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    def __get__(self, instance: object, owner: type[BaseModel]) -> Signature:
        self.model.model_rebuild()  # puts pydantic's own in this one's place
        return signature(self.model)


class BaseModelWithConfig(BaseModel):
    """An object that may carry fields of its own.

    Validators are built with the first document or security scheme, not at import: all of them together take longer than the rest
    of the framework.
    """

    model_config = ConfigDict(extra="allow", defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = _SignatureOnDemand(cls)  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]


BaseModelWithConfig.__signature__ = _SignatureOnDemand(BaseModelWithConfig)  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]


# -- the document itself -------------------------------------------------------------------------------------------------------


class Contact(BaseModelWithConfig):
    """§4.8.3."""

    name: str | None = None
    url: AnyUrl | None = None
    email: EmailStr | None = None


class License(BaseModelWithConfig):
    """§4.8.4."""

    name: str
    identifier: str | None = None
    url: AnyUrl | None = None


class Info(BaseModelWithConfig):
    """§4.8.2."""

    title: str
    summary: str | None = None
    description: str | None = None
    termsOfService: str | None = None
    contact: Contact | None = None
    license: License | None = None
    version: str


class ServerVariable(BaseModelWithConfig):
    """§4.8.6."""

    enum: Annotated[list[str] | None, Field(min_length=1)] = None
    default: str
    description: str | None = None


class Server(BaseModelWithConfig):
    """§4.8.5. The address may be relative or a template, so any string will do."""

    url: AnyUrl | str
    description: str | None = None
    variables: dict[str, ServerVariable] | None = None


class ExternalDocumentation(BaseModelWithConfig):
    """§4.8.11."""

    description: str | None = None
    url: AnyUrl


class Tag(BaseModelWithConfig):
    """§4.8.22."""

    name: str
    description: str | None = None
    externalDocs: ExternalDocumentation | None = None


class Reference(BaseModel):
    """§4.8.23. It cannot be extended."""

    ref: str = Field(alias="$ref")


# -- schemas -------------------------------------------------------------------------------------------------------------------


class Discriminator(BaseModel):
    """§4.8.25."""

    propertyName: str
    mapping: dict[str, str] | None = None


class XML(BaseModelWithConfig):
    """§4.8.26."""

    name: str | None = None
    namespace: str | None = None
    prefix: str | None = None
    attribute: bool | None = None
    wrapped: bool | None = None


SchemaType = Literal["array", "boolean", "integer", "null", "number", "object", "string"]
_Count = Annotated[int | None, Field(ge=0)]


class Schema(BaseModelWithConfig):
    """§4.8.24: a schema of JSON Schema 2020-12 with OpenAPI's additions."""

    # JSON Schema Core §8: identifiers, references, comments
    schema_: str | None = Field(default=None, alias="$schema")
    vocabulary: str | None = Field(default=None, alias="$vocabulary")
    id: str | None = Field(default=None, alias="$id")
    anchor: str | None = Field(default=None, alias="$anchor")
    dynamicAnchor: str | None = Field(default=None, alias="$dynamicAnchor")
    ref: str | None = Field(default=None, alias="$ref")
    dynamicRef: str | None = Field(default=None, alias="$dynamicRef")
    defs: dict[str, "SchemaOrBool"] | None = Field(default=None, alias="$defs")
    comment: str | None = Field(default=None, alias="$comment")
    # Core §10: applying schemas
    allOf: list["SchemaOrBool"] | None = None
    anyOf: list["SchemaOrBool"] | None = None
    oneOf: list["SchemaOrBool"] | None = None
    not_: Optional["SchemaOrBool"] = Field(default=None, alias="not")
    if_: Optional["SchemaOrBool"] = Field(default=None, alias="if")
    then: Optional["SchemaOrBool"] = None
    else_: Optional["SchemaOrBool"] = Field(default=None, alias="else")
    dependentSchemas: dict[str, "SchemaOrBool"] | None = None
    prefixItems: list["SchemaOrBool"] | None = None
    items: Optional["SchemaOrBool"] = None
    contains: Optional["SchemaOrBool"] = None
    properties: dict[str, "SchemaOrBool"] | None = None
    patternProperties: dict[str, "SchemaOrBool"] | None = None
    additionalProperties: Optional["SchemaOrBool"] = None
    propertyNames: Optional["SchemaOrBool"] = None
    unevaluatedItems: Optional["SchemaOrBool"] = None
    unevaluatedProperties: Optional["SchemaOrBool"] = None
    # Validation §6: assertions
    type: SchemaType | list[SchemaType] | None = None
    enum: list[Any] | None = None
    const: Any | None = None
    multipleOf: float | None = Field(default=None, gt=0)
    maximum: float | None = None
    exclusiveMaximum: float | None = None
    minimum: float | None = None
    exclusiveMinimum: float | None = None
    maxLength: _Count = None
    minLength: _Count = None
    pattern: str | None = None
    maxItems: _Count = None
    minItems: _Count = None
    uniqueItems: bool | None = None
    maxContains: _Count = None
    minContains: _Count = None
    maxProperties: _Count = None
    minProperties: _Count = None
    required: list[str] | None = None
    dependentRequired: dict[str, set[str]] | None = None
    # Validation §7 to §9: formats, contents, annotations
    format: str | None = None
    contentEncoding: str | None = None
    contentMediaType: str | None = None
    contentSchema: Optional["SchemaOrBool"] = None
    title: str | None = None
    description: str | None = None
    default: Any | None = None
    deprecated: bool | None = None
    readOnly: bool | None = None
    writeOnly: bool | None = None
    examples: list[Any] | None = None
    # OpenAPI's own
    discriminator: Discriminator | None = None
    xml: XML | None = None
    externalDocs: ExternalDocumentation | None = None
    example: Annotated[
        Any | None,
        deprecated_since(
            "Deprecated in OpenAPI 3.1.0 that now uses JSON Schema 2020-12, although still supported. Use examples instead."
        ),
    ] = None


# A schema of true accepts everything, one of false nothing (JSON Schema Core §4.3.2).
SchemaOrBool = Schema | bool


# -- parameters, bodies, responses ---------------------------------------------------------------------------------------------


class ParameterInType(Enum):
    """Where a parameter is sent (§4.8.12)."""

    query = "query"
    header = "header"
    path = "path"
    cookie = "cookie"


class Encoding(BaseModelWithConfig):
    """§4.8.15."""

    contentType: str | None = None
    headers: dict[str, Union["Header", Reference]] | None = None
    style: str | None = None
    explode: bool | None = None
    allowReserved: bool | None = None


class MediaType(BaseModelWithConfig):
    """§4.8.14."""

    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    encoding: dict[str, Encoding] | None = None


class ParameterBase(BaseModelWithConfig):
    """What parameters and response headers have in common (§4.8.12, §4.8.21)."""

    description: str | None = None
    required: bool | None = None
    deprecated: bool | None = None
    # either a schema, with how the value is written …
    style: str | None = None
    explode: bool | None = None
    allowReserved: bool | None = None
    schema_: Schema | Reference | None = Field(default=None, alias="schema")
    example: Any | None = None
    examples: dict[str, Example | Reference] | None = None
    # … or a media type
    content: dict[str, MediaType] | None = None


class Parameter(ParameterBase):
    """§4.8.12."""

    name: str
    in_: ParameterInType = Field(alias="in")


# As FastAPI's own, which shows its base's fields before it is used for the first time.
del Parameter.__signature__


class Header(ParameterBase):
    """§4.8.21."""


class RequestBody(BaseModelWithConfig):
    """§4.8.13."""

    description: str | None = None
    content: dict[str, MediaType]
    required: bool | None = None


class Link(BaseModelWithConfig):
    """§4.8.20."""

    operationRef: str | None = None
    operationId: str | None = None
    parameters: dict[str, Any | str] | None = None
    requestBody: Any | str | None = None
    description: str | None = None
    server: Server | None = None


class Response(BaseModelWithConfig):
    """§4.8.17."""

    description: str
    headers: dict[str, Header | Reference] | None = None
    content: dict[str, MediaType] | None = None
    links: dict[str, Link | Reference] | None = None


# -- operations ----------------------------------------------------------------------------------------------------------------


class Operation(BaseModelWithConfig):
    """§4.8.10."""

    tags: list[str] | None = None
    summary: str | None = None
    description: str | None = None
    externalDocs: ExternalDocumentation | None = None
    operationId: str | None = None
    parameters: list[Parameter | Reference] | None = None
    requestBody: RequestBody | Reference | None = None
    # `Any` so that extensions (`x-…`) are accepted beside the status codes
    responses: dict[str, Response | Any] | None = None
    callbacks: dict[str, dict[str, "PathItem"] | Reference] | None = None
    deprecated: bool | None = None
    security: list[dict[str, list[str]]] | None = None
    servers: list[Server] | None = None


class PathItem(BaseModelWithConfig):
    """§4.8.9."""

    ref: str | None = Field(default=None, alias="$ref")
    summary: str | None = None
    description: str | None = None
    get: Operation | None = None
    put: Operation | None = None
    post: Operation | None = None
    delete: Operation | None = None
    options: Operation | None = None
    head: Operation | None = None
    patch: Operation | None = None
    trace: Operation | None = None
    servers: list[Server] | None = None
    parameters: list[Parameter | Reference] | None = None


# -- security schemes (§4.8.27 to §4.8.29) -------------------------------------------------------------------------------------


class SecuritySchemeType(Enum):
    """The kinds of security scheme that this package can declare."""

    apiKey = "apiKey"
    http = "http"
    oauth2 = "oauth2"
    openIdConnect = "openIdConnect"


class SecurityBase(BaseModelWithConfig):
    """What every security scheme has."""

    type_: SecuritySchemeType = Field(alias="type")
    description: str | None = None


class APIKeyIn(Enum):
    """Where an API key is sent."""

    query = "query"
    header = "header"
    cookie = "cookie"


class APIKey(SecurityBase):
    """A key under a name."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.apiKey, alias="type")
    in_: APIKeyIn = Field(alias="in")
    name: str


class HTTPBase(SecurityBase):
    """A scheme of the Authorization field (RFC 9110 §11.6.2)."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.http, alias="type")
    scheme: str


class HTTPBearer(HTTPBase):
    """A bearer token (RFC 6750); the format is a hint for readers."""

    scheme: Literal["bearer"] = "bearer"  # pyright: ignore[reportIncompatibleVariableOverride]
    bearerFormat: str | None = None


class OAuthFlow(BaseModelWithConfig):
    """What every flow has (§4.8.29)."""

    refreshUrl: str | None = None
    scopes: dict[str, str] = {}


class OAuthFlowImplicit(OAuthFlow):
    """RFC 6749 §4.2."""

    authorizationUrl: str


class OAuthFlowPassword(OAuthFlow):
    """RFC 6749 §4.3."""

    tokenUrl: str


class OAuthFlowClientCredentials(OAuthFlow):
    """RFC 6749 §4.4."""

    tokenUrl: str


class OAuthFlowAuthorizationCode(OAuthFlow):
    """RFC 6749 §4.1."""

    authorizationUrl: str
    tokenUrl: str


class OAuthFlows(BaseModelWithConfig):
    """§4.8.28."""

    implicit: OAuthFlowImplicit | None = None
    password: OAuthFlowPassword | None = None
    clientCredentials: OAuthFlowClientCredentials | None = None
    authorizationCode: OAuthFlowAuthorizationCode | None = None


class OAuth2(SecurityBase):
    """OAuth 2.0."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.oauth2, alias="type")
    flows: OAuthFlows


class OpenIdConnect(SecurityBase):
    """OpenID Connect Discovery."""

    type_: SecuritySchemeType = Field(default=SecuritySchemeType.openIdConnect, alias="type")
    openIdConnectUrl: str


SecurityScheme = APIKey | HTTPBase | OAuth2 | OpenIdConnect | HTTPBearer


# -- the whole -----------------------------------------------------------------------------------------------------------------


class Components(BaseModelWithConfig):
    """§4.8.7."""

    schemas: dict[str, Schema | Reference] | None = None
    responses: dict[str, Response | Reference] | None = None
    parameters: dict[str, Parameter | Reference] | None = None
    examples: dict[str, Example | Reference] | None = None
    requestBodies: dict[str, RequestBody | Reference] | None = None
    headers: dict[str, Header | Reference] | None = None
    securitySchemes: dict[str, SecurityScheme | Reference] | None = None
    links: dict[str, Link | Reference] | None = None
    # `Any` so that extensions (`x-…`) are accepted among the expressions
    callbacks: dict[str, dict[str, PathItem] | Reference | Any] | None = None
    pathItems: dict[str, PathItem | Reference] | None = None


class OpenAPI(BaseModelWithConfig):
    """§4.8.1."""

    openapi: str
    info: Info
    jsonSchemaDialect: str | None = None
    servers: list[Server] | None = None
    # `Any` so that extensions (`x-…`) are accepted among the paths
    paths: dict[str, PathItem | Any] | None = None
    webhooks: dict[str, PathItem | Reference] | None = None
    components: Components | None = None
    security: list[dict[str, list[str]]] | None = None
    tags: list[Tag] | None = None
    externalDocs: ExternalDocumentation | None = None
