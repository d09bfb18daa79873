"""Limits on bodies and forms: which of several counts, and what is answered beyond it."""

from typing import Annotated

import pytest

from tercel import APIRouter, Body, FastAPI, Form, Request, UploadFile


async def size(request: Request):
    return len(await request.body())


async def text_of(text: Annotated[str, Form()]):
    return text


@pytest.mark.parametrize(
    ("limit", "length", "status"),
    [(None, 100_000, 200), (0, 0, 200), (0, 1, 413), (5, 5, 200), (5, 6, 413), (100_000, 100_001, 413)],
)
def test_a_body_may_be_as_long_as_the_limit(make_app, client, limit, length, status):
    app = make_app(max_body_size=limit)
    app.post("/")(size)
    answer = client(app).post("/", content=b"x" * length)
    assert answer.status_code == status
    if status == 200:
        assert answer.json() == length


def test_a_body_beyond_the_limit_is_a_413_that_says_so(make_app, client):
    app = make_app(max_body_size=5)

    @app.post("/")
    def endpoint(value: Annotated[dict, Body()]):
        return value

    answer = client(app).post("/", json={"long": "er"})
    assert answer.status_code == 413
    assert "Content Too Large" in answer.text


def test_bytes_are_counted_when_no_length_was_announced(make_app, client):
    app = make_app(max_body_size=5)
    app.post("/")(size)

    def chunks():
        yield b"123"
        yield b"456"

    assert client(app).post("/", content=chunks()).status_code == 413


@pytest.mark.parametrize(
    ("on_app", "on_outer", "on_include", "on_inner", "on_route", "status"),
    [
        (None, None, None, None, None, 200),
        (5, None, None, None, None, 413),
        (5, 10, None, None, None, 200),
        (10, 5, None, None, None, 413),
        (5, 5, 10, None, None, 200),
        (10, 10, 5, None, None, 413),
        (5, 5, 5, 10, None, 200),
        (10, 10, 10, 5, None, 413),
        (5, 5, 5, 5, 10, 200),
        (10, 10, 10, 10, 5, 413),
        (10, 10, 10, 10, 0, 413),
    ],
)
def test_the_nearest_limit_counts(make_app, client, on_app, on_outer, on_include, on_inner, on_route, status):
    inner = APIRouter(max_body_size=on_inner)
    inner.post("/", max_body_size=on_route)(size)
    outer = APIRouter(max_body_size=on_outer)
    outer.include_router(inner, prefix="/inner", max_body_size=on_include)
    app = make_app(max_body_size=on_app)
    app.include_router(outer, prefix="/outer")
    assert client(app).post("/outer/inner/", content=b"123456").status_code == status


def test_a_router_included_twice_has_a_limit_for_each_inclusion(make_app, client):
    router = APIRouter()
    router.post("/")(size)
    app = make_app()
    app.include_router(router, prefix="/small", max_body_size=5)
    app.include_router(router, prefix="/large")
    connected = client(app)
    assert connected.post("/small/", content=b"123456").status_code == 413
    assert connected.post("/large/", content=b"123456").status_code == 200


@pytest.mark.parametrize(("outer", "inner", "status"), [(5, None, 413), (5, 10, 200), (10, 5, 413)])
def test_a_mounted_application_inherits_or_replaces_the_limit(make_app, client, outer, inner, status):
    mounted = make_app(max_body_size=inner)
    mounted.post("/")(size)
    app = make_app(max_body_size=outer)
    app.mount("/mounted", mounted)
    assert client(app).post("/mounted/", content=b"123456").status_code == status


@pytest.mark.parametrize("limit", [-1, True, 1.5, "5"])
def test_a_limit_must_be_a_whole_number_of_bytes(limit):
    with pytest.raises(ValueError, match="max_body_size must be a non-negative integer or None"):
        FastAPI(max_body_size=limit)


def test_a_body_that_is_not_read_is_not_counted(make_app, client):
    app = make_app(max_body_size=5)

    @app.post("/")
    def endpoint():
        return "ignored the body"

    def chunks():
        yield b"123"
        yield b"456"

    assert client(app).post("/", content=chunks()).json() == "ignored the body"


