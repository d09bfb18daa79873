# ruff: noqa: F401 - names, for others to import
"""FastAPI's `_compat.v2`."""

from pydantic import GetJsonSchemaHandler as GetJsonSchemaHandler
from pydantic import PydanticUndefinedAnnotation as PydanticUndefinedAnnotation
from pydantic import ValidationError as ValidationError
from pydantic.fields import FieldInfo as FieldInfo
from pydantic.json_schema import JsonSchemaValue as JsonSchemaValue
from pydantic_core import CoreSchema as CoreSchema
from pydantic_core import PydanticUndefined as PydanticUndefined

from tercel.analyse.annotations import lenient_issubclass as lenient_issubclass
from tercel.analyse.fields import GenerateJsonSchema as GenerateJsonSchema
from tercel.analyse.fields import ModelField as ModelField
from tercel.analyse.fields import ModelOrEnum as TypeModelOrEnum
from tercel.analyse.fields import ModelSet as TypeModelSet
from tercel.analyse.fields import PydanticSchemaGenerationError as PydanticSchemaGenerationError
from tercel.analyse.fields import RequiredParam as RequiredParam
from tercel.analyse.fields import Undefined as Undefined
from tercel.analyse.fields import Url as Url
from tercel.analyse.fields import copy_field_info as copy_field_info
from tercel.analyse.fields import create_body_model as create_body_model
from tercel.analyse.fields import evaluate_forwardref as evaluate_forwardref
from tercel.analyse.fields import get_cached_model_fields as get_cached_model_fields
from tercel.analyse.fields import get_definitions as get_definitions
from tercel.analyse.fields import get_flat_models_from_annotation as get_flat_models_from_annotation
from tercel.analyse.fields import get_flat_models_from_field as get_flat_models_from_field
from tercel.analyse.fields import get_flat_models_from_fields as get_flat_models_from_fields
from tercel.analyse.fields import get_flat_models_from_model as get_flat_models_from_model
from tercel.analyse.fields import get_missing_field_error as get_missing_field_error
from tercel.analyse.fields import get_model_fields as get_model_fields
from tercel.analyse.fields import get_model_name_map as get_model_name_map
from tercel.analyse.fields import get_schema_from_model_field as get_schema_from_model_field
from tercel.analyse.fields import is_scalar_field as is_scalar_field
from tercel.analyse.fields import normalize_name as normalize_name
from tercel.analyse.fields import serialize_sequence_value as serialize_sequence_value
from tercel.analyse.fields import with_info_plain_validator_function as with_info_plain_validator_function
from tercel.compat.counterparts import asdict as asdict
from tercel.openapi.constants import REF_TEMPLATE as REF_TEMPLATE
from tercel.types import IncEx as IncEx
