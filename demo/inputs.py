"""Types for what comes from outside. A value that has passed one of them can be stored, compared and sent anywhere.

Pydantic refuses what is not UTF-8 text by itself. What it cannot know is what lies behind: SQLite stores integers of 64 bits,
PostgreSQL refuses NUL in a string, and a line that is shown to others should be one line. Said once, here, each of these is a 422
and none of them a 500.
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from tercel import Path

__all__ = ["LARGEST_ROW_ID", "USERNAME_PATTERN", "Line", "RowId", "Text", "Username"]

LARGEST_ROW_ID = 2**63 - 1  # a BIGINT of PostgreSQL, an INTEGER of SQLite
USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"


def _refuse_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


def _refuse_controls(value: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("must be one line without control characters")
    return value


RowId = Annotated[int, Path(ge=1, le=LARGEST_ROW_ID)]
Username = Annotated[str, StringConstraints(pattern=USERNAME_PATTERN)]
Line = Annotated[str, AfterValidator(_refuse_controls)]
Text = Annotated[str, AfterValidator(_refuse_nul)]
