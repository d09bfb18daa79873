"""Forms and files: urlencoded and multipart, single fields and models, uploads, and what an empty field means."""

import re
import sys
import types
from typing import Annotated

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Tag

from tercel import BackgroundTasks, Depends, FastAPI, File, Form, Request, UploadFile
from tercel.responses import PlainTextResponse


class Login(BaseModel):
    username: str
    password: str = Field(min_length=3)
    tags: list[str] = []


def locations(response):
    assert response.status_code == 422, response.text
    return [(error["type"], error["loc"]) for error in response.json()["detail"]]


# -- fields --------------------------------------------------------------------------------------------------------------------


def test_fields_come_from_an_urlencoded_form(serve):
    def endpoint(name: Annotated[str, Form()], age: Annotated[int, Form(ge=0)] = 7):
        return [name, age]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"name": "ä b&c", "age": "3"}).json() == ["ä b&c", 3]
    assert connected.post("/", data={"name": "x"}).json() == ["x", 7]
    assert locations(connected.post("/", data={"age": "-1"})) == [
        ("missing", ["body", "name"]),
        ("greater_than_equal", ["body", "age"]),
    ]


def test_fields_come_from_a_multipart_form(serve):
    def endpoint(name: Annotated[str, Form()], age: Annotated[int, Form()]):
        return [name, age]

    assert serve(endpoint, method="POST").post("/", files={"name": (None, "x"), "age": (None, "3")}).json() == ["x", 3]


def test_no_body_reports_each_required_field(serve):
    def endpoint(a: Annotated[str, Form()], b: Annotated[int, Form()]):
        return None

    assert serve(endpoint, method="POST").post("/").json() == {
        "detail": [
            {"type": "missing", "loc": ["body", "a"], "msg": "Field required", "input": None},
            {"type": "missing", "loc": ["body", "b"], "msg": "Field required", "input": None},
        ]
    }


def test_json_is_not_a_form(serve):
    def endpoint(a: Annotated[str, Form()]):
        return None

    assert locations(serve(endpoint, method="POST").post("/", json={"a": "x"})) == [("missing", ["body", "a"])]


def test_an_empty_field_is_a_missing_field(serve):
    def endpoint(
        required: Annotated[str, Form()], optional: Annotated[str | None, Form()] = None, number: Annotated[int, Form()] = 7
    ):
        return [required, optional, number]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"required": "x", "optional": "", "number": ""}).json() == ["x", None, 7]
    assert locations(connected.post("/", data={"required": ""})) == [("missing", ["body", "required"])]


def test_a_list_collects_all_values_and_a_scalar_takes_the_last(serve):
    def endpoint(many: Annotated[list[int], Form()], one: Annotated[int, Form()]):
        return [many, one]

    assert serve(endpoint, method="POST").post("/", data={"many": ["1", "2"], "one": ["3", "4"]}).json() == [[1, 2], 4]


def test_a_single_field_is_still_a_key_of_the_form(serve):
    def endpoint(only: Annotated[str, Form()]):
        return only

    assert serve(endpoint, method="POST").post("/", data={"only": "x"}).json() == "x"


def test_aliases_name_fields_of_a_form(serve):
    def endpoint(
        a: Annotated[str, Form(alias="first-name")], b: Annotated[int, Form(validation_alias=AliasChoices("n", "number"))]
    ):
        return [a, b]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"first-name": "x", "number": "2"}).json() == ["x", 2]
    assert locations(connected.post("/", data={"number": "x"})) == [
        ("missing", ["body", "first-name"]),
        ("int_parsing", ["body", "number"]),
    ]


def test_fields_of_dependencies_and_endpoint_come_from_one_form(serve):
    def user(name: Annotated[str, Form()]):
        return name

    def endpoint(age: Annotated[int, Form()], name: Annotated[str, Depends(user)]):
        return [name, age]

    assert serve(endpoint, method="POST").post("/", data={"name": "x", "age": "3"}).json() == ["x", 3]


def test_an_endpoint_without_form_parameters_may_parse_the_form_itself(serve):
    async def endpoint(request: Request):
        async with request.form() as form:
            return [form["a"], form.getlist("b")]

    assert serve(endpoint, method="POST").post("/", data={"a": "1", "b": ["2", "3"]}).json() == ["1", ["2", "3"]]


# -- models --------------------------------------------------------------------------------------------------------------------


def test_a_single_model_is_the_whole_form(serve):
    def endpoint(login: Annotated[Login, Form()]):
        return login

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"username": "u", "password": "secret", "tags": ["a", "b"]}).json() == {
        "username": "u",
        "password": "secret",
        "tags": ["a", "b"],
    }
    assert locations(connected.post("/", data={"password": "x"})) == [
        ("missing", ["body", "username"]),
        ("string_too_short", ["body", "password"]),
    ]


def test_a_form_model_may_forbid_other_fields(serve):
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        a: str

    def endpoint(form: Annotated[Strict, Form()]):
        return form

    assert locations(serve(endpoint, method="POST").post("/", data={"a": "1", "b": "2"})) == [("extra_forbidden", ["body", "b"])]


