"""Cookie fields are read as Starlette reads them."""

from __future__ import annotations

import starlette.requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from tercel.http import cookies
from tercel.http.cookies import QUADRATIC, parse_cookie_field


@given(
    st.lists(
        st.sampled_from(["a", "b", "=", ";", " ", '"', "\\", "0", "1", "7", "8", "\xff", "\t", '"\\', '\\"', "="]), max_size=40
    )
)
def test_a_field_is_read_as_starlette_reads_it(pieces: list[str]) -> None:
    field = "".join(pieces)
    assert parse_cookie_field(field) == cookies._starlettes_parser(field)
    connection = HTTPConnection({"type": "http", "headers": [(b"cookie", field.encode("latin-1"))]})
    assert connection.cookies == parse_cookie_field(field)


def test_escapes() -> None:
    assert parse_cookie_field(r'a="\"\\\012\999"; b=\"; "\1') == {"a": '"\\\n999', "b": '\\"', "": '"\\1'}


def test_starlette_has_this_parser_where_its_own_takes_quadratic_time() -> None:
    replaced = starlette.requests.cookie_parser is parse_cookie_field
    assert replaced is QUADRATIC
    assert parse_cookie_field is not cookies._starlettes_parser