def test_the_number_of_fields_is_limited(make_app, client):
    app = make_app(form_limits={"max_fields": 2})
    app.post("/")(text_of)
    connected = client(app)
    assert connected.post("/", data={"text": "x", "b": "1"}).json() == "x"
    for answer in (
        connected.post("/", data={"text": "x", "b": "1", "c": "2"}),
        connected.post("/", files={"text": (None, "x"), "b": (None, "1"), "c": (None, "2")}),
    ):
        assert (answer.status_code, answer.json()) == (400, {"detail": "Too many fields. Maximum number of fields is 2."})


def test_the_number_of_files_is_limited(make_app, client):
    app = make_app(form_limits={"max_files": 1})

    @app.post("/")
    def endpoint(files: list[UploadFile]):
        return len(files)

    connected = client(app)
    assert connected.post("/", files=[("files", ("a", b"1"))]).json() == 1
    answer = connected.post("/", files=[("files", ("a", b"1")), ("files", ("b", b"2"))])
    assert (answer.status_code, answer.json()) == (400, {"detail": "Too many files. Maximum number of files is 1."})


def test_the_size_of_a_part_is_limited_but_not_that_of_a_file(make_app, client):
    app = make_app(form_limits={"max_part_size": 3})

    @app.post("/")
    def endpoint(text: Annotated[str, Form()], file: UploadFile | None = None):
        return [text, file and file.size]

    connected = client(app)
    assert connected.post("/", files={"text": (None, "abc"), "file": ("f", b"longer")}).json() == ["abc", 6]
    answer = connected.post("/", files={"text": (None, "abcd")})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Part exceeded maximum size of 0KB."})


def test_form_limits_of_all_levels_are_merged_key_by_key(make_app, client):
    child = APIRouter(form_limits={"max_fields": 1})
    child.post("/", form_limits={"max_part_size": 3})(text_of)
    parent = APIRouter()
    parent.include_router(child, form_limits={"max_fields": 4})
    app = make_app(form_limits={"max_part_size": 1})
    app.include_router(parent, prefix="/none", form_limits={"max_files": 0})
    app.include_router(parent, prefix="/one", form_limits={"max_files": 1})
    connected = client(app)
    fits = [("text", (None, "abc")), ("file", ("f", b"12345"))]
    assert connected.post("/none/", files=fits).status_code == 400
    assert connected.post("/one/", files=fits).json() == "abc"
    assert connected.post("/one/", files=[*fits, ("more", (None, "z"))]).status_code == 400
    assert connected.post("/one/", files={"text": (None, "abcd")}).status_code == 400


@pytest.mark.parametrize("limits", [{"max_parts": 1}, {"max_files": -1}, {"max_fields": False}, {"max_part_size": 1.5}])
def test_unknown_and_wrong_form_limits_are_refused(limits):
    with pytest.raises(ValueError):
        FastAPI(form_limits=limits)
    with pytest.raises(ValueError):
        APIRouter(form_limits=limits)
    with pytest.raises(ValueError):
        FastAPI().post("/", form_limits=limits)(text_of)


def test_a_form_beyond_the_body_limit_is_a_413(make_app, client):
    app = make_app(max_body_size=25)
    app.post("/")(text_of)
    connected = client(app)
    assert connected.post("/", data={"text": "ok"}).json() == "ok"
    assert connected.post("/", data={"text": "x" * 30}).status_code == 413


def test_a_form_parsed_by_the_endpoint_has_the_limits_that_it_names(make_app, client):
    app = make_app(form_limits={"max_fields": 0})

    @app.post("/")
    async def endpoint(request: Request):
        async with request.form(max_fields=1) as form:
            return form["text"]

    connected = client(app)
    assert connected.post("/", data={"text": "ok"}).json() == "ok"
    assert connected.post("/", data={"text": "ok", "b": "1"}).status_code == 400
