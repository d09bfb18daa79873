"""A document with one of everything, equal to FastAPI's byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import tercel
import tercel.responses
import tercel.security
import tercel.sse
from tests.unit.openapi.shop import build

GOLDEN = Path(__file__).with_name("golden.json")


def test_the_document_is_fastapis() -> None:
    made = json.dumps(build(tercel).openapi(), indent=1) + "\n"
    assert made.splitlines() == GOLDEN.read_text().splitlines()
