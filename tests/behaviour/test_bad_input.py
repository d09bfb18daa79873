"""Whatever a client sends, the answer is a 4xx in the shape of all errors, never a 500."""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, Json

from tercel import Body, Cookie, File, Form, Header, Query, UploadFile, WebSocket

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Inner(BaseModel):
    n: int
    text: str = ""


class Outer(BaseModel):
    inner: Inner
    many: list[Inner] = []
    named: dict[str, float] = {}
    kind: Literal["a", "b"] = "a"
    anything: Any = None


class Filters(BaseModel):
    q: str | None = None
    n: int | None = None


@pytest.fixture
def connected(make_app, client, engine):
    """A client of an application with an endpoint for each way in; the application is made once for each engine."""
    if engine not in made:
        made[engine] = make_hostile_app(make_app)
    return client(made[engine], raise_errors=False)


made: dict[str, Any] = {}


def make_hostile_app(make_app):
    """An application with an endpoint for each way in; most give back what they took."""
    app = make_app()

    @app.post("/model")
    def model(outer: Outer):
        return outer

    @app.post("/any")
    def anything(value: Annotated[Any, Body()]):
        return type(value).__name__

    @app.post("/dict")
    def mapping(value: dict[str, Any]):
        return value

    @app.post("/list")
    def sequence(value: list[int | str | None]):
        return value

    @app.post("/several")
    def several(one: Inner, two: Annotated[int, Body()]):
        return [one, two]

    @app.post("/text")
    def text(value: Annotated[str, Body()]):
        return value

    @app.post("/form")
    def form(a: Annotated[str, Form()], n: Annotated[int, Form()] = 0):
        return [a, n]

    @app.post("/form-model")
    def form_model(inner: Annotated[Inner, Form()]):
        return inner

    @app.post("/file")
    async def file(f: UploadFile, raw: Annotated[bytes | None, File()] = None):
        return [f.filename, len(await f.read()), raw is None]

    @app.get("/path/{n}/{text}")
    def path(n: int, text: str):
        return [n, text]

    @app.get("/query")
    def query(
        n: int = 0,
        x: float = 0.0,
        text: Annotated[str, Query(max_length=100)] = "",
        many: Annotated[list[int], Query()] = [],  # noqa: B006 - defaults are copied
        data: Annotated[Json[Any] | None, Query()] = None,
    ):
        return [n, x, text, many, data]

    @app.get("/filters")
    def filters(filters: Annotated[Filters, Query()]):
        return filters

    @app.get("/head")
    def head(x_n: Annotated[int, Header()] = 0, x_text: Annotated[str, Header(max_length=5)] = "", c: Annotated[int, Cookie()] = 0):
        return [x_n, x_text, c]

    @app.websocket("/ws")
    async def socket(websocket: WebSocket, n: Annotated[int, Field(ge=0)]):
        await websocket.accept()
        await websocket.close()

    return app


def assert_no_fault_of_ours(answer):
    """A good answer, or a 4xx with a `detail`; JSON as RFC 8259 has it in both cases."""

    def refuse(token):
        raise AssertionError(f"{token} is not JSON: {answer.content!r}")

    assert answer.status_code == 200 or 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    body = json.loads(answer.content.decode(), parse_constant=refuse)
    if answer.status_code == 200:
        return
    assert list(body) == ["detail"]
    if answer.status_code == 422:
        assert body["detail"]
        for error in body["detail"]:
            assert {"type", "loc", "msg"} <= set(error)
            assert not {"url"} & set(error)
    else:
        assert isinstance(body["detail"], str)


