# ruff: noqa: F401 - names, for others to import
"""FastAPI's `openapi.utils`."""

from starlette.responses import JSONResponse as JSONResponse
from starlette.responses import Response as Response
from starlette.routing import BaseRoute as BaseRoute

from tercel.analyse.annotations import lenient_issubclass as lenient_issubclass
from tercel.analyse.dependant import Dependant as Dependant
from tercel.analyse.dependant import is_security_scheme as _is_security_scheme
from tercel.analyse.dependant import oauth_scopes as _get_oauth_scopes
from tercel.analyse.dependant import security_scheme as _get_security_scheme
from tercel.analyse.fields import ModelField as ModelField
from tercel.analyse.fields import get_definitions as get_definitions
from tercel.analyse.fields import get_flat_models_from_fields as get_flat_models_from_fields
from tercel.analyse.fields import get_model_name_map as get_model_name_map
from tercel.analyse.fields import get_schema_from_model_field as get_schema_from_model_field
from tercel.analyse.flat import flat_fields as _get_flat_fields_from_params
from tercel.analyse.flat import get_flat_params as get_flat_params
from tercel.analyse.flat import param_aliases as _get_param_aliases
from tercel.analyse.flat import param_model as _get_param_model
from tercel.compat.counterparts import get_cache_key as _get_cache_key
from tercel.compat.counterparts import get_openapi_operation_parameters as _get_openapi_operation_parameters
from tercel.datastructures import DefaultPlaceholder as DefaultPlaceholder
from tercel.encoders import jsonable_encoder as jsonable_encoder
from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.http.defaults import Unset as _Unset
from tercel.openapi.constants import METHODS_WITH_BODY as METHODS_WITH_BODY
from tercel.openapi.constants import REF_PREFIX as REF_PREFIX
from tercel.openapi.document import get_fields_from_routes as get_fields_from_routes
from tercel.openapi.document import get_openapi as get_openapi
from tercel.openapi.ids import generate_operation_id as generate_operation_id
from tercel.openapi.inputs import Inputs as _get_openapi_dependency_data
from tercel.openapi.models import OpenAPI as OpenAPI
from tercel.openapi.operation import generate_operation_summary as generate_operation_summary
from tercel.openapi.operation import get_openapi_operation_metadata as get_openapi_operation_metadata
from tercel.openapi.operation import get_openapi_operation_request_body as get_openapi_operation_request_body
from tercel.openapi.operation import get_openapi_path as get_openapi_path
from tercel.openapi.responses import status_code_ranges as status_code_ranges
from tercel.openapi.responses import validation_error_definition as validation_error_definition
from tercel.openapi.responses import validation_error_response_definition as validation_error_response_definition
from tercel.params import Body as Body
from tercel.params import ParamTypes as ParamTypes
from tercel.utils import deep_dict_update as deep_dict_update
from tercel.utils import generate_operation_id_for_path as generate_operation_id_for_path
from tercel.utils import is_body_allowed_for_status_code as is_body_allowed_for_status_code
