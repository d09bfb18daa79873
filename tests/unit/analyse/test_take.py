"""Takers: one parameter out of a request, by the quick way and by the general one."""

import io
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, Json, StringConstraints
from starlette.datastructures import FormData, Headers, ImmutableMultiDict, QueryParams
from starlette.datastructures import UploadFile as ReceivedFile

from tercel import Body, Cookie, File, Form, Header, Path, Query, UploadFile
from tercel.analyse.fields import ModelField, Undefined
from tercel.analyse.signature import analyze_param
from tercel.analyse.take import BodyTaker, ParamTaker, form_items, take_params
from tercel.compile.support import last_values
from tercel.plan import FAILED

pytestmark = pytest.mark.anyio
REQUIRED: Any = object()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def field(annotation: Any, default: Any = REQUIRED, name: str = "value", path: str = "/") -> ModelField:
    import inspect

    value = inspect.Signature.empty if default is REQUIRED else default
    details = analyze_param(param_name=name, annotation=annotation, value=value, path_param_names={name} if path != "/" else set())
    assert details.field is not None
    return details.field


def taken(made: ModelField, source: Any) -> tuple[Any, list[Any]]:
    errors: list[Any] = []
    return ParamTaker(made).take(source, errors), errors


def quickly(made: ModelField, source: Any) -> tuple[Any, list[Any]]:
    taker = ParamTaker(made)
    assert taker.quick is not None
    errors: list[Any] = []
    return taker.quick(source.get(taker.key), errors), errors


class Color(Enum):
    RED = "red"


class Page(BaseModel):
    limit: int = 10
    after: str | None = None


# -- scalars -----------------------------------------------------------------------------------------------------------------------


def test_the_last_value_of_a_query_counts_and_the_first_of_a_header() -> None:
    assert taken(field(int), QueryParams("value=1&value=2")) == (2, [])
    headers = Headers(raw=[(b"x-value", b"1"), (b"x-value", b"2")])
    assert taken(field(Annotated[int, Header()], name="x_value"), headers) == (1, [])


def test_an_absent_value_is_missing_or_the_default() -> None:
    value, errors = taken(field(int), QueryParams(""))
    assert value is FAILED
    assert errors == [{"type": "missing", "loc": ("query", "value"), "msg": "Field required", "input": None}]
    assert taken(field(int, 7), QueryParams("")) == (7, [])
    assert taken(field(int | None, None), QueryParams("")) == (None, [])


def test_a_default_is_copied_and_not_validated_unless_wanted() -> None:
    default = ["a"]
    made = field(Annotated[list[str], Query()], default)
    value, _ = taken(made, QueryParams(""))
    assert value == default
    assert value is not default
    assert taken(field(int, "no number"), QueryParams("")) == ("no number", [])
    assert taken(field(Annotated[int, Query(validate_default=True)], "7"), QueryParams("")) == (7, [])
    value, errors = taken(field(Annotated[int, Query(validate_default=True)], "no number"), QueryParams(""))
    assert (value, errors[0]["loc"]) == (FAILED, ("query", "value"))


def test_a_default_factory_is_called_for_each_request() -> None:
    made = field(Annotated[list[int], Query(default_factory=list)])
    assert taken(made, QueryParams(""))[0] is not taken(made, QueryParams(""))[0]


def test_errors_are_collected_behind_those_before() -> None:
    errors: list[Any] = ["before"]
    assert ParamTaker(field(int)).take(QueryParams("value=x"), errors) is FAILED
    assert errors[0] == "before"
    assert errors[1]["input"] == "x"


def test_of_several_names_the_first_that_was_sent_counts() -> None:
    made = field(Annotated[int, Query(validation_alias=AliasChoices("a", "b"))])
    assert taken(made, QueryParams("b=2")) == (2, [])
    assert taken(made, QueryParams("b=2&a=1")) == (1, [])
    value, errors = taken(made, QueryParams(""))
    assert (value, errors[0]["loc"]) == (FAILED, ("query", "a"))
    assert ParamTaker(made).quick is None


