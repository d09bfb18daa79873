"""The placeholder for what the user did not say."""

from __future__ import annotations

from typing import Any

from tercel.http.defaults import Default, DefaultPlaceholder, Unset


def test_a_placeholder_is_true_and_equal_as_its_value_yet_recognisable() -> None:
    text: Any = Default("a")
    assert isinstance(text, DefaultPlaceholder)
    assert text
    assert text == Default("a")
    assert text != Default("b")
    assert text != "a"
    assert not Default("")
    assert not Unset
    assert repr(text) == "Default('a')"