def test_a_form_model_may_keep_other_fields(serve):
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        a: str

    def endpoint(form: Annotated[Open, Form()]):
        return form

    assert serve(endpoint, method="POST").post("/", data={"a": "1", "b": ["2", "3"], "c": "4"}).json() == {
        "a": "1",
        "b": ["2", "3"],
        "c": "4",
    }


def test_an_empty_field_of_a_form_model_takes_the_default(serve):
    class Defaults(BaseModel):
        a: int = 7
        b: bool = False

    def endpoint(form: Annotated[Defaults, Form()]):
        return form

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"a": "", "b": "on"}).json() == {"a": 7, "b": True}
    assert connected.post("/", data={"x": "1"}).json() == {"a": 7, "b": False}


def test_two_models_and_a_field_share_a_form(serve):
    class Address(BaseModel):
        city: str

    def endpoint(login: Annotated[Login, Form()], address: Annotated[Address, Form()], note: Annotated[str, Form()] = "none"):
        return [login.username, address.city, note]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"username": "u", "password": "secret", "city": "c", "note": "n"}).json() == ["u", "c", "n"]
    assert locations(connected.post("/", data={"username": "u", "password": "secret"})) == [("missing", ["body", "city"])]


def test_a_nullable_form_model_is_absent_when_none_of_its_fields_was_sent(serve):
    def endpoint(login: Annotated[Login | None, Form()] = None):
        return login and login.username

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() is None
    assert connected.post("/", data={"other": "1"}).json() is None
    assert connected.post("/", data={"username": "u", "password": "secret"}).json() == "u"
    assert locations(connected.post("/", data={"username": "u"})) == [("missing", ["body", "password"])]


class Person(BaseModel):
    name: str
    tags: list[str] = []


class Company(BaseModel):
    company: str


def test_a_union_of_models_takes_the_branch_that_fits(serve):
    def endpoint(who: Annotated[Person | Company, Form()]):
        return [type(who).__name__, who]

    connected = serve(endpoint, method="POST")
    assert connected.post("/", data={"name": "n", "tags": "one"}).json() == ["Person", {"name": "n", "tags": ["one"]}]
    assert connected.post("/", data={"company": "c"}).json() == ["Company", {"company": "c"}]
    assert locations(connected.post("/", data={"other": "x"})) == [
        ("missing", ["body", "Person", "name"]),
        ("missing", ["body", "Company", "company"]),
    ]


def test_tags_name_the_branches_of_a_union_in_errors(serve):
    def endpoint(who: Annotated[Annotated[Person, Tag("person")] | Company, Form()]):
        return type(who).__name__

    assert locations(serve(endpoint, method="POST").post("/", data={"other": "x"})) == [
        ("missing", ["body", "person", "name"]),
        ("missing", ["body", "Company", "company"]),
    ]


# -- files ---------------------------------------------------------------------------------------------------------------------


def test_a_file_arrives_as_bytes_or_as_an_upload(serve):
    async def endpoint(as_bytes: Annotated[bytes, File()], as_upload: UploadFile):
        return [as_bytes.decode(), as_upload.filename, as_upload.content_type, as_upload.size, (await as_upload.read()).decode()]

    answer = serve(endpoint, method="POST").post(
        "/", files={"as_bytes": ("a.txt", b"aaa"), "as_upload": ("b.png", b"bbbb", "image/png")}
    )
    assert answer.json() == ["aaa", "b.png", "image/png", 4, "bbbb"]


def test_a_missing_file_is_reported(serve):
    def endpoint(a: UploadFile, b: Annotated[bytes, File()]):
        return None

    connected = serve(endpoint, method="POST")
    assert locations(connected.post("/")) == [("missing", ["body", "a"]), ("missing", ["body", "b"])]
    assert locations(connected.post("/", files={"other": b"x"})) == [("missing", ["body", "a"]), ("missing", ["body", "b"])]


def test_text_where_a_file_is_expected_is_refused(serve):
    def endpoint(a: UploadFile):
        return None

    (error,) = serve(endpoint, method="POST").post("/", data={"a": "text"}).json()["detail"]
    assert (error["type"], error["loc"], error["msg"]) == (
        "value_error",
        ["body", "a"],
        "Value error, Expected UploadFile, received: <class 'str'>",
    )


def test_optional_files_may_be_left_out(serve):
    def endpoint(
        a: UploadFile | None = None, b: Annotated[bytes | None, File()] = None, c: Annotated[list[UploadFile] | None, File()] = None
    ):
        return [a, b, c]

    connected = serve(endpoint, method="POST")
    assert connected.post("/").json() == [None, None, None]
    assert connected.post("/", files={"other": b"x"}).json() == [None, None, None]


