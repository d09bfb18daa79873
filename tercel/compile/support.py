"""What generated code and the interpreter call: reading bodies, sources of parameters, threads, responses.

Everything here works on an exchange and on the objects that a plan carries; nothing knows routes or pydantic. The functions are
ordinary code, so that the generated text stays straight lines. Read `tercel.compile.streams` next for endpoints that yield.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, cast
from urllib.parse import parse_qsl

from pydantic import ValidationError
from pydantic_core import PydanticUndefined
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request
from starlette.responses import Response

from tercel.compile.streams import send_streaming_response
from tercel.http.background import BackgroundTasks
from tercel.http.body import STOCK_LOADS, has_only_json_numbers, parse_json, says_json
from tercel.http.cookies import parse_cookie_field
from tercel.http.errors import EndpointContext, RequestValidationError, ResponseValidationError, WebSocketRequestValidationError
from tercel.http.exchange import BodyTooLarge, Exchange, Head
from tercel.http.limits import body_limit_error, is_strange_charset
from tercel.http.threads import in_thread
from tercel.plan import FAILED, Plan

__all__ = [
    "apart",
    "check",
    "close_form",
    "general_source",
    "in_thread",
    "injected_response",
    "json_invalid",
    "last_values",
    "limited",
    "model_at_once",
    "parse_early",
    "parse_cookies",
    "read_form",
    "read_json",
    "read_model",
    "request_of",
    "respond_with",
    "send_json",
    "take_read",
    "too_large",
]

Undefined = PydanticUndefined
_NOTHING: dict[str, str] = {}


def apart(fn: Callable[..., Any], /, **arguments: Any) -> Any:
    """Calls one of several functions that share a worker thread, each in a context of its own, as in threads of their own."""
    return copy_context().run(fn, **arguments)


# -- sources of parameters ------------------------------------------------------------------------------------------------------


def last_values(query_string: bytes) -> dict[str, str]:
    """The query as a dict with the last value of each name, as `QueryParams(query_string).get` gives them."""
    if not query_string:
        return _NOTHING
    text = query_string.decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    values = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values[name] = value
    return values


def parse_cookies(ex: Any) -> dict[str, str]:
    """All Cookie headers merged (RFC 6265 allows one, HTTP/2 proxies send several)."""
    cookies: dict[str, str] = {}
    for key, value in ex.headers:
        if key == b"cookie":
            cookies.update(parse_cookie_field(value.decode("latin-1")))
    return cookies


def general_source(ex: Any, place: str) -> Mapping[str, Any]:
    """The multi-dict in which takers look for anything but the simplest scalars."""
    if place == "path":
        return ex.path_params  # type: ignore[no-any-return]
    if place == "query":
        return QueryParams(ex.query_string)
    if place == "header":
        return Headers(raw=ex.headers)
    return parse_cookies(ex)


# -- bodies ---------------------------------------------------------------------------------------------------------------------


def json_invalid(error: json.JSONDecodeError, context: EndpointContext | None = None) -> RequestValidationError:
    """422 for a body that is no JSON, with where it stops being JSON."""
    problem = {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
    return RequestValidationError([problem], body=error.doc, endpoint_ctx=context)


def too_large() -> HTTPException:
    """413, with the phrase that RFC 9110 §15.5.14 gives it."""
    return HTTPException(status_code=413, detail="Content Too Large")


async def _bytes(ex: Exchange) -> bytes:
    try:
        return await ex.body()
    except BodyTooLarge as error:
        raise too_large() from error
    except HTTPException:
        raise
    except Exception as error:
        raise limited(ex, error) from error


def limited(ex: Exchange, error: Exception) -> Exception:
    """What a failure to read the body is answered with: 413 where a limit was exceeded, 400 otherwise."""
    if (not ex.native or ex.view is not None) and MAX_BODY_SIZE_SCOPE_KEY in ex.scope:
        exceeded = body_limit_error(error)
        if exceeded is not None:
            return exceeded
    return HTTPException(status_code=400, detail="There was an error parsing the body")


async def read_json(ex: Exchange, strict: bool, plan: Plan) -> Any:
    """The parsed body, the bytes of one that is not JSON by its Content-Type, or Undefined when there is none.

    Raises:
        RequestValidationError: 422, not JSON; raised before any dependency runs.
        HTTPException: 413 beyond the limit in force; 400 when receiving failed.
    """
    view = request_of(ex) if Request.body is not _stock_body else ex.view
    if view is not None and (type(view) is not Request or Request.body is not _stock_body):
        return await _read_json_of_view(ex, view, strict, plan)
    raw = await _bytes(ex)
    if not raw:
        return Undefined
    if not says_json(ex.header(b"content-type"), strict):
        return raw
    try:
        value = parse_json(raw)
    except json.JSONDecodeError as error:
        raise json_invalid(error, context_of(plan, ex)) from error
    except Exception as error:
        raise limited(ex, error) from error
    if view is not None:
        view._json = value  # where `request.json()` keeps it: error reporters look there, and must not read a body
    return value


async def _read_json_of_view(ex: Exchange, view: Request, strict: bool, plan: Plan) -> Any:
    """The same through a `Request` class of the user's, whose `body()` or `json()` may do more."""
    try:
        raw = await view.body()
        if not raw:
            return Undefined
        if not says_json(ex.header(b"content-type"), strict):
            return raw
        if type(view).json is not Request.json:
            return await view.json()
        return parse_json(raw)
    except json.JSONDecodeError as error:
        raise json_invalid(error, context_of(plan, ex)) from error
    except HTTPException:
        raise
    except Exception as error:
        raise limited(ex, error) from error


