"""Analysis of signatures."""

from tercel.analyse.signature import get_dependant as get_dependant
from tercel.analyse.signature import get_parameterless_sub_dependant as get_parameterless_sub_dependant
from tercel.analyse.signature import get_typed_annotation as get_typed_annotation
from tercel.analyse.signature import get_typed_signature as get_typed_signature

__all__ = [
    "get_dependant",
    "get_parameterless_sub_dependant",
    "get_typed_annotation",
    "get_typed_signature",
]
