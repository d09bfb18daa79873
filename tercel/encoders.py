"""Python objects -> what JSON can say."""

from tercel.http.encode import ENCODERS_BY_TYPE as ENCODERS_BY_TYPE
from tercel.http.encode import decimal_encoder as decimal_encoder
from tercel.http.encode import generate_encoders_by_class_tuples as generate_encoders_by_class_tuples
from tercel.http.encode import isoformat as isoformat
from tercel.http.encode import jsonable_encoder as jsonable_encoder

__all__ = [
    "ENCODERS_BY_TYPE",
    "decimal_encoder",
    "generate_encoders_by_class_tuples",
    "isoformat",
    "jsonable_encoder",
]
