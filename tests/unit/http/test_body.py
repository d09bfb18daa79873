"""parse_json accepts what JSON can say and reports the rest as syntax errors; content types are read as a mail reader would."""

from __future__ import annotations

import email.message
import json
import math
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tercel.http import body
from tercel.http.body import JSON_DEPTH_LIMIT, is_json_content_type, parse_json

SENDABLE_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | SENDABLE_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SENDABLE_TEXT, inner, max_size=4),
    max_leaves=20,
)
# Pieces that parsers disagree about, put together at random.
NUMBERS = ["1", "-0", "1e5", "1E400", "1e+308", "1.8e308", "-1e999", "1e0400", "1e-400", "0." + "0" * 320 + "1", "1" * 309]
STRINGS = ['"\\ud800"', '"\\ud83d\\ude00"', '"\\\\ud800"', '"4e123"', '"é"', '"\\x"', '"a\tb"', '"abc', '"k":']
OTHERS = ["NaN", "-Infinity", "01", "1.", "tru", "true", "\ufeff", "\x00", "{", "}", "[", "]", ",", ":", " "]
PIECES = st.sampled_from([*NUMBERS, *STRINGS, *OTHERS])


def outcome(parse: Any, raw: bytes) -> tuple[Any, ...]:
    try:
        return ("value", repr(parse(raw)))
    except json.JSONDecodeError as error:
        return ("syntax error", error.msg, error.pos, error.doc)


def refused(raw: bytes) -> json.JSONDecodeError:
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json(raw)
    return caught.value


def says_what_json_cannot(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    return isinstance(value, list) and any(map(says_what_json_cannot, value))


def every_pair(pairs: list[tuple[str, Any]]) -> list[Any]:
    return [list(pair) for pair in pairs]


@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]))
def test_every_value_written_as_json_comes_back_in_every_encoding(value: Any, ascii_only: bool, encoding: str) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only).encode(encoding)
    assert repr(parse_json(raw)) == repr(json.loads(raw))


