"""`Example` (OpenAPI 3.1 §4.8.19), apart from the other models: markers name it in their signatures, and need none of the others.

Read `tercel.openapi.models` next.
"""

from typing import Any

from pydantic import AnyUrl
from typing_extensions import TypedDict

__all__ = ["Example"]


class Example(TypedDict, total=False):
    """§4.8.19. A dict, since users write these."""

    summary: str | None
    description: str | None
    value: Any | None
    externalValue: AnyUrl | None

    __pydantic_config__ = {"extra": "allow"}  # type: ignore[misc]