RAW_BODIES = {
    "nan": b'{"inner": {"n": NaN}}',
    "infinity inside": b'{"inner": {"n": 1}, "named": {"x": [Infinity]}}',
    "overflow": b'{"inner": {"n": 1e999}, "named": {"x": -1e999}}',
    "huge integer": b'{"inner": {"n": ' + b"9" * 5000 + b"}}",
    "huge number in text": b'{"inner": {"n": "' + b"9" * 5000 + b'"}}',
    "surrogate value": b'{"inner": {"n": "\\ud800"}, "anything": "\\udc00"}',
    "surrogate key": b'{"inner": {"n": 1}, "\\ud800": 1}',
    "surrogate in a name": b'{"inner": {"n": 1}, "named": {"\\ud800": "x"}}',
    "nul": b'{"inner": {"n": "\\u0000", "text": "\\u0000"}}',
    "not utf-8": b'{"inner": {"n": "\xff\xfe"}}',
    "utf-16 without mark": '{"inner": 1}'.encode("utf-16-le"),
    "cut utf-8": b'{"inner": "\xe2\x82',
    "only bytes": b"\xff\xfe\xfd\xfc",
    "deep lists": b"[" * 5000 + b"]" * 5000,
    "deep objects": b'{"inner":' * 5000 + b"1" + b"}" * 5000,
    "deep inside": b'{"inner": {"n": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
    "deep and open": b"[" * 100_000,
    "cut": b'{"inner": {"n": 1}',
    "trailing": b'{"inner": {"n": 1}} x',
    "empty object": b"{}",
    "null": b"null",
    "number": b"1",
    "text": b'"text"',
    "spaces": b"   ",
    "list": b"[1, 2]",
    "wrong all over": b'{"inner": [], "many": {"0": null}, "named": 1, "kind": {}, "anything": []}',
    "wrong inside": b'{"inner": {"n": {}, "text": 1}, "many": [1, {"n": "x"}, null], "named": {"a": "b"}}',
    "many errors": b'{"inner": {"n": 1}, "many": [' + b",".join([b'{"n": "x"}'] * 500) + b"]}",
    "long text": b'{"inner": {"n": "' + b"x" * 100_000 + b'"}}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "control characters": b'{"inner": "\x01\x02"}',
    "duplicate keys": b'{"inner": 1, "inner": 2}',
}


@pytest.mark.differs("1 to 4: 500", always=False)
@pytest.mark.parametrize("name", list(RAW_BODIES))
def test_every_body_is_answered(connected, name):
    for content_type in ("application/json", None, "text/plain", "application/x-www-form-urlencoded", "nonsense"):
        headers = {} if content_type is None else {"content-type": content_type}
        for path in ("/model", "/any", "/dict", "/list", "/several", "/text", "/form", "/form-model"):
            assert_no_fault_of_ours(connected.post(path, content=RAW_BODIES[name], headers=headers))


