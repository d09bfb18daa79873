"""What becomes of an endpoint's result: response class, status, response model and dump options, decided once per route.

A `Renderer` validates, dumps and makes `Response` objects; it does not send anything. Read `tercel.compile.support` next for how
responses and streams reach an exchange.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import PydanticUserError
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from tercel.analyse.fields import ModelField
from tercel.analyse.writers import JsonWriter, make_writer
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.encode import jsonable_encoder
from tercel.http.errors import ResponseValidationError
from tercel.http.exchange import Head
from tercel.http.render import finite, json_bytes
from tercel.http.sse import ServerSentEvent, format_sse_event
from tercel.http.status import is_body_allowed_for_status_code

__all__ = ["JSON_TYPE", "Renderer", "StreamKind"]


def _unchanged(value: Any) -> Any:
    return value


StreamKind = Literal["sse", "jsonl", "raw"]
JSON_TYPE = (b"content-type", b"application/json")


class Renderer:
    """How one route answers.

    Args:
        response_class: as declared; a `DefaultPlaceholder` when nobody said.
        status_code: as declared, or None.
        field: the response model, or None.
        dump: include, exclude, by_alias, exclude_unset, exclude_defaults, exclude_none.
        stream: what a generator endpoint produces, or None for an ordinary one.
        item_field: the type of a stream's items, or None.
        in_thread: the endpoint runs in a worker thread, and so does the validation of its result.
    """

    def __init__(
        self,
        *,
        response_class: type[Response] | DefaultPlaceholder,
        status_code: int | None,
        field: ModelField | None,
        dump: Mapping[str, Any],
        stream: StreamKind | None = None,
        item_field: ModelField | None = None,
        in_thread: bool = False,
    ) -> None:
        self.is_default = isinstance(response_class, DefaultPlaceholder)
        self.response_class: type[Response] = (
            response_class.value if isinstance(response_class, DefaultPlaceholder) else response_class
        )
        self.status_code = status_code
        self.field = field
        self.dump = dict(dump)
        self.stream = stream
        self.item_field = item_field
        self.in_thread = in_thread
        self.is_json = stream is None and self.is_default and self.response_class is JSONResponse
        self.head: Head | None = None
        status = 200 if status_code is None else status_code
        self.has_body = is_body_allowed_for_status_code(status)
        if self.is_json:
            self.head = Head(status, [JSON_TYPE])
        self.label = stream or self.response_class.__name__
        # pydantic-core's methods for validating and dumping, where nothing but `by_alias` was declared.
        self.usual: tuple[Callable[..., Any], Callable[..., bytes]] | None = None
        self.validate: Callable[[Any], Any] = _unchanged
        self.dump_bytes: Callable[[Any], bytes] = json_bytes
        if field is not None:
            self._prepare(field)

    # -- one value ---------------------------------------------------------------------------------------------------------

    def _prepare(self, field: ModelField) -> None:
        """Closures over pydantic-core's own methods, with only the dump options that differ from its defaults."""
        adapter = field._type_adapter
        try:
            validate = adapter.validator.validate_python
        except PydanticUserError:  # not complete yet: a name in its annotations could not be resolved
            self.validate = self.checked
            self.dump_bytes = lambda value: field.serialize_json(value, **self.dump)
            return
        to_json = adapter.serializer.to_json
        options = {
            key: value for key, value in self.dump.items() if value is not None and (key == "by_alias" or value is not False)
        }
        if options == {"by_alias": True}:
            self.usual = validate, to_json
        self.validate = lambda value: validate(value, from_attributes=True)
        self.dump_bytes = lambda value: to_json(value, **options)

    def make_writer(self) -> JsonWriter | None:
        """A faster way to the same bytes as `usual`, or None where there is none."""
        field = self.field
        if self.usual is None or field is None or field.config is not None:
            return None
        return make_writer(field._type_adapter)

    def checked(self, value: Any) -> Any:
        """The value as the response model has it; a `Response` passes as it is.

        Raises:
            ResponseValidationError: the endpoint broke its promise; answered with 500, never with 422.
        """
        if self.field is None or isinstance(value, Response):
            return value
        result, errors = self.field.validate(value, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=value)
        return result

    def content(self, value: Any) -> Any:
        """What a response class other than the default renders."""
        return jsonable_encoder(value) if self.field is None else self.field.serialize(value, **self.dump)

    def response(self, value: Any, injected: Response | None, background: BackgroundTask | None) -> Response:
        """The response for a value that `checked` returned, with what the injected `Response` adds."""
        if isinstance(value, Response):
            if value.background is None:
                value.background = background
            return value
        arguments = self.response_arguments(injected, background)
        if self.is_default and (self.field is not None or self.is_json):
            response = Response(content=self.dump_bytes(value), media_type="application/json", **arguments)
        else:
            response = self._rendered(value, arguments)
        if not is_body_allowed_for_status_code(response.status_code):
            response.body = b""
            if "content-length" in response.headers:  # a 205: its emptiness is announced (RFC 9110 §15.3.6)
                response.headers["content-length"] = "0"
        return add_injected(response, injected)

    def _rendered(self, value: Any, arguments: dict[str, Any]) -> Response:
        """By the response class; NaN and infinities become null where its JSON has no notation for them."""
        content = self.content(value)
        try:
            return self.response_class(content, **arguments)
        except ValueError:
            if not issubclass(self.response_class, JSONResponse):
                raise
            return self.response_class(finite(content), **arguments)

    def response_arguments(self, injected: Response | None, background: BackgroundTask | None) -> dict[str, Any]:
        arguments: dict[str, Any] = {"background": background}
        status = (injected.status_code if injected is not None else None) or self.status_code
        if status is not None:
            arguments["status_code"] = status
        return arguments

    # -- items of streams --------------------------------------------------------------------------------------------------

    def item(self, value: Any) -> bytes:
        """One item of a stream as JSON without a line end.

        Raises:
            ResponseValidationError: the item is not what the endpoint declared.
        """
        if self.item_field is None:
            return json.dumps(finite(jsonable_encoder(value))).encode()
        result, errors = self.item_field.validate(value, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=value)
        return self.item_field.serialize_json(result, **self.dump)

    def line(self, value: Any) -> bytes:
        """One line of JSON Lines."""
        return self.item(value) + b"\n"

    def event(self, value: Any) -> bytes:
        """One server-sent event (HTML Living Standard §9.2)."""
        if not isinstance(value, ServerSentEvent):
            return format_sse_event(data_str=self.item(value).decode())
        data = value.raw_data
        if data is None and value.data is not None:
            if hasattr(value.data, "model_dump_json"):
                data = value.data.model_dump_json()
            else:
                data = json.dumps(finite(jsonable_encoder(value.data)))
        return format_sse_event(data_str=data, event=value.event, id=value.id, retry=value.retry, comment=value.comment)


def add_injected(response: Response, injected: Response | None) -> Response:
    """Appends the injected response's headers as they are: a name may then stand twice, as in FastAPI."""
    if injected is not None:
        response.headers.raw.extend(injected.headers.raw)
    return response
