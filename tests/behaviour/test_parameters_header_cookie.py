"""Headers and cookies as parameters: names, repetition, aliases."""

from typing import Annotated

import pytest
from pydantic import AliasChoices

from tercel import Cookie, FastAPI, Header


def errors(response):
    assert response.status_code == 422, response.text
    return response.json()["detail"]


def test_underscores_of_a_header_name_become_hyphens(serve):
    def endpoint(x_token: Annotated[str, Header()]):
        return x_token

    connected = serve(endpoint)
    assert connected.get("/", headers={"X-Token": "secret"}).json() == "secret"
    assert connected.get("/", headers={"x-TOKEN": "secret"}).json() == "secret"


def test_the_name_with_underscores_is_not_accepted(serve):
    def endpoint(x_token: Annotated[str, Header()]):
        return x_token

    assert [error["loc"] for error in errors(serve(endpoint).get("/", headers={"x_token": "secret"}))] == [["header", "x-token"]]


def test_without_conversion_only_the_name_with_underscores_is_accepted(serve):
    def endpoint(x_token: Annotated[str, Header(convert_underscores=False)]):
        return x_token

    connected = serve(endpoint)
    assert connected.get("/", headers={"x_token": "secret"}).json() == "secret"
    assert [error["loc"] for error in errors(connected.get("/", headers={"x-token": "secret"}))] == [["header", "x_token"]]


def test_an_alias_of_a_header_is_taken_as_it_is_but_case_does_not_matter(serve):
    def endpoint(token: Annotated[str, Header(alias="X-My_Token")]):
        return token

    connected = serve(endpoint)
    assert connected.get("/", headers={"x-my_token": "secret"}).json() == "secret"
    assert [error["loc"] for error in errors(connected.get("/"))] == [["header", "X-My_Token"]]


def test_alias_choices_of_a_header_are_tried_in_order(serve):
    def endpoint(token: Annotated[int, Header(validation_alias=AliasChoices("X-New", "X-Old"))]):
        return token

    connected = serve(endpoint)
    assert connected.get("/", headers={"x-old": "1", "x-new": "2"}).json() == 2
    assert connected.get("/", headers={"x-old": "1"}).json() == 1
    assert [error["loc"] for error in errors(connected.get("/", headers={"x-old": "x"}))] == [["header", "X-Old"]]


def test_of_a_repeated_header_the_first_value_counts(serve):
    def endpoint(x_n: Annotated[int, Header()]):
        return x_n

    assert serve(endpoint).get("/", headers=[("x-n", "1"), ("x-n", "2")]).json() == 1


def test_a_list_collects_all_values_of_a_header_without_splitting_at_commas(serve):
    def endpoint(x_n: Annotated[list[str], Header()]):
        return x_n

    connected = serve(endpoint)
    assert connected.get("/", headers=[("x-n", "1"), ("X-N", "2,3")]).json() == ["1", "2,3"]
    assert [error["loc"] for error in errors(connected.get("/"))] == [["header", "x-n"]]


def test_headers_are_converted_and_constrained(serve):
    def endpoint(x_n: Annotated[int, Header(ge=3)] = 5, x_on: Annotated[bool, Header()] = False):
        return [x_n, x_on]

    connected = serve(endpoint)
    assert connected.get("/").json() == [5, False]
    assert connected.get("/", headers={"x-n": "4", "x-on": "yes"}).json() == [4, True]
    assert [error["type"] for error in errors(connected.get("/", headers={"x-n": "1"}))] == ["greater_than_equal"]
    assert [error["input"] for error in errors(connected.get("/", headers={"x-n": "one"}))] == ["one"]


def test_an_empty_header_is_a_value(serve):
    def endpoint(x_n: Annotated[str, Header()] = "default"):
        return x_n

    assert serve(endpoint).get("/", headers={"x-n": ""}).json() == ""


def test_header_values_are_latin_1(serve):
    def endpoint(x_name: Annotated[str, Header()]):
        return x_name

    assert serve(endpoint).get("/", headers={"x-name": b"caf\xc3\xa9"}).json() == "cafÃ©"


def test_a_header_as_default_value_works_like_one_in_annotated(serve):
    def endpoint(user_agent: str = Header(), x_other: str | None = Header(None)):
        return [user_agent, x_other]

    assert serve(endpoint).get("/").json() == ["testclient", None]


def test_a_cookie_is_taken_by_its_name(serve):
    def endpoint(session_id: Annotated[str, Cookie()]):
        return session_id

    connected = serve(endpoint)
    assert connected.get("/", headers={"cookie": "a=b; session_id=abc"}).json() == "abc"
    assert errors(connected.get("/")) == [
        {"type": "missing", "loc": ["cookie", "session_id"], "msg": "Field required", "input": None}
    ]


def test_cookies_of_several_cookie_headers_are_merged(serve):
    def endpoint(a: Annotated[str, Cookie()], b: Annotated[str, Cookie()]):
        return [a, b]

    assert serve(endpoint).get("/", headers=[("cookie", "a=1"), ("cookie", "b=2")]).json() == ["1", "2"]


def test_of_a_repeated_cookie_the_last_value_counts(serve):
    def endpoint(a: Annotated[str, Cookie()]):
        return a

    assert serve(endpoint).get("/", headers={"cookie": "a=1; a=2"}).json() == "2"


def test_cookies_are_converted_aliased_and_constrained(serve):
    def endpoint(n: Annotated[int, Cookie(alias="the-n", le=3)] = 0):
        return n

    connected = serve(endpoint)
    assert connected.get("/").json() == 0
    assert connected.get("/", headers={"cookie": "the-n=3"}).json() == 3
    assert [(error["type"], error["loc"]) for error in errors(connected.get("/", headers={"cookie": "the-n=4"}))] == [
        ("less_than_equal", ["cookie", "the-n"])
    ]


def test_a_cookie_value_is_unquoted(serve):
    def endpoint(a: Annotated[str, Cookie()]):
        return a

    assert serve(endpoint).get("/", headers={"cookie": 'a="x y"'}).json() == "x y"


def test_a_cookie_that_a_response_has_set_comes_back(make_app, client):
    from tercel import Response

    app = make_app()

    @app.get("/set")
    def set_it(response: Response):
        response.set_cookie("flavour", "oat", httponly=True)

    @app.get("/get")
    def get_it(flavour: Annotated[str | None, Cookie()] = None):
        return flavour

    connected = client(app)
    assert connected.get("/get").json() is None
    assert connected.get("/set").headers["set-cookie"] == "flavour=oat; HttpOnly; Path=/; SameSite=lax"
    assert connected.get("/get").json() == "oat"


@pytest.mark.parametrize("marker", [Header, Cookie])
def test_the_default_value_of_a_header_or_cookie_is_not_given_in_annotated(marker):
    app = FastAPI()
    with pytest.raises(AssertionError, match=f"`{marker.__name__}` default value cannot be set in `Annotated` for 'value'"):

        @app.get("/")
        def endpoint(value: Annotated[str, marker(default="x")]):
            return value
