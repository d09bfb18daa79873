"""Merging parts of a document."""

from __future__ import annotations

from typing import Any

import pytest

from tercel.openapi.merge import deep_dict_update


@pytest.mark.parametrize(
    ("main", "update", "expected"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": [1]}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": [2], "d": 3}}}, {"a": {"b": {"c": [1, 2], "d": 3}}}),
    ],
    ids=str,
)
def test_dicts_merge_lists_join_and_the_rest_is_replaced(main: Any, update: Any, expected: Any) -> None:
    deep_dict_update(main, update)
    assert main == expected


def test_joining_lists_leaves_both_as_they_were() -> None:
    first, second = [1], [2]
    main = {"a": first}
    deep_dict_update(main, {"a": second})
    assert (main["a"], first, second) == ([1, 2], [1], [2])
