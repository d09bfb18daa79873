"""FastAPI's `dependencies.utils`."""

from tercel.analyse.forms import ensure_multipart_is_installed as ensure_multipart_is_installed
from tercel.analyse.forms import multipart_incorrect_install_error as multipart_incorrect_install_error
from tercel.analyse.forms import multipart_not_installed_error as multipart_not_installed_error
from tercel.analyse.signature import analyze_param as analyze_param
from tercel.analyse.signature import get_dependant as get_dependant
from tercel.analyse.signature import get_parameterless_sub_dependant as get_parameterless_sub_dependant
from tercel.analyse.signature import get_stream_item_type as get_stream_item_type
from tercel.analyse.signature import get_typed_annotation as get_typed_annotation
from tercel.analyse.signature import get_typed_return_annotation as get_typed_return_annotation
from tercel.analyse.signature import get_typed_signature as get_typed_signature
from tercel.analyse.take import take_params as request_params_to_args

__all__ = [
    "analyze_param",
    "ensure_multipart_is_installed",
    "get_dependant",
    "get_parameterless_sub_dependant",
    "get_stream_item_type",
    "get_typed_annotation",
    "get_typed_return_annotation",
    "get_typed_signature",
    "multipart_incorrect_install_error",
    "multipart_not_installed_error",
    "request_params_to_args",
]
