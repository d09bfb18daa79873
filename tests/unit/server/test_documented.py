"""docs/server.md tells of every setting."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from tercel.server.config import ServerConfig


def test_every_setting_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "server.md").read_text("utf-8")
    config = ServerConfig()
    for field in fields(ServerConfig):
        row = next((line for line in page.splitlines() if line.startswith(f"| `{field.name}` |")), None)
        assert row is not None, f"{field.name} is missing in docs/server.md"
        shown = row.split("|")[2].strip().strip("`")
        assert eval(shown, {}) == getattr(config, field.name), f"docs/server.md shows {shown} for {field.name}"
