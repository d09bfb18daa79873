"""Every HTTP feature of the demo, used the way its page says."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.demo.serving import Served

DEADLINE_S = 30.0


def eventually(attempt: Callable[[], bool], deadline_s: float = DEADLINE_S) -> bool:
    """Whether the attempt succeeds before the deadline. Each attempt is a request, so this does not spin."""
    end = time.monotonic() + deadline_s
    while not (succeeded := attempt()) and time.monotonic() < end:
        pass
    return succeeded


def read_events(response: httpx.Response) -> Iterator[dict[str, str]]:
    """The server-sent events of a streaming response, each as its fields."""
    event: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


def bearer(server: Served, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token(user)}"}


# -- the page ------------------------------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


@pytest.mark.parametrize("path", ["style.css", "falcon.svg", "js/main.js", "falcons.json"])
def test_the_files_of_the_page_are_served_and_revalidated(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status_code == 200
    again = client.get(f"/static/{path}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_main_and_the_public_application_have_a_documentation_and_the_internal_one_has_none(client: httpx.Client) -> None:
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [200] * 3
    assert [client.get(f"/public{path}").status_code for path in ("/docs", "/redoc", "/openapi.json")] == [200] * 3
    assert [client.get(f"/internal{path}").status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_the_schema_names_every_documented_path(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    wanted = {"/signup/", "/outbox", "/report", "/events", "/external-data", "/items/", "/token", "/chat"}
    assert wanted | {"/admin/users/{user_id}", "/editor/posts/", "/timed/", "/gzip/numbers"} <= set(paths)
    assert set(client.get("/public/openapi.json").json()["paths"]) == {"/products/", "/products/{slug}"}


# -- sign-up -------------------------------------------------------------------------------------------------------------------


def sign_up(client: httpx.Client, username: str) -> httpx.Response:
    return client.post("/signup/", json={"username": username, "email": f"{username}@example.com", "password": "long enough"})


def test_a_sign_up_creates_the_user_and_sends_a_mail(client: httpx.Client) -> None:
    answer = sign_up(client, "ada")
    assert answer.status_code == 201
    assert answer.json()["role"] == "viewer"

    def arrived() -> bool:
        return any(mail["to"] == ["ada@example.com"] and "Hello ada" in mail["text"] for mail in client.get("/outbox").json())

    assert eventually(arrived)
    form = {"username": "ada", "password": "long enough"}
    assert client.post("/token", data=form).json()["role"] == "viewer"


def test_a_name_is_taken_only_once(client: httpx.Client) -> None:
    assert sign_up(client, "grace").status_code == 201
    again = sign_up(client, "grace")
    assert again.status_code == 409
    assert again.json() == {
        "error": {
            "code": "ALREADY_TAKEN",
            "message": "This user name or this address has an account already.",
            "path": "/signup/",
        }
    }


def test_an_invalid_sign_up_says_where_it_is_wrong_and_does_not_repeat_the_password(client: httpx.Client) -> None:
    answer = client.post("/signup/", json={"username": "x y", "email": "nobody", "password": "s3cret"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["code"], error["path"]) == ("VALIDATION_ERROR", "/signup/")
    assert [detail["loc"] for detail in error["details"]] == [["body", "username"], ["body", "email"], ["body", "password"]]
    assert all(set(detail) == {"loc", "msg", "type"} for detail in error["details"])
    assert "s3cret" not in answer.text


# -- streams -------------------------------------------------------------------------------------------------------------------


def test_the_report_is_a_thousand_rows_in_many_pieces(client: httpx.Client) -> None:
    with client.stream("GET", "/report") as answer:
        assert answer.headers["content-type"].startswith("text/csv")
        assert "sales.csv" in answer.headers["content-disposition"]
        assert "content-length" not in answer.headers
        text = answer.read().decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["number"]) for row in rows] == list(range(1, 1001))
    assert all(round(float(row["unit_price"]) * int(row["quantity"]), 2) == float(row["total"]) for row in rows)


def test_events_count_upwards_with_a_time(client: httpx.Client) -> None:
    with client.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        events = [event for event, _ in zip(read_events(answer), range(3), strict=False)]
    assert [event["id"] for event in events] == ["1", "2", "3"]
    assert [json.loads(event["data"])["count"] for event in events] == [1, 2, 3]
    assert all(json.loads(event["data"])["time"] for event in events)


def test_events_go_on_after_the_last_one_that_arrived(client: httpx.Client) -> None:
    with client.stream("GET", "/events", headers={"Last-Event-ID": "41"}) as answer:
        assert next(read_events(answer))["id"] == "42"


def test_external_data_are_passed_on_as_they_are(client: httpx.Client) -> None:
    answer = client.get("/external-data")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == client.get("/static/falcons.json").content


# -- items ---------------------------------------------------------------------------------------------------------------------


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


def test_items_come_in_pages_without_gaps_or_repetitions(client: httpx.Client) -> None:
    first = client.get("/items/", params={"limit": 7}).json()
    seen: list[int] = []
    for offset in range(0, first["total"], 7):
        seen += [item["id"] for item in client.get("/items/", params={"limit": 7, "offset": offset}).json()["items"]]
    assert len(seen) == first["total"] == len(set(seen))


def test_wildcards_in_a_search_are_literal(client: httpx.Client) -> None:
    assert names(client.get("/items/", params={"q": "%"})) == ["50% off lure", "100% leather lure"]
    assert names(client.get("/items/", params={"q": "_"})) == ["hood_block size 4", "hood_block size 6"]
    assert names(client.get("/items/", params={"q": "c:\\F"})) == ["C:\\falcons poster"]
    assert names(client.get("/items/", params={"q": "'; DROP TABLE items; --"})) == []


def test_filters_hold_together(client: httpx.Client) -> None:
    found = client.get("/items/", params={"category": "perches", "min_price": "62.50", "max_price": "119"}).json()["items"]
    assert [item["price"] for item in found] == [62.5, 89.0, 119.0]
    assert {item["category"] for item in found} == {"perches"}
    assert names(client.get("/items/", params={"q": "PERCH", "category": "weighing"})) == ["Balance with perch"]


@pytest.mark.parametrize(
    "query",
    ["min_price=10&max_price=5", "limit=0", "limit=101", "offset=-1", "min_price=-1", "min_price=nan", "max_price=1e999", "q=%00"],
)
def test_a_filter_that_makes_no_sense_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/items/?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["path"] == "/items/"


# -- who may do what -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "posts", "deletion"), [(None, 401, 401), ("viewer", 403, 403), ("editor", 200, 403), ("admin", 200, 404)]
)
def test_each_role_may_do_what_it_may(server: Served, client: httpx.Client, user: str | None, posts: int, deletion: int) -> None:
    headers = bearer(server, user) if user else {}
    assert client.get("/items/", headers=headers).status_code == 200
    assert client.get("/editor/posts/", headers=headers).status_code == posts
    answer = client.delete("/admin/users/9007199254740991", headers=headers)
    assert answer.status_code == deletion
    assert answer.json()["error"]["path"] == "/admin/users/9007199254740991"
    assert ("www-authenticate" in answer.headers) == (deletion == 401)


def test_a_deleted_user_is_refused_at_once(server: Served, client: httpx.Client) -> None:
    user_id = sign_up(client, "doomed").json()["id"]
    token = client.post("/token", data={"username": "doomed", "password": "long enough"}).json()["access_token"]
    doomed = {"Authorization": f"Bearer {token}"}
    assert client.get("/editor/posts/", headers=doomed).status_code == 403
    assert client.delete(f"/admin/users/{user_id}", headers=bearer(server, "admin")).status_code == 204
    assert client.get("/editor/posts/", headers=doomed).status_code == 401


def test_admins_cannot_delete_themselves(server: Served, client: httpx.Client) -> None:
    headers = bearer(server, "admin")
    me = next(user["id"] for user in client.get("/admin/users/", headers=headers).json() if user["username"] == "admin")
    assert client.delete(f"/admin/users/{me}", headers=headers).status_code == 409


def test_users_are_listed_without_the_hashes_of_their_passwords(server: Served, client: httpx.Client) -> None:
    users = client.get("/admin/users/", headers=bearer(server, "admin")).json()
    assert {"admin", "editor", "viewer"} <= {user["username"] for user in users}
    assert all(set(user) == {"id", "username", "email", "role"} for user in users)


@pytest.mark.parametrize("username", ["admin", "nobody", "\x00", "x" * 500])
def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(client: httpx.Client, username: str) -> None:
    answer = client.post("/token", data={"username": username, "password": "wrong"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "WRONG_CREDENTIALS")


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "a.b.c",
        "x" * 10_000,
        # {"alg":"none"}, {"sub":"1","exp":9999999999}, no signature
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIiwiZXhwIjo5OTk5OTk5OTk5fQ.",
    ],
)
def test_a_forged_token_is_no_token(client: httpx.Client, token: str) -> None:
    answer = client.get("/editor/posts/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_TOKEN")


# -- route classes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/timed/?delay_ms=20", "/items/"])
def test_timed_routes_say_how_long_they_took(client: httpx.Client, path: str) -> None:
    elapsed = client.get(path).headers["x-response-time"]
    assert elapsed.endswith("ms")
    # An event loop may wake up to a millisecond early, by its own clock.
    assert float(elapsed.removesuffix("ms")) >= (19 if "delay" in path else 0)


def test_other_routes_do_not(client: httpx.Client) -> None:
    assert "x-response-time" not in client.get("/outbox").headers


def post_packed(client: httpx.Client, body: bytes, coding: str = "gzip") -> httpx.Response:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    return client.post("/gzip/numbers", content=body, headers=headers)


NUMBERS = b'{"numbers": [1, 2, 3.5]}'
SUMMARY = {"count": 3, "sum": 6.5, "mean": 6.5 / 3}


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(NUMBERS), "gzip"),
        (gzip.compress(NUMBERS), "GZIP"),
        (gzip.compress(NUMBERS), "x-gzip"),
        (gzip.compress(NUMBERS[:9]) + gzip.compress(NUMBERS[9:]), "gzip"),
        (NUMBERS, "identity"),
    ],
    ids=["gzip", "upper case", "x-gzip", "two members", "identity"],
)
def test_a_packed_body_is_unpacked(client: httpx.Client, body: bytes, coding: str) -> None:
    answer = post_packed(client, body, coding)
    assert (answer.status_code, answer.json()) == (200, SUMMARY)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"no gzip at all", 400, "BAD_GZIP"),
        (b"", 400, "BAD_GZIP"),
        (gzip.compress(NUMBERS)[:-4], 400, "BAD_GZIP"),
        (gzip.compress(NUMBERS)[:-8] + b"\0" * 8, 400, "BAD_GZIP"),
        (gzip.compress(NUMBERS) + b"rubbish", 400, "BAD_GZIP"),
        (gzip.compress(b" " * 10_000_000), 413, "CONTENT_TOO_LARGE"),
        (gzip.compress(b"") * 40, 413, "CONTENT_TOO_LARGE"),
        (gzip.compress(b'{"numbers": []}'), 422, "VALIDATION_ERROR"),
    ],
    ids=["not gzip", "empty", "cut off", "wrong checksum", "rubbish after it", "bomb", "too many members", "unpacked, but invalid"],
)
def test_a_body_that_cannot_be_unpacked_is_refused(client: httpx.Client, body: bytes, status: int, code: str) -> None:
    answer = post_packed(client, body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
def test_an_unknown_coding_is_refused_with_the_known_ones(client: httpx.Client, coding: str) -> None:
    answer = post_packed(client, NUMBERS, coding)
    assert answer.status_code == 415
    assert "gzip" in answer.headers["accept-encoding"]


# -- mounted applications ------------------------------------------------------------------------------------------------------


def test_the_public_application_answers_from_what_its_own_lifespan_read(client: httpx.Client) -> None:
    products = client.get("/public/products/").json()
    assert len(products) == 6
    assert client.get(f"/public/products/{products[0]['slug']}").json() == products[0]


@pytest.mark.parametrize(
    ("path", "status"), [("/public/products/unicorn", 404), ("/public/nowhere", 404), ("/public/products/%00", 422)]
)
def test_the_public_application_has_errors_of_its_own_form(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_the_internal_application_wants_its_own_key(server: Served, client: httpx.Client) -> None:
    refused = [
        client.get("/internal/metrics/"),
        client.get("/internal/metrics/", headers={"X-Internal-Key": "wrong"}),
        client.get("/internal/metrics/", headers={b"X-Internal-Key": b"\xff\xfe"}),
        client.get("/internal/metrics/", headers=bearer(server, "admin")),
    ]
    assert [answer.status_code for answer in refused] == [401] * 4
    assert all(answer.headers["content-type"] == "text/plain; charset=utf-8" for answer in refused)


def test_the_internal_application_measures_since_its_own_lifespan_began(server: Served) -> None:
    metrics = server.metrics()
    assert metrics["requests"]["2xx"] >= 0
    assert eventually(lambda: server.metrics()["loop_lag_ms"]["worst"] != 0)


# -- errors --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/static/nothing.js", 404, "NOT_FOUND"),
        ("POST", "/items/", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/editor/posts/", 401, "UNAUTHORIZED"),
        ("GET", "/timed/?delay_ms=1e9", 422, "VALIDATION_ERROR"),
    ],
)
def test_every_error_has_the_same_form(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["path"]) == (status, code, path.partition("?")[0])
    assert error["message"]
    assert ("details" in error) == (status == 422)
