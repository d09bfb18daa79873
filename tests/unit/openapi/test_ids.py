"""Operation ids."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tercel.http.errors import FastAPIDeprecationWarning
from tercel.openapi import ids


def route(methods: Any = ("GET",), operation_id: str | None = None) -> Any:
    return SimpleNamespace(name="read_item", path_format="/items/{item-id}", methods=methods, operation_id=operation_id)


def test_an_id_is_made_of_name_path_and_first_method() -> None:
    assert ids.generate_unique_id(route(["POST", "GET"])) == "read_item_items__item_id__post"


def test_an_id_does_not_depend_on_the_order_of_a_set() -> None:
    assert ids.generate_unique_id(route({"PUT", "PATCH", "DELETE", "GET"})) == "read_item_items__item_id__delete"


def test_a_route_without_methods_has_no_id() -> None:
    with pytest.raises(AssertionError):
        ids.generate_unique_id(route(()))


def test_the_old_functions_still_work_and_warn_where_they_are_called() -> None:
    with pytest.warns(FastAPIDeprecationWarning, match=r"fastapi\.utils\.generate_operation_id_for_path\(\)") as caught:
        assert ids.generate_operation_id_for_path(name="a b", path="/x", method="GET") == "a_b_x_get"
    assert caught[0].filename == __file__
    with pytest.warns(FastAPIDeprecationWarning, match=r"fastapi\.openapi\.utils\.generate_operation_id\(\)") as caught:
        assert ids.generate_operation_id(route=route(), method="PUT") == "read_item_items__item_id__put"
    assert caught[0].filename == __file__
    with pytest.warns(FastAPIDeprecationWarning):
        assert ids.generate_operation_id(route=route(operation_id="own"), method="PUT") == "own"
