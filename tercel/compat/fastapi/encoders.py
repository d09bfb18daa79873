"""FastAPI's `encoders`."""

from tercel.analyse.annotations import is_pydantic_v1_model_instance as is_pydantic_v1_model_instance
from tercel.encoders import ENCODERS_BY_TYPE as ENCODERS_BY_TYPE
from tercel.encoders import decimal_encoder as decimal_encoder
from tercel.encoders import generate_encoders_by_class_tuples as generate_encoders_by_class_tuples
from tercel.encoders import isoformat as isoformat
from tercel.encoders import jsonable_encoder as jsonable_encoder
from tercel.exceptions import PydanticV1NotSupportedError as PydanticV1NotSupportedError
from tercel.http.encode import encoders_by_class_tuples as encoders_by_class_tuples
from tercel.types import IncEx as IncEx