def test_an_empty_file_input_is_a_missing_file(serve):
    def endpoint(a: UploadFile | None = None, many: list[UploadFile] | None = None):
        return [a, many]

    # What a browser sends for a file input in which nothing was chosen.
    nothing = b'--b\r\nContent-Disposition: form-data; name="%s"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n'
    body = nothing % b"a" + nothing % b"many" + b"--b--\r\n"
    answer = serve(endpoint, method="POST").post("/", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert answer.json() == [None, None]


def test_several_files_of_one_name_keep_their_order(serve):
    async def endpoint(uploads: list[UploadFile], raw: Annotated[list[bytes], File()]):
        return [[upload.filename for upload in uploads], [value.decode() for value in raw]]

    files = [("uploads", (f"{n}.txt", b"x")) for n in range(5)] + [("raw", (f"{n}", f"content {n}".encode())) for n in range(5)]
    assert serve(endpoint, method="POST").post("/", files=files).json() == [
        [f"{n}.txt" for n in range(5)],
        [f"content {n}" for n in range(5)],
    ]


def test_fields_and_files_mix_in_any_order(make_app, client):
    app = make_app()

    @app.post("/file-first")
    def file_first(file: Annotated[bytes, File()], text: Annotated[str, Form()]):
        return [len(file), text]

    @app.post("/form-first")
    def form_first(text: Annotated[str, Form()], file: UploadFile):
        return [file.size, text]

    connected = client(app)
    for path in ("/file-first", "/form-first"):
        assert connected.post(path, files={"file": ("f", b"123")}, data={"text": "t"}).json() == [3, "t"]
        content = connected.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
        assert list(content) == ["multipart/form-data"]


def test_a_form_model_may_contain_files(serve):
    class Profile(BaseModel):
        name: str
        picture: UploadFile

    async def endpoint(profile: Annotated[Profile, Form()]):
        return [profile.name, profile.picture.filename, (await profile.picture.read()).decode()]

    assert serve(endpoint, method="POST").post("/", files={"picture": ("p.png", b"png")}, data={"name": "n"}).json() == [
        "n",
        "p.png",
        "png",
    ]


def test_reading_a_file_as_bytes_leaves_the_position_of_a_shared_upload(serve):
    def as_bytes(file: Annotated[bytes, File()]):
        return len(file)

    async def endpoint(length: Annotated[int, Depends(as_bytes)], file: UploadFile):
        return [length, (await file.read()).decode()]

    assert serve(endpoint, method="POST").post("/", files={"file": ("f", b"shared")}).json() == [6, "shared"]


def test_uploads_are_open_in_background_tasks_and_closed_afterwards(make_app, client, journal):
    app = make_app()
    kept = []

    async def later(upload):
        journal((await upload.read()).decode())

    @app.post("/")
    async def endpoint(upload: UploadFile, tasks: BackgroundTasks):
        kept.append(upload)
        tasks.add_task(later, upload)
        return PlainTextResponse("ok")

    connected = client(app)
    connected.post("/", files={"upload": ("f", b"content")})
    connected.close()
    assert journal.entries == ["content"]
    assert kept[0].file.closed


def test_an_upload_can_be_read_in_pieces_and_sought(serve):
    async def endpoint(upload: UploadFile):
        first = await upload.read(2)
        await upload.seek(1)
        return [first.decode(), (await upload.read()).decode(), upload.headers["content-disposition"]]

    answer = serve(endpoint, method="POST").post("/", files={"upload": ("f.txt", b"abcd")}).json()
    assert answer == ["ab", "bcd", 'form-data; name="upload"; filename="f.txt"']


def test_a_large_file_arrives_whole(serve):
    async def endpoint(upload: UploadFile):
        content = await upload.read()
        return [upload.size, len(content), content[:3].decode()]

    assert serve(endpoint, method="POST").post("/", files={"upload": ("f", b"xyz" * 1_000_000)}).json() == [
        3_000_000,
        3_000_000,
        "xyz",
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "detail"),
    [
        (b"x", "multipart/form-data", "Missing boundary in multipart."),
        (b"--b\r\nbad header\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", None),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", None),
    ],
)
def test_a_malformed_multipart_form_is_a_400(serve, body, content_type, detail):
    def endpoint(a: Annotated[str, Form()]):
        return a

    answer = serve(endpoint, method="POST").post("/", content=body, headers={"content-type": content_type})
    assert answer.status_code == 400
    if detail is not None:
        assert answer.json() == {"detail": detail}


def test_a_file_parameter_in_a_model_body_is_refused_at_declaration():
    app = FastAPI()

    class Thing:
        pass

    with pytest.raises(Exception, match=re.escape("Invalid args for response field!")):

        @app.post("/")
        def endpoint(a: Annotated[Thing, Form()]):
            return a


@pytest.mark.parametrize(
    ("other_installed", "message"),
    [(False, 'Form data requires "python-multipart" to be installed'), (True, 'It seems you installed "multipart" instead')],
)
def test_a_form_without_its_library_is_refused_at_declaration(monkeypatch, other_installed, message):
    other = types.ModuleType("multipart")
    other.__version__ = "1"
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    monkeypatch.setitem(sys.modules, "multipart", other if other_installed else None)
    monkeypatch.setitem(sys.modules, "multipart.multipart", None)
    app = FastAPI()
    with pytest.raises(RuntimeError, match=message):

        @app.post("/")
        def endpoint(a: Annotated[str, Form()]):
            return a
