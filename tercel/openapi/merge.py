"""How parts of a document that several people wrote become one. Knows plain dicts only; read `tercel.openapi.responses` next."""

from __future__ import annotations

from typing import Any

__all__ = ["deep_dict_update"]


def deep_dict_update(main_dict: dict[Any, Any], update_dict: dict[Any, Any]) -> None:
    """Merge the second dict into the first: dicts member by member, lists end to end, anything else replaced."""
    for key, value in update_dict.items():
        present = main_dict.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            deep_dict_update(present, value)
        elif isinstance(present, list) and isinstance(value, list):
            main_dict[key] = present + value
        else:
            main_dict[key] = value