def test_a_list_has_all_values_and_an_empty_one_is_absent() -> None:
    made = field(Annotated[list[int], Query()], [])
    assert taken(made, QueryParams("value=1&value=2")) == ([1, 2], [])
    assert taken(made, QueryParams("other=1")) == ([], [])
    assert taken(field(Annotated[list[str], Header()]), Headers(raw=[(b"value", b"a"), (b"value", b"b")])) == (["a", "b"], [])
    assert ParamTaker(made).quick is None


def test_json_parameters_take_the_text_itself() -> None:
    made = field(Annotated[Json[list[int]], Query()])
    assert taken(made, QueryParams({"value": "[1, 2]"})) == ([1, 2], [])
    assert quickly(made, {"value": "[1]"}) == ([1], [])


def test_a_path_parameter_may_have_been_converted_already() -> None:
    made = field(Annotated[int, Path()], name="item_id", path="/{item_id}")
    assert taken(made, {"item_id": 3}) == quickly(made, {"item_id": "3"}) == (3, [])


# -- the quick way -----------------------------------------------------------------------------------------------------------------

SCALARS = [
    int,
    float,
    str,
    str | None,
    Annotated[str, Field(pattern="^[a-z]?$")],
    Annotated[str, StringConstraints(strip_whitespace=True)],
    Annotated[str, StringConstraints(to_upper=True)],
    Annotated[str, AfterValidator(str.title)],
    Annotated[str, Field(strict=True)],
    bool,
    date,
    Color,
    Literal["a", "b"],
    int | None,
    Annotated[int, Field(ge=0)],
    Annotated[str, Field(max_length=2)],
]


@given(
    st.sampled_from(SCALARS),
    st.sampled_from([REQUIRED, None, 7, "d"]),
    st.sampled_from(["", "1", "-1", "1.0", "x", "true", "2024-01-31", "red", "a", "abc", "ü", " 1 "]),
    st.booleans(),
)
def test_the_quick_way_agrees_with_the_general_one(kind: Any, default: Any, text: str, sent: bool) -> None:
    made = field(kind, default)
    query = QueryParams({"value": text} if sent else {})
    assert quickly(made, last_values(str(query).encode())) == taken(made, query)


@given(st.sampled_from(SCALARS), st.sampled_from([REQUIRED, None, 7]), st.sampled_from([None, "", "1", "x", "é"]))
def test_the_quick_way_agrees_for_headers_and_cookies(kind: Any, default: Any, text: str | None) -> None:
    made = field(Annotated[kind, Header()], default, name="x_value")
    raw = [] if text is None else [(b"x-value", text.encode("latin-1")), (b"x-value", b"other")]
    assert ParamTaker(made).key == b"x-value"
    texts = {name: value.decode("latin-1") for name, value in reversed(raw)}
    assert quickly(made, texts) == taken(made, Headers(raw=raw))
    cookie = field(Annotated[kind, Cookie()], default)
    cookies = {} if text is None else {"value": text}
    assert quickly(cookie, cookies) == taken(cookie, cookies)


def test_a_type_that_does_not_exist_has_no_quick_way_and_harms_only_those_who_send_it() -> None:
    from pydantic import PydanticUserError

    made = field("Nowhere", 3)
    taker = ParamTaker(made)
    assert taker.quick is None
    assert taken(made, QueryParams("")) == (3, [])
    with pytest.raises(PydanticUserError):
        taken(made, QueryParams("value=1"))


# -- models ------------------------------------------------------------------------------------------------------------------------


def test_a_model_is_spread_over_parameters() -> None:
    made = field(Annotated[Page, Query()])
    assert taken(made, QueryParams("limit=3&after=x&other=1")) == (Page(limit=3, after="x"), [])
    assert taken(made, QueryParams("")) == (Page(), [])
    value, errors = taken(made, QueryParams("limit=x"))
    assert (value, errors[0]["loc"]) == (FAILED, ("query", "limit"))
    assert ParamTaker(made).quick is None


def test_a_model_that_forbids_extra_fields_sees_those_of_others() -> None:
    class Strict(Page):
        model_config = ConfigDict(extra="forbid")

    value, errors = taken(field(Annotated[Strict, Query()]), QueryParams("limit=1&other=1&other=2"))
    assert value is FAILED
    assert [(error["type"], error["loc"], error["input"]) for error in errors] == [
        ("extra_forbidden", ("query", "other"), ["1", "2"])
    ]


