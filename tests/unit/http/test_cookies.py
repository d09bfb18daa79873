"""Cookie fields are read as Starlette reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser

from tercel.http.cookies import parse_cookie_field


@given(
    st.lists(
        st.sampled_from(["a", "b", "=", ";", " ", '"', "\\", "0", "1", "7", "8", "\xff", "\t", '"\\', '\\"', "="]), max_size=40
    )
)
def test_a_field_is_read_as_starlette_reads_it(pieces: list[str]) -> None:
    field = "".join(pieces)
    assert parse_cookie_field(field) == cookie_parser(field)


def test_escapes() -> None:
    assert parse_cookie_field(r'a="\"\\\012\999"; b=\"; "\1') == {"a": '"\\\n999', "b": '\\"', "": '"\\1'}
