"""FastAPI's `utils`."""

from tercel.analyse.annotations import annotation_is_pydantic_v1 as annotation_is_pydantic_v1
from tercel.analyse.fields import ModelField as ModelField
from tercel.analyse.fields import Undefined as Undefined
from tercel.compat.counterparts import get_value_or_default as get_value_or_default
from tercel.datastructures import DefaultPlaceholder as DefaultPlaceholder
from tercel.datastructures import DefaultType as DefaultType
from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.exceptions import PydanticV1NotSupportedError as PydanticV1NotSupportedError
from tercel.utils import create_model_field as create_model_field
from tercel.utils import deep_dict_update as deep_dict_update
from tercel.utils import generate_operation_id_for_path as generate_operation_id_for_path
from tercel.utils import generate_unique_id as generate_unique_id
from tercel.utils import get_path_param_names as get_path_param_names
from tercel.utils import is_body_allowed_for_status_code as is_body_allowed_for_status_code