MULTIPART = {
    "no boundary": (b"x", "multipart/form-data"),
    "empty boundary": (b"----", "multipart/form-data; boundary="),
    "boundary that never comes": (b"hello", "multipart/form-data; boundary=b"),
    "no body": (b"", "multipart/form-data; boundary=b"),
    "cut in a header": (b"--b\r\nContent-Disposition: form-data; na", "multipart/form-data; boundary=b"),
    "cut in a value": (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nval', "multipart/form-data; boundary=b"),
    "no name": (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "no disposition": (b"--b\r\nX: y\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "bad header": (b"--b\r\nno colon\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "not utf-8 value": (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "not utf-8 name": (
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "not utf-8 file name": (
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="\xff\xfe"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "unknown charset": (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b; charset=nonsense",
    ),
    "quoted boundary": (
        b'--a b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--a b--\r\n',
        'multipart/form-data; boundary="a b"',
    ),
    "boundary not ascii": (b"--\xff\r\n", b"multipart/form-data; boundary=\xff"),
    "too many fields": (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' for _ in range(1001)) + b"--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    "too large a field": (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 1_100_000 + b"\r\n--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    "a file for a field": (
        b'--b\r\nContent-Disposition: form-data; name="a"; filename="x"\r\n\r\n\xff\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
}


@pytest.mark.differs("500 for some of them", always=False)
@pytest.mark.parametrize("name", list(MULTIPART))
def test_every_multipart_form_is_answered(connected, name):
    body, content_type = MULTIPART[name]
    for path in ("/form", "/form-model", "/file", "/model"):
        assert_no_fault_of_ours(connected.post(path, content=body, headers={"content-type": content_type}))


@pytest.mark.differs("500 for some of them", always=False)
@pytest.mark.parametrize(
    "body",
    [
        b"%",
        b"a=%ff%fe",
        b"a=\xff\xfe",
        b"a=%ED%A0%80",
        b"=&=&&",
        b"a",
        b"a=1;b=2",
        b"n=" + b"9" * 5000 + b"&a=x",
        b"a=%00",
        b"&".join(b"a=1" for _ in range(1001)),
        b"a=" + b"x" * 1_100_000,
        b"text=1&n=%s",
    ],
)
def test_every_urlencoded_form_is_answered(connected, body):
    for path in ("/form", "/form-model", "/file"):
        assert_no_fault_of_ours(connected.post(path, content=body, headers=FORM))


def test_forms_beyond_the_usual_limits_are_a_400(connected):
    too_many = connected.post("/form", content=b"&".join(b"a=1" for _ in range(1001)), headers=FORM)
    assert (too_many.status_code, too_many.json()) == (400, {"detail": "Too many fields. Maximum number of fields is 1000."})


@pytest.mark.differs("12: 500 for numbers that are not finite", always=False)
@pytest.mark.parametrize(
    "target",
    [
        "/query?n=%ff",
        "/query?n=" + "9" * 5000,
        "/query?n=1_000",
        "/query?n=%D9%A1",
        "/query?x=nan",
        "/query?x=inf&n=1",
        "/query?x=1e999",
        "/query?text=%ff%fe",
        "/query?text=%ED%A0%80",
        "/query?text=" + "x" * 5000,
        "/query?text=%00",
        "/query?many=1&many=x&many=%ff",
        "/query?data=NaN",
        "/query?data=[1e999]",
        "/query?data=%22%5Cud800%22",
        "/query?data=" + "[" * 3000,
        "/query?data=%ff",
        "/query?&&==&%&%zz",
        "/query?n=1&n=2&n=x",
        "/filters?q=%ff&n=%ff",
        "/filters?" + "&".join(f"k{n}=v" for n in range(1000)),
        "/path/%ff/%ff",
        "/path/1/%00",
        "/path/nan/x",
        "/path/" + "9" * 5000 + "/x",
        "/path/1/%ED%A0%80",
        "/%ff",
        "//",
        "/..%2f..",
        "/path/1/a%0d%0ab",
    ],
)
def test_every_target_is_answered(connected, target):
    answer = connected.get(target)
    assert_no_fault_of_ours(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-n": b"\xff"},
        {"x-n": "9" * 5000},
        {"x-text": b"\xff\xfe\xfd"},
        {"x-text": "too long a text"},
        {"cookie": b"c=\xff"},
        {"cookie": "c"},
        {"cookie": "=;;=;c=x;"},
        {"cookie": 'c="\\377"'},
        {"authorization": b"\xff"},
        {"accept": b"\xff"},
    ],
)
def test_every_header_is_answered(connected, headers):
    assert_no_fault_of_ours(connected.get("/head", headers=headers))


@pytest.mark.parametrize("target", ["/ws", "/ws?n=x", "/ws?n=-1", "/ws?n=%ff", "/ws?n=nan", "/ws?n=" + "9" * 5000])
def test_every_bad_websocket_request_is_refused(connected, target):
    assert connected.refused(target).status_code == 403


# -- at random -------------------------------------------------------------------------------------------------------------------

tokens = st.sampled_from(
    [
        *["{", "}", "[", "]", ":", ",", '"', " ", "\n", "\\", "\\u", "\\ud800", '"\\udfff"', "\x00", "\ufeff", "é"],
        *['"inner"', '"n"', '"many"', '"named"', "1", "-", "1.5", "1e400", "9" * 400, "NaN", "Infinity", "null", "true"],
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["inner", "n", "text", "many", "named", "kind", "x"]), inner)
    ),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=40),
    st.lists(tokens, max_size=25).map(lambda parts: "".join(parts).encode()),
    values.map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.differs("1 to 4: 500", always=False)
def test_random_bodies_are_answered(connected):

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.sampled_from(["/model", "/any", "/dict", "/list", "/several", "/text"]), bodies)
    def check(path, body):
        assert_no_fault_of_ours(connected.post(path, content=body, headers=JSON))

    check()


@pytest.mark.differs("12: 500 for numbers that are not finite", always=False)
def test_random_queries_are_answered(connected):
    names = st.sampled_from(["n", "x", "text", "many", "data", "other"])
    parts = st.lists(st.tuples(names, st.binary(max_size=8) | st.sampled_from([b"nan", b"1", b"[1]", b"{}", b""])), max_size=5)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(parts)
    def check(pairs):
        query = "&".join(f"{name}={''.join(f'%{byte:02x}' for byte in value)}" for name, value in pairs)
        assert_no_fault_of_ours(connected.get(f"/query?{query}"))

    check()


@pytest.mark.differs("it is made an int, which takes hours", hangs=True)
def test_a_decimal_with_a_huge_exponent_is_answered_at_once(make_app, client):
    app = make_app()

    @app.get("/")
    def endpoint(price: Decimal):
        return {"price": price}

    answer = client(app).get("/?price=1e999999999")
    assert (answer.status_code, answer.json()) == (200, {"price": None})