def test_a_model_that_allows_extra_fields_gets_them() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: int = 0

    value, _ = taken(field(Annotated[Open, Query()]), QueryParams("a=1&b=2&c=3&c=4"))
    assert value.model_extra == {"b": "2", "c": ["3", "4"]}
    value, _ = taken(field(Annotated[Open, Cookie()]), {"a": "1", "b": "2"})
    assert value.model_extra == {"b": "2"}


def test_the_fields_of_a_header_model_are_headers() -> None:
    class Common(BaseModel):
        x_trace_id: int
        tags: list[str] = []

    made = field(Annotated[Common, Header()])
    headers = Headers(raw=[(b"x-trace-id", b"3"), (b"tags", b"a"), (b"tags", b"b")])
    assert taken(made, headers) == (Common(x_trace_id=3, tags=["a", "b"]), [])
    value, errors = taken(made, Headers({"x-trace-id": "x"}))
    assert (value, errors[0]["loc"]) == (FAILED, ("header", "x-trace-id"))
    assert taken(made, Headers({}))[1][0]["loc"] == ("header", "x-trace-id")


def test_a_nullable_model_is_absent_when_none_of_its_names_was_sent() -> None:
    made = field(Annotated[Page | None, Query()], None)
    assert taken(made, QueryParams("")) == (None, [])
    assert taken(made, QueryParams("other=1")) == (None, [])
    assert taken(made, QueryParams("limit=2")) == (Page(limit=2), [])


def test_several_fields_can_be_taken_at_once() -> None:
    fields = [field(int, name="a"), field(int, 5, name="b"), field(int, name="c")]
    values, errors = take_params(fields, QueryParams("a=1&c=x"))
    assert values == {"a": 1, "b": 5}
    assert [error["loc"] for error in errors] == [("query", "c")]


# -- JSON bodies -------------------------------------------------------------------------------------------------------------------


class Item(BaseModel):
    name: str


async def body(fields: list[ModelField], given: Any, embed: bool = False) -> tuple[Any, list[Any]]:
    errors: list[Any] = []
    return await BodyTaker(fields, embed).take(given, errors), errors


async def test_a_single_body_is_the_whole_body() -> None:
    made = field(Item, name="item")
    assert await body([made], {"name": "n"}) == ({"item": Item(name="n")}, [])
    value, errors = await body([made], {"name": 3})
    assert (value, errors[0]["loc"]) == (FAILED, ("body", "name"))


async def test_no_body_is_missing_or_the_default_and_null_is_a_value() -> None:
    made = field(Item, name="item")
    _, errors = await body([made], Undefined)
    assert errors == [{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}]
    _, errors = await body([made], None)
    assert (errors[0]["type"], errors[0]["input"]) == ("model_attributes_type", None)
    optional = field(Item | None, Item(name="default"), name="item")
    assert await body([optional], Undefined) == ({"item": Item(name="default")}, [])
    assert await body([optional], None) == ({"item": None}, [])


async def test_bytes_of_another_type_are_validated_as_they_are() -> None:
    _, errors = await body([field(Item, name="item")], b'{"name": "n"}')
    assert (errors[0]["type"], errors[0]["loc"]) == ("model_attributes_type", ("body",))
    assert await body([field(Annotated[bytes, Body()], name="raw")], b"data") == ({"raw": b"data"}, [])


async def test_embedded_bodies_are_keyed_by_parameter() -> None:
    item, count = field(Item, name="item"), field(Annotated[int, Body(alias="n")], name="count")
    assert await body([item], {"item": {"name": "n"}}, embed=True) == ({"item": Item(name="n")}, [])
    assert await body([item, count], {"item": {"name": "n"}, "n": 3}, embed=True) == ({"item": Item(name="n"), "count": 3}, [])
    value, errors = await body([item, count], {"item": {}, "n": "x"}, embed=True)
    assert value is FAILED
    assert [error["loc"] for error in errors] == [("body", "item", "name"), ("body", "n")]


@pytest.mark.parametrize("given", [Undefined, b"text", [1], "text", 3])
async def test_what_is_no_object_has_none_of_the_embedded_bodies(given: Any) -> None:
    optional = field(Annotated[int, Body()], 5, name="count")
    _, errors = await body([field(Item, name="item"), optional], given, embed=True)
    assert errors[0]["loc"] == ("body", "item")
    assert errors[0]["type"] == "missing"