_stock_body = Request.body


def model_at_once(ex: Exchange, strict: bool, validate: Callable[[bytes], Any]) -> tuple[bytes, Any] | None:
    """What `read_model` returns, where the body is here already and valid; otherwise None."""
    if ex.view is None and Request.body is _stock_body and json.loads is STOCK_LOADS:
        raw = ex.json_at_once(strict)
        if raw is not None:
            try:
                return raw, validate(raw)
            except ValidationError:
                pass
    return None


async def read_model(ex: Exchange, strict: bool, validate: Callable[[bytes], Any], plan: Plan) -> tuple[Any, Any]:
    """The body and, where it could be validated at once, its value; FAILED in place of the value otherwise.

    In the first case the body is the raw bytes, which `check` parses if something else failed.
    """
    if ex.view is None and Request.body is _stock_body and json.loads is STOCK_LOADS:
        raw = await _bytes(ex)
        if raw and says_json(ex.header(b"content-type"), strict) and has_only_json_numbers(raw):
            try:
                return raw, validate(raw)
            except ValidationError:
                pass
    return await read_json(ex, strict, plan), FAILED


async def read_form(ex: Exchange, limits: Mapping[str, int] | None, plan: Plan) -> Any:
    """The parsed form; empty for other content types.

    Raises:
        HTTPException: 400 for a malformed form or one beyond its limits; 413 beyond the body limit.
    """
    request = request_of(ex)
    inherited = ex.scope.get("fastapi", {}).get("form_limits") or {}
    if is_strange_charset(request.headers.get("content-type", "")):
        raise HTTPException(status_code=400, detail="The form's charset is not supported.")
    try:
        return await request.form(**{**inherited, **(limits or {})})
    except BodyTooLarge as error:
        raise too_large() from error
    except HTTPException:
        raise
    except Exception as error:
        raise limited(ex, error) from error


async def close_form(form: Any) -> None:
    """Closes the files of a form; called when the response has been sent."""
    await form.close()


async def take_read(taker: Any, body: Any, single: str | None, errors: list[Any]) -> Any:
    """The body parameters of one callable, or FAILED."""
    values = await taker.take(body, errors)
    return values if single is None or values is FAILED else values[single]


# -- errors -----------------------------------------------------------------------------------------------------------------------


def context_of(plan: Plan, ex: Any) -> EndpointContext:
    """Function, file, line and full path of the endpoint, shown by `str()` of validation errors."""
    context: dict[str, Any] = dict(plan.context)
    if plan.path:
        context["path"] = f"{ex.method} {ex.root_path.rstrip('/')}{plan.path}"
    return cast(EndpointContext, context)


def check(errors: list[Any], body: Any, early: Any, plan: Plan, ex: Any) -> Exception:
    """The exception for what was collected: 422, or for a WebSocket close code 1008."""
    context = context_of(plan, ex)
    if plan.kind == "websocket":
        return WebSocketRequestValidationError(errors, endpoint_ctx=context)
    if early is not FAILED and isinstance(body, bytes):
        try:
            body = parse_early(body, plan, ex)
        except RequestValidationError as error:
            return error
    return RequestValidationError(errors, body=None if body is Undefined else body, endpoint_ctx=context)


def parse_early(body: bytes, plan: Plan, ex: Any) -> Any:
    """The parsed form of a body that was validated from its bytes, for whoever needs it after all.

    Raises:
        RequestValidationError: 422; pydantic takes some that are not JSON.
    """
    try:
        return parse_json(body)
    except json.JSONDecodeError as error:
        raise json_invalid(error, context_of(plan, ex)) from error


