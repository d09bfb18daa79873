"""Small functions that applications import."""

from tercel.analyse.fields import create_model_field as create_model_field
from tercel.analyse.signature import path_param_names as get_path_param_names
from tercel.http.status import is_body_allowed_for_status_code as is_body_allowed_for_status_code
from tercel.openapi.ids import generate_operation_id_for_path as generate_operation_id_for_path
from tercel.openapi.ids import generate_unique_id as generate_unique_id
from tercel.openapi.merge import deep_dict_update as deep_dict_update

__all__ = [
    "create_model_field",
    "deep_dict_update",
    "generate_operation_id_for_path",
    "generate_unique_id",
    "get_path_param_names",
    "is_body_allowed_for_status_code",
]
