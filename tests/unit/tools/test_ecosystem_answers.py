"""`make ecosystem-openapi`: which requests a document gives, and what counts as a difference between answers."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.ecosystem import answers
from tools.ecosystem.answers import Answer, ask, compare, steady
from tools.ecosystem.catalogue import Application
from tools.ecosystem.places import Place
from tools.ecosystem.requesting import OPERATIONS_AT_MOST, WRONG, Request, example, requests_of
from tools.environment import Problem

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/items/{item_id}": {
            "delete": {"parameters": [{"name": "item_id", "in": "path", "required": True, "schema": {"type": "integer"}}]},
            "get": {
                "parameters": [
                    {"name": "item_id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 7}},
                    {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}},
                    {"name": "page", "in": "query", "schema": {"type": "integer"}},
                ]
            },
        },
        "/items": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}}},
        "/login": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {"type": "object", "properties": {"user": {"type": "string"}}, "required": ["user"]}
                        }
                    }
                }
            }
        },
    },
    "components": {
        "schemas": {
            "Item": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 9},
                    "kind": {"enum": ["big", "small"]},
                    "tags": {"type": "array", "items": {"type": "string", "format": "date"}},
                    "parent": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Item"}]},
                    "left_out": {"type": "string"},
                },
                "required": ["name", "kind", "tags"],
            },
            "Loop": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Loop"}}, "required": ["next"]},
        }
    },
}


# -- requests ----------------------------------------------------------------------------------------------------------------------


def test_an_operation_is_asked_rightly_and_wrongly_and_deletions_come_last() -> None:
    requests = requests_of(DOCUMENT)
    assert {request.name: request.target for request in requests if request.method == "GET"} == {
        "GET /items/{item_id}": "/items/7?q=example",
        "GET /items/{item_id} with wrong path parameters": f"/items/{WRONG}",
        "GET /items/{item_id} without its query parameters": "/items/7",
        "GET /items/{item_id} with wrong query parameters": f"/items/7?q={WRONG}&page={WRONG}",
    }
    assert [request.method for request in requests[-2:]] == ["DELETE", "DELETE"]


def test_bodies_are_right_in_the_first_request_and_wrong_in_each_of_the_others() -> None:
    bodies = [(request.body, request.content_type) for request in requests_of(DOCUMENT) if request.target == "/items"]
    right = {"name": "exampleee", "kind": "big", "tags": ["2024-01-02"]}
    assert json.loads(bodies[0][0] or b"") == right
    assert bodies[1:] == [
        (b'{"a": ', "application/json"),
        (b"{}", "application/json"),
        (b"[1]", "application/json"),
        (b"{}", "text/plain"),
        (None, "application/json"),
    ]
    (form, *_) = [request for request in requests_of(DOCUMENT) if request.target == "/login"]
    assert (form.body, form.content_type) == (b"user=example", "application/x-www-form-urlencoded")


def test_a_schema_that_contains_itself_has_an_example() -> None:
    value, levels = example(DOCUMENT, {"$ref": "#/components/schemas/Loop"}), 0
    while value is not None:
        value, levels = value["next"], levels + 1
    assert 1 < levels < 20


def test_a_large_document_is_asked_in_parts_from_all_over_it() -> None:
    paths = {f"/{number}": {"get": {}} for number in range(OPERATIONS_AT_MOST * 2 + 1)}
    targets = [request.target for request in requests_of({"paths": paths})]
    assert OPERATIONS_AT_MOST / 2 < len(targets) <= OPERATIONS_AT_MOST
    assert targets[:2] == ["/0", "/3"]
    assert int(targets[-1][1:]) > OPERATIONS_AT_MOST


# -- answers -----------------------------------------------------------------------------------------------------------------------

ASKED = [Request("GET /", "GET", "/")]
FINE = Answer(200, (("content-type", "text/plain"),), "one")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Answer(500, FINE.headers, "broken"), "GET /: 500 broken, not 200 one"),
        (Answer(0, (), "ConnectionResetError"), "GET /: no answer ConnectionResetError, not 200 one"),
        (Answer(200, (("content-type", "text/html"),), "one"), "GET /: header fields [('content-type', 'text/html')], not"),
        (Answer(200, FINE.headers, "two"), "GET /: 'two', not 'one'"),
        (Answer(200, FINE.headers, "one more"), "GET /: 'one more', not 'one'"),
    ],
)
def test_status_header_fields_and_body_have_to_be_equal(other: Answer, said: str) -> None:
    result = compare(ASKED, [FINE], [FINE], [other])
    assert (result.requests, result.equal) == (1, 0)
    assert result.problems[0].startswith(said)


def test_a_cause_that_touches_every_request_does_not_fill_the_report() -> None:
    many = answers.PROBLEMS_AT_MOST + 7
    result = compare(ASKED * many, [FINE] * many, [FINE] * many, [Answer(500)] * many)
    assert (result.requests, result.equal, result.problems[-1]) == (many, 0, "and 7 more")
    assert len(result.problems) == answers.PROBLEMS_AT_MOST + 1


def test_where_fastapi_differs_from_itself_only_the_status_counts() -> None:
    two, three = Answer(200, FINE.headers, "two"), Answer(200, FINE.headers, "three")
    result = compare(ASKED, [FINE], [two], [three])
    assert (result.equal, result.unsteady, result.problems) == (1, 1, [])
    assert compare(ASKED, [FINE], [two], [Answer(500, FINE.headers, "three")]).problems
    assert compare(ASKED, [FINE], [two], [two]).unsteady == 0


def test_what_changes_from_run_to_run_is_masked_and_nothing_else() -> None:
    one = "id 9f0c1c1e-2a60-4a0b-9d1e-6f3a0c3f9a01 at 2026-11-24T12:00:00.123Z in 0.12345 s from 127.0.0.1:4711 <x at 0x7f00aa11>"
    other = "id 0a0c1c1e-2a60-4a0b-9d1e-6f3a0c3f9a02 at 2026-11-24T12:00:09Z in 0.54321 s from 127.0.0.1:4712 <x at 0x7f00aa12>"
    assert steady(one) == steady(other)
    plain = '{"count": 12, "price": 1.5, "name": "example", "day": "2024-01-02"}'
    assert steady(plain) == plain


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.send_header("X-Kind", self.headers["content-type"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_a_request_is_sent_as_it_is_and_its_answer_is_without_what_belongs_to_the_server(port: int) -> None:
    answer = ask(port, Request("POST /", "POST", "/", b"{}", "text/plain"))
    assert answer == Answer(201, (("x-kind", "text/plain"),), "{}")


def test_no_answer_is_an_answer_with_the_reason() -> None:
    assert ask(answers.free_port(), ASKED[0]) == Answer(0, (), "ConnectionRefusedError")


def test_an_application_that_does_not_start_is_a_problem_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.ecosystem.places.HOME", tmp_path)
    place = Place(Application("shop", "1", serve="no_such_module:app"), "tercel", Path(sys.executable))
    with (
        pytest.raises(Problem, match=r"does not start: shop on tercel: see .*server\.log"),
        answers.serving(place, Application("shop", "1", serve="no_such_module:app")),
    ):
        pass
    assert "no_such_module" in (place.folder / "server.log").read_text()


def test_an_application_is_served_by_tercel_and_asked_what_its_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.ecosystem.places.HOME", tmp_path)
    (tmp_path / "shop_program.py").write_text("import tercel\n\ndef make():\n    return tercel.FastAPI()\n")
    application = Application("shop", "1", serve="shop_program:make()", variables={"PYTHONPATH": f"{tmp_path}:."})
    place = Place(application, "tercel", Path(sys.executable))
    found, missing = answers.answers_of(place, application, [Request("1", "GET", "/openapi.json"), Request("2", "GET", "/no")])
    assert found.status == 200
    assert json.loads(found.body)["info"]["title"] == "FastAPI"
    assert missing == Answer(404, (("content-type", "application/json"),), '{"detail":"Not Found"}')