def with_context(error: ResponseValidationError, plan: Plan, ex: Any) -> ResponseValidationError:
    """A response validation error that says which endpoint broke its promise."""
    return ResponseValidationError(errors=error.errors(), body=error.body, endpoint_ctx=context_of(plan, ex))


# -- objects for user code --------------------------------------------------------------------------------------------------------


def request_of(ex: Exchange) -> Request:
    """The one `Request` of an exchange, for dependencies, the endpoint and exception handlers alike."""
    view: Request | None = ex.view
    if view is None:
        scope = ex.scope
        if ex.entry is not None:
            ex.entry.describe(scope, ex.path_params)
        view = ex.view = Request(scope, ex.receive, ex.send)
        body = ex.known_body
        if body is not None:
            view._body = body
    return view


def injected_response() -> Response:
    """A response that only carries headers and a status for the real one."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment]
    return response


def background_tasks() -> BackgroundTasks:
    return BackgroundTasks()


# -- results -----------------------------------------------------------------------------------------------------------------------


def body_maker(renderer: Any, plan: Plan) -> Callable[[Any, Any], bytes]:
    """A function that validates a result against the response model and dumps it, for JSON answers."""
    validate, dump = renderer.validate, renderer.dump_bytes

    def dump_again(value: Any, ex: Any) -> bytes:
        try:
            return dump(renderer.checked(value))  # type: ignore[no-any-return]
        except ResponseValidationError as error:
            raise with_context(error, plan, ex) from None

    if renderer.usual is None:

        def dump_result(value: Any, ex: Any) -> bytes:
            try:
                checked = validate(value)
            except ValidationError:
                pass
            else:
                return dump(checked)  # type: ignore[no-any-return]
            return dump_again(value, ex)

        return dump_result

    validate_python, to_json = renderer.usual

    def dump_usual(value: Any, ex: Any) -> bytes:
        try:
            checked = validate_python(value, from_attributes=True)
        except ValidationError:
            pass
        else:
            return to_json(checked, by_alias=True)  # type: ignore[no-any-return]
        return dump_again(value, ex)

    writer = renderer.make_writer()
    if writer is None:
        return dump_usual
    write = writer.write

    def dump_written(value: Any, ex: Any) -> bytes:
        try:
            checked = validate_python(value, from_attributes=True)
        except ValidationError:
            return dump_again(value, ex)
        data = write(checked)
        return to_json(checked, by_alias=True) if data is None else data  # type: ignore[no-any-return]

    return writer.followed_by(dump_written) if writer.validates else dump_written


def response_maker(renderer: Any, plan: Plan) -> Callable[[Any, Any, Any, Any], Response]:
    """A function that makes the response of a class other than the default."""

    def make_response(value: Any, ex: Any, injected: Response | None, background: Any) -> Response:
        try:
            return renderer.response(renderer.checked(value), injected, background)  # type: ignore[no-any-return]
        except ResponseValidationError as error:
            raise with_context(error, plan, ex) from None

    return make_response


# -- answers -----------------------------------------------------------------------------------------------------------------------

_plain_call = Response.__call__


async def send_json(ex: Exchange, renderer: Any, body: bytes, injected: Response | None, background: Any) -> None:
    """Sends a JSON body with the renderer's head, or one made for what the injected response adds; then background tasks."""
    head = renderer.head
    if injected is not None:
        status = injected.status_code or head.status
        if status != head.status or injected.raw_headers:
            head = Head(status, [*head.headers, *injected.raw_headers])
    if not renderer.has_body or ((head is not renderer.head and not head.status >= 200) or head.status in (204, 205, 304)):
        await respond_with(ex, renderer.response(json.loads(body), injected, None))
    else:
        await ex.respond(head, body)
    if background is not None:
        await ex.afterwards(background)


async def respond_with(ex: Exchange, response: Response) -> None:
    """Sends any response object, without ASGI messages where its class does nothing of its own; then its background task."""
    if type(response).__call__ is _plain_call and Response.__call__ is _plain_call:
        body = response.body
        await ex.respond(Head(response.status_code, response.raw_headers), body if type(body) is bytes else bytes(body))
        if response.background is not None:
            await ex.afterwards(response.background)
    elif not await ex.take(response) and not (ex.notices_leaving and await send_streaming_response(ex, response)):
        await response(ex.scope, ex.receive, ex.send)
