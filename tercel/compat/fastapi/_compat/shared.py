# ruff: noqa: F401 - names, for others to import
"""FastAPI's `_compat.shared`."""

from pydantic import VERSION as PYDANTIC_VERSION
from starlette.datastructures import UploadFile as UploadFile

from tercel.analyse.annotations import PYDANTIC_VERSION_MINOR_TUPLE as PYDANTIC_VERSION_MINOR_TUPLE
from tercel.analyse.annotations import annotation_is_pydantic_v1 as annotation_is_pydantic_v1
from tercel.analyse.annotations import field_annotation_is_complex as field_annotation_is_complex
from tercel.analyse.annotations import field_annotation_is_scalar as field_annotation_is_scalar
from tercel.analyse.annotations import field_annotation_is_scalar_sequence as field_annotation_is_scalar_sequence
from tercel.analyse.annotations import field_annotation_is_sequence as field_annotation_is_sequence
from tercel.analyse.annotations import is_bytes_or_nonable_bytes_annotation as is_bytes_or_nonable_bytes_annotation
from tercel.analyse.annotations import is_bytes_sequence_annotation as is_bytes_sequence_annotation
from tercel.analyse.annotations import is_pydantic_v1_model_class as is_pydantic_v1_model_class
from tercel.analyse.annotations import is_pydantic_v1_model_instance as is_pydantic_v1_model_instance
from tercel.analyse.annotations import (
    is_uploadfile_or_nonable_uploadfile_annotation as is_uploadfile_or_nonable_uploadfile_annotation,
)
from tercel.analyse.annotations import is_uploadfile_sequence_annotation as is_uploadfile_sequence_annotation
from tercel.analyse.annotations import lenient_issubclass as lenient_issubclass
from tercel.analyse.annotations import sequence_annotation_to_type as sequence_annotation_to_type
from tercel.analyse.annotations import sequence_types as sequence_types
from tercel.analyse.annotations import value_is_sequence as value_is_sequence
from tercel.compat.counterparts import WithArgsTypes as WithArgsTypes
