"""The JSON Schemas of all fields in one document, generated together so that names are unique, then looked up by field.

Knows fields, not routes. Read `tercel.analyse.fields` for how they are generated, and `tercel.openapi.operation` for who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tercel.analyse.fields import ModelField, SchemaMode, get_schema_from_model_field

__all__ = ["Schemas"]


@dataclass(frozen=True, slots=True)
class Schemas:
    """Schemas by field.

    Args:
        mapping: from `get_definitions`.
        separate_input_output: as there.
    """

    mapping: Mapping[tuple[ModelField, SchemaMode], dict[str, Any]]
    separate_input_output: bool = True

    def of(self, field: ModelField, alias: str | None = None) -> dict[str, Any]:
        """A field's schema, a copy that the caller may change.

        Args:
            alias: the name from which the title is made; the field's own alias when omitted.
        """
        return deepcopy(
            get_schema_from_model_field(
                field=field,
                model_name_map={},
                field_mapping=self.mapping,
                separate_input_output_schemas=self.separate_input_output,
                field_alias=alias,
            )
        )
