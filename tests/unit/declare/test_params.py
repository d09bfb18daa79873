"""The functions users call: each makes the marker of its name, with the same options."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tercel.declare import markers, params
from tercel.http.errors import FastAPIDeprecationWarning

FIELDS = ["Path", "Query", "Header", "Cookie", "Body", "Form", "File"]


@pytest.mark.parametrize("name", FIELDS)
def test_a_function_takes_what_its_class_takes_except_the_annotation(name: str) -> None:
    of_class = inspect.signature(getattr(markers, name)).parameters
    of_function = inspect.signature(getattr(params, name)).parameters
    assert list(of_function.values()) == [p for p in of_class.values() if p.name != "annotation"]
    with pytest.raises(TypeError, match="maximum"):
        getattr(params, name)(maximum=1)


@pytest.mark.parametrize("name", FIELDS)
def test_a_function_makes_the_marker_of_its_name(name: str) -> None:
    made = getattr(params, name)(title="T", ge=1)
    assert type(made) is getattr(markers, name)
    assert made.title == "T"
    assert made.is_required()
    if name != "Path":
        assert getattr(params, name)(5).default == 5


def test_options_of_one_kind_reach_it() -> None:
    assert params.Header(convert_underscores=False).convert_underscores is False
    assert (params.Body(embed=True).embed, params.Body(media_type="a/b").media_type) == (True, "a/b")
    assert params.Form(media_type="a/b").media_type == "a/b"
    assert params.File(media_type="a/b").media_type == "a/b"


@pytest.mark.parametrize("name", FIELDS)
def test_deprecated_options_warn_at_the_users_line(name: str) -> None:
    with pytest.warns(FastAPIDeprecationWarning) as caught:
        getattr(params, name)(regex="a")
    assert [warning.filename for warning in caught] == [__file__]


def test_dependencies() -> None:
    def get_db() -> Any: ...

    made = params.Depends(get_db, use_cache=False, scope="request", max_concurrency=3)
    assert type(made) is markers.Depends
    assert (made.dependency, made.use_cache, made.scope, made.max_concurrency) == (get_db, False, "request", 3)
    secured = params.Security(get_db, scopes=["a"], use_cache=False)
    assert type(secured) is markers.Security
    assert (secured.dependency, secured.use_cache, secured.scopes) == (get_db, False, ["a"])
    assert params.Depends() == markers.Depends()


def test_signatures_of_the_dependency_functions_are_fastapis() -> None:
    of_depends = inspect.signature(params.Depends).parameters
    assert {name: p.default for name, p in of_depends.items()} == {
        "dependency": None,
        "use_cache": True,
        "scope": None,
        "max_concurrency": None,
    }
    of_security = inspect.signature(params.Security).parameters
    assert {name: p.default for name, p in of_security.items()} == {"dependency": None, "scopes": None, "use_cache": True}
    for parameters in (of_depends, of_security):
        first, *others = parameters.values()
        assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}
