# ruff: noqa: F401 - names, for others to import
"""FastAPI's `dependencies.utils`."""

from pydantic_core import CoreSchema as CoreSchema
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.concurrency import run_in_threadpool as run_in_threadpool
from starlette.datastructures import FormData as FormData
from starlette.datastructures import Headers as Headers
from starlette.datastructures import ImmutableMultiDict as ImmutableMultiDict
from starlette.datastructures import QueryParams as QueryParams
from starlette.datastructures import UploadFile as UploadFile
from starlette.requests import HTTPConnection as HTTPConnection
from starlette.requests import Request as Request
from starlette.responses import Response as Response
from starlette.websockets import WebSocket as WebSocket

from tercel.analyse.annotations import field_annotation_is_scalar as field_annotation_is_scalar
from tercel.analyse.annotations import field_annotation_is_scalar_sequence as field_annotation_is_scalar_sequence
from tercel.analyse.annotations import field_annotation_is_sequence as field_annotation_is_sequence
from tercel.analyse.annotations import is_bytes_or_nonable_bytes_annotation as is_bytes_or_nonable_bytes_annotation
from tercel.analyse.annotations import is_bytes_sequence_annotation as is_bytes_sequence_annotation
from tercel.analyse.annotations import (
    is_uploadfile_or_nonable_uploadfile_annotation as is_uploadfile_or_nonable_uploadfile_annotation,
)
from tercel.analyse.annotations import is_uploadfile_sequence_annotation as is_uploadfile_sequence_annotation
from tercel.analyse.annotations import lenient_issubclass as lenient_issubclass
from tercel.analyse.annotations import sequence_types as sequence_types
from tercel.analyse.annotations import value_is_sequence as value_is_sequence
from tercel.analyse.dependant import Dependant as Dependant
from tercel.analyse.dependant import computed_scope as _get_computed_scope
from tercel.analyse.dependant import oauth_scopes as _get_oauth_scopes
from tercel.analyse.fields import ModelField as ModelField
from tercel.analyse.fields import RequiredParam as RequiredParam
from tercel.analyse.fields import Undefined as Undefined
from tercel.analyse.fields import copy_field_info as copy_field_info
from tercel.analyse.fields import create_body_model as create_body_model
from tercel.analyse.fields import create_model_field as create_model_field
from tercel.analyse.fields import evaluate_forwardref as evaluate_forwardref
from tercel.analyse.fields import get_cached_model_fields as get_cached_model_fields
from tercel.analyse.fields import get_missing_field_error as get_missing_field_error
from tercel.analyse.fields import is_scalar_field as is_scalar_field
from tercel.analyse.fields import serialize_sequence_value as serialize_sequence_value
from tercel.analyse.flat import flat_fields as _get_flat_fields_from_params
from tercel.analyse.flat import get_flat_params as get_flat_params
from tercel.analyse.flat import get_validation_alias as get_validation_alias
from tercel.analyse.forms import ensure_multipart_is_installed as ensure_multipart_is_installed
from tercel.analyse.forms import flat_body_params as _get_flat_body_params
from tercel.analyse.forms import multipart_incorrect_install_error as multipart_incorrect_install_error
from tercel.analyse.forms import multipart_not_installed_error as multipart_not_installed_error
from tercel.analyse.forms import should_embed as _should_embed_body_fields
from tercel.analyse.signature import ParamDetails as ParamDetails
from tercel.analyse.signature import analyze_param as analyze_param
from tercel.analyse.signature import get_dependant as get_dependant
from tercel.analyse.signature import get_parameterless_sub_dependant as get_parameterless_sub_dependant
from tercel.analyse.signature import get_stream_item_type as get_stream_item_type
from tercel.analyse.signature import get_typed_annotation as get_typed_annotation
from tercel.analyse.signature import get_typed_return_annotation as get_typed_return_annotation
from tercel.analyse.signature import get_typed_signature as get_typed_signature
from tercel.analyse.take import _file_bytes as _read_file_bytes
from tercel.background import BackgroundTasks as BackgroundTasks
from tercel.compat.counterparts import add_non_field_param_to_dependency as add_non_field_param_to_dependency
from tercel.compat.counterparts import add_param_to_fields as add_param_to_fields
from tercel.compat.counterparts import get_body_field as _get_body_field
from tercel.compat.counterparts import get_cache_key as _get_cache_key
from tercel.compat.counterparts import is_async_gen_callable as _is_async_gen_callable
from tercel.compat.counterparts import is_coroutine_callable as _is_coroutine_callable
from tercel.compat.counterparts import is_gen_callable as _is_gen_callable
from tercel.compat.counterparts import request_body_to_args as request_body_to_args
from tercel.compat.counterparts import request_params_to_args as request_params_to_args
from tercel.concurrency import contextmanager_in_threadpool as contextmanager_in_threadpool
from tercel.exceptions import DependencyScopeError as DependencyScopeError
from tercel.logger import logger as logger
from tercel.routing.patched import SolvedDependency as SolvedDependency
from tercel.routing.patched import solve_dependencies as solve_dependencies
from tercel.security.oauth2 import SecurityScopes as SecurityScopes
from tercel.utils import get_path_param_names as get_path_param_names
