"""The two JSON response classes that are kept for old applications."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tercel.http import responses
from tercel.http.errors import FastAPIDeprecationWarning


def test_ujson_is_used_and_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    def dumps(content: Any, *, ensure_ascii: bool) -> str:
        return f"é{content}{ensure_ascii}"

    monkeypatch.setattr(responses, "ujson", SimpleNamespace(dumps=dumps))
    with pytest.warns(FastAPIDeprecationWarning, match="UJSONResponse is deprecated") as caught:
        response = responses.UJSONResponse(1)
    assert response.body == "é1False".encode()
    assert caught[0].filename == __file__


def test_orjson_is_used_and_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(OPT_NON_STR_KEYS=4, OPT_SERIALIZE_NUMPY=16, dumps=lambda content, option: f"{content}{option}".encode())
    monkeypatch.setattr(responses, "orjson", fake)
    with pytest.warns(FastAPIDeprecationWarning, match="ORJSONResponse is deprecated") as caught:
        response = responses.ORJSONResponse(1)
    assert response.body == b"120"
    assert caught[0].filename == __file__


@pytest.mark.filterwarnings("ignore::tercel.http.errors.FastAPIDeprecationWarning")
@pytest.mark.parametrize(("module", "name"), [("ujson", "UJSONResponse"), ("orjson", "ORJSONResponse")])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    monkeypatch.setattr(responses, module, None)
    with pytest.raises(AssertionError, match=f"{module} must be installed to use {name}"):
        getattr(responses, name)({})


def test_a_library_that_is_not_installed_is_none() -> None:
    assert responses._import_optional("no_such_library") is None