@given(st.lists(PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")) | st.binary(max_size=12))
@example(b"[1e400]")
@example(b'{"a": 1e400, "a": 1}')
def test_it_differs_from_the_standard_parser_only_where_that_accepts_what_is_not_json(raw: bytes) -> None:
    ours = outcome(parse_json, raw)
    try:
        standard = outcome(json.loads, raw)
    except ValueError:
        assert ours[0] == "syntax error"
        return
    assert ours[0] == standard[0] or says_what_json_cannot(json.loads(raw, object_pairs_hook=every_pair))
    if ours[0] == "value":
        assert ours == standard


@pytest.mark.parametrize("text", ['{"a": 1,}', '{"a" 1}', "[1, 2", '"abc', "", "nope", '{"é": x}', "[1] 2", '"a\nb"', "{1: 2}"])
def test_ordinary_errors_are_reported_like_the_standard_parser_reports_them(text: str) -> None:
    raw = text.encode()
    assert outcome(parse_json, raw) == outcome(json.loads, raw)


@pytest.mark.parametrize(
    ("raw", "message", "position"),
    [
        (b'{"x": NaN}', "Expecting value", 6),
        (b"[1, -Infinity]", "Expecting value", 4),
        (b'["NaN", Infinity]', "Expecting value", 8),
        (b'{"x": 1e999}', "Number out of range", 6),
        (b'["1e999", 2, -1.5E+400]', "Number out of range", 13),
        (b"1" + b"0" * 309 + b".0", "Number out of range", 0),
        (b'{"x": "\\ud800"}', "Unpaired surrogate", 7),
        (b'{"\\udc00\\ud83d\\ude00": 1}', "Unpaired surrogate", 2),
        (b'["\\\\ud800", "\\ud83d\\ude00", "\\ud83dx"]', "Unpaired surrogate", 29),
        (b'{"x": "\xff"}', "Invalid UTF-8", 7),
        ('{"é": "'.encode() + b"\xc3", "Invalid UTF-8", 7),
        (b'"\xed\xa0\x80"', "Invalid UTF-8", 1),
    ],
)
def test_what_json_or_unicode_cannot_say_is_a_syntax_error_at_its_place(raw: bytes, message: str, position: int) -> None:
    error = refused(raw)
    assert (error.msg, error.pos) == (message, position)


def test_nesting_is_accepted_up_to_the_limit_and_refused_beyond_at_the_place_where_it_is_exceeded() -> None:
    assert parse_json(b"[" * JSON_DEPTH_LIMIT + b"]" * JSON_DEPTH_LIMIT) != []
    error = refused(b'{"a":' * (JSON_DEPTH_LIMIT + 1) + b"1" + b"}" * (JSON_DEPTH_LIMIT + 1))
    assert (error.msg, error.pos) == ("Too deeply nested", JSON_DEPTH_LIMIT * 5)
    assert refused(b"[" * 100_000).msg == "Too deeply nested"


def test_brackets_in_strings_and_side_by_side_do_not_count_as_nesting() -> None:
    assert parse_json(b'["' + b"[" * 5000 + b'"]') == ["[" * 5000]
    assert parse_json(b"[" + b"[]," * 5000 + b"[]]") == [[]] * 5001


def test_running_out_of_stack_in_the_parser_is_a_syntax_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(text: str) -> Any:
        raise RecursionError

    monkeypatch.setattr(body._strict_decoder, "decode", exhausted)
    assert refused(b"[1").msg == "Too deeply nested"


def test_an_integer_beyond_the_digit_limit_of_python_is_a_syntax_error() -> None:
    longest = sys.get_int_max_str_digits()
    assert parse_json(b"1" * longest) > 0
    error = refused(b'["' + b"1" * (longest + 1) + b'", -' + b"1" * (longest + 1) + b"]")
    assert (error.msg, error.pos) == ("Integer too long", longest + 6)


def test_texts_that_look_like_huge_numbers_are_left_alone() -> None:
    value = {"id": "0e000-4e999", "list": ["12e345"] * 200, "digits": "9" * 400, "small": 1e-300, "zero": "0e999"}
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(b"[0e999, 0." + b"0" * 400 + b"]") == [0.0, 0.0]


def test_a_replaced_json_loads_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", lambda raw: ("replaced", raw))
    assert parse_json(b"{}") == ("replaced", b"{}")


# -- content types -------------------------------------------------------------------------------------------------------------


def as_a_mail_reader_sees_it(value: str) -> bool:
    message = email.message.Message()
    message["content-type"] = value
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


@pytest.mark.parametrize(
    ("value", "is_json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        (" application/vnd.api+json ;a=b", True),
        ("application/json/x", False),
        ("application /json", False),
        ("application/jsonx", False),
        ("application/geo+json-seq", False),
        ("text/json", False),
        ("application", False),
        ("", False),
        ("application/json;" + "x" * 200, True),
    ],
)
def test_json_is_application_json_and_any_type_that_ends_in_json_suffix(value: str, is_json: bool) -> None:
    assert is_json_content_type(value) is is_json
    assert is_json_content_type(value.encode("latin-1")) is is_json


TYPE_PIECES = st.sampled_from(["application", "/", "json", "JSON", "+", "x", ";", " ", '"', "=", "\t", "\xa0", "(", "é", ","])


@given(st.lists(TYPE_PIECES).map("".join))
def test_odd_content_types_are_read_as_a_mail_reader_reads_them(value: str) -> None:
    assert is_json_content_type(value) == as_a_mail_reader_sees_it(value)


def test_only_a_bounded_number_of_short_content_types_is_remembered() -> None:
    before = body._is_json_remembered.cache_info().currsize
    is_json_content_type("application/json;" + "y" * 5000)
    assert body._is_json_remembered.cache_info().currsize == before
    assert body._is_json_remembered.cache_info().maxsize == 256