async def test_of_several_names_of_an_embedded_body_the_first_that_was_sent_counts() -> None:
    made = field(Annotated[int, Body(validation_alias=AliasChoices("a", "b"))], name="count")
    other = field(Annotated[int, Body()], 0, name="other")
    assert (await body([made, other], {"b": 2, "c": 3}, embed=True))[0] == {"count": 2, "other": 0}


# -- forms -------------------------------------------------------------------------------------------------------------------------


def upload(content: bytes = b"content", name: str = "f.txt") -> ReceivedFile:
    return ReceivedFile(io.BytesIO(content), filename=name, size=len(content))


async def test_form_fields_are_taken_by_name_and_empty_ones_are_absent() -> None:
    fields = [
        field(Annotated[str, Form()], name="a"),
        field(Annotated[int, Form()], 5, name="b"),
        field(Annotated[list[str], Form()], [], name="c"),
    ]
    form = FormData([("a", "x"), ("b", ""), ("c", "1"), ("c", "2"), ("other", "z")])
    assert await body(fields, form) == ({"a": "x", "b": 5, "c": ["1", "2"]}, [])
    _, errors = await body(fields[:1], FormData([("a", "")]))
    assert (errors[0]["type"], errors[0]["loc"]) == ("missing", ("body", "a"))


async def test_a_form_model_has_the_fields_of_the_form() -> None:
    class Login(BaseModel):
        name: str
        remember: bool = False

    assert await body(
        [field(Annotated[Login, Form()], name="login")], FormData([("name", "n"), ("remember", "on"), ("x", "y")])
    ) == (
        {"login": Login(name="n", remember=True)},
        [],
    )
    optional = field(Annotated[Login | None, Form()], None, name="login")
    assert await body([optional], FormData([("x", "y")])) == ({"login": None}, [])


async def test_a_file_is_the_upload_or_its_bytes_and_its_position_stays() -> None:
    file = upload()
    as_upload, as_bytes = field(UploadFile, name="file"), field(Annotated[bytes, File()], name="file")
    assert (await body([as_upload], FormData([("file", file)])))[0]["file"].filename == "f.txt"
    await file.seek(3)
    taken_bytes, _ = await body([as_bytes], FormData([("file", file)]))
    assert taken_bytes == {"file": b"tent"}
    assert file.file.tell() == 3


async def test_several_files_keep_their_order() -> None:
    made = field(Annotated[list[bytes], File()], name="files")
    form = FormData([("files", upload(str(number).encode())) for number in range(5)])
    assert await body([made], form) == ({"files": [b"0", b"1", b"2", b"3", b"4"]}, [])


async def test_an_empty_file_input_is_absent() -> None:
    nothing = ReceivedFile(io.BytesIO(b""), filename="", size=0)
    assert await body([field(UploadFile | None, None, name="file")], FormData([("file", nothing)])) == ({"file": None}, [])
    files = field(Annotated[list[UploadFile], File()], [], name="files")
    assert await body([files], FormData([("files", nothing)])) == ({"files": []}, [])


def test_the_items_of_a_form_are_those_asked_for_and_then_the_rest() -> None:
    made = field(Annotated[str, Form(validation_alias=AliasChoices("a", "b"))], name="x")
    items = list(form_items([made], FormData([("c", "3"), ("b", "2"), ("d", "4"), ("d", "5")])))
    assert items == [("b", "2", made), ("c", "3", None), ("d", ["4", "5"], None)]


def test_a_large_input_is_looked_at_once() -> None:
    class Counting(ImmutableMultiDict[str, str]):
        looked = 0

        def multi_items(self) -> Any:
            Counting.looked += 1
            return super().multi_items()

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    source = Counting([(f"k{number}", "v") for number in range(1000)])
    value, _ = taken(field(Annotated[Open, Query()]), source)
    assert len(value.model_extra) == 1000
    assert Counting.looked == 1


def test_a_taker_says_what_it_takes() -> None:
    assert ParamTaker(field(Annotated[int, Header()], name="x_a")).label == "x-a: int"
    assert ParamTaker(field(int | None, None)).label == "value: int | None"
    assert BodyTaker([field(Item, name="a"), field(Item, name="b")], True).label == "a, b"
