"""What an error becomes on the wire when the application registered no handler of its own for it.

Whatever a client sends, a validation failure is answered with 422: its report repeats the client's input, so the input must
never be able to break the report. Knows nothing of routes. Read `tercel.serve.dispatch` next for how a handler is found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocket

from tercel.http.encode import jsonable_encoder
from tercel.http.errors import RequestValidationError, WebSocketRequestValidationError
from tercel.http.status import is_body_allowed_for_status_code

__all__ = [
    "http_exception_handler",
    "request_validation_exception_handler",
    "websocket_request_validation_exception_handler",
]

# RFC 6455 §5.5: a control frame carries at most 125 bytes, of which the close code takes 2.
CLOSE_REASON_LIMIT_BYTES = 123

# Levels of the rejected input that a report shows once it cannot be shown whole. Deeper than data people write by hand, and far
# from the recursion limits of any JSON reader.
_SHOWN_LEVELS = 32

# Bits of an integer that is still written in digits: about 1,200 of them, below the 4,300 that Python converts by default.
_SHOWN_INTEGER_BITS = 4096


async def http_exception_handler(request: Request, exc: HTTPException) -> Response:
    """The status and headers of the exception, with `{"detail": …}` as JSON unless the status forbids a body."""
    headers = getattr(exc, "headers", None)
    if not is_body_allowed_for_status_code(exc.status_code):
        return Response(status_code=exc.status_code, headers=headers)
    try:
        return JSONResponse({"detail": exc.detail}, status_code=exc.status_code, headers=headers)
    except (ValueError, RecursionError):
        # Only data can be at fault (non-finite numbers, lone surrogates), often the client's; the status still has to arrive.
        return JSONResponse({"detail": _presentable(exc.detail)}, status_code=exc.status_code, headers=headers)


async def request_validation_exception_handler(request: Request, exc: RequestValidationError) -> JSONResponse:
    """422 with `{"detail": [{type, loc, msg, input, ctx}, …]}` (RFC 9110 §15.5.21)."""
    errors = exc.errors()
    try:
        return JSONResponse({"detail": jsonable_encoder(errors)}, status_code=422)
    except Exception:
        return JSONResponse({"detail": _presentable(errors)}, status_code=422)


async def websocket_request_validation_exception_handler(websocket: WebSocket, exc: WebSocketRequestValidationError) -> None:
    """Close with 1008 (RFC 6455 §7.4.1) and a reason that names the failures, shortened to what a close frame carries."""
    await websocket.close(code=WS_1008_POLICY_VIOLATION, reason=close_reason(exc.errors()))


def close_reason(errors: Sequence[Any]) -> str:
    """The failures as `place: message`, separated by semicolons, in at most 123 bytes of UTF-8."""
    text = "; ".join(_summary(error) for error in errors)
    encoded = _without_surrogates(text).encode()
    if len(encoded) <= CLOSE_REASON_LIMIT_BYTES:
        return encoded.decode()
    kept = encoded[: CLOSE_REASON_LIMIT_BYTES - len("…".encode())]
    return kept.decode(errors="ignore") + "…"


def _summary(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    place = ".".join(str(part) for part in error.get("loc", ()))
    return f"{place}: {error.get('msg', error.get('type', 'invalid'))}" if place else str(error.get("msg", "invalid"))


def _presentable(value: Any, levels: int = _SHOWN_LEVELS) -> Any:
    """`value` as JSON data that is sure to render: what cannot be shown is replaced, what is too deep becomes an ellipsis."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _without_surrogates(value)
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, float):
        # JSON has no word for these (RFC 8259 §6); as text the client sees what was meant.
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        bits = value.bit_length()
        return int(value) if bits <= _SHOWN_INTEGER_BITS else f"<integer of {bits} bits>"
    if levels == 0:
        return "…"
    if isinstance(value, dict):
        return {_presentable_key(key): _presentable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_presentable(item, levels - 1) for item in value]
    try:
        return _presentable(jsonable_encoder(value), levels - 1)
    except Exception:
        return f"<{type(value).__name__}>"


def _presentable_key(key: Any) -> str | int | bool | None:
    shown = _presentable(key, levels=0)
    return str(shown) if isinstance(shown, float) else shown


def _without_surrogates(text: str) -> str:
    # Pairs of surrogates are joined to the character they mean; a lone one becomes U+FFFD.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
