"""Status codes by name, and which forbid a body."""

from __future__ import annotations

import pytest
import starlette.status
from starlette.exceptions import StarletteDeprecationWarning

from tercel.http import status


@pytest.mark.parametrize("code", [None, "default", "1XX", "4XX", 200, "201", 404, 422, 500])
def test_most_statuses_allow_a_body(code: int | str | None) -> None:
    assert status.is_body_allowed_for_status_code(code) is True


@pytest.mark.parametrize("code", [100, "101", 199, 204, "205", 304])
def test_some_statuses_forbid_a_body(code: int | str) -> None:
    assert status.is_body_allowed_for_status_code(code) is False


def test_every_name_of_starlette_is_there_and_listed() -> None:
    names = [name for name in starlette.status.__all__ if name.startswith(("HTTP_", "WS_"))]
    assert len(names) > 60
    assert {name: getattr(status, name) for name in names} == {name: getattr(starlette.status, name) for name in names}
    assert set(names) <= set(dir(status))


def test_renamed_codes_work_with_starlettes_warning() -> None:
    with pytest.warns((DeprecationWarning, StarletteDeprecationWarning)):
        code = status.HTTP_422_UNPROCESSABLE_ENTITY
    assert code == 422


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = status.HTTP_299_NO_SUCH
