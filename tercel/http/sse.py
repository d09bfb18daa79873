"""Server-sent events: the response class, one event as data, and its bytes on the wire (WHATWG HTML §9.2).

Knows nothing of how a stream is driven or kept alive; that is `tercel.compile.support`. Read `tercel.http.responses` next.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator
from starlette.responses import StreamingResponse

__all__ = [
    "KEEPALIVE_COMMENT",
    "PING_INTERVAL_S",
    "SSE_EVENT_SCHEMA",
    "EventSourceResponse",
    "ServerSentEvent",
    "format_sse_event",
]

# What proxies and browsers take as a sign of life; a comment line is ignored by the client (WHATWG HTML §9.2.6).
KEEPALIVE_COMMENT = b": ping\n\n"

# Seconds without an event after which a comment is sent: the interval WHATWG HTML §9.2.7 recommends against proxies that drop idle
# connections.
PING_INTERVAL_S: float = 15.0

# The schema of one event in an OpenAPI document: the fields of the wire format, of which `data` is text.
SSE_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}


class EventSourceResponse(StreamingResponse):
    """As `response_class`, turns what a generator endpoint yields into server-sent events.

    Plain values are sent as JSON in `data`; yield `ServerSentEvent` to set the other fields.
    """

    media_type = "text/event-stream"


def _lines(text: str) -> list[str]:
    # Only CR LF, LF and CR end a line of the format; `str.splitlines` knows more and drops a final empty line.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _single_line(name: str) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and ("\n" in value or "\r" in value):
            raise ValueError(f"SSE '{name}' must be a single line")
        return value

    return AfterValidator(check)


def _no_null(value: str | None) -> str | None:
    # WHATWG HTML §9.2.6: a client ignores an id that contains U+0000.
    if value is not None and "\0" in value:
        raise ValueError("SSE 'id' must not contain null characters")
    return value


class ServerSentEvent(BaseModel):
    """One event. With neither `data` nor `raw_data` no data line is sent, and clients dispatch nothing.

    Attributes:
        data: sent as JSON, whatever its type: a string arrives in quotes.
        raw_data: sent as it is, line by line; not together with `data`.
        event: the name that client-side listeners subscribe to; "message" when left out.
        id: what a reconnecting client sends back as `Last-Event-ID`.
        retry: milliseconds the client is to wait before it reconnects.
        comment: text that clients ignore.
    """

    data: Any = None
    raw_data: str | None = None
    event: Annotated[str | None, _single_line("event")] = None
    id: Annotated[str | None, AfterValidator(_no_null), _single_line("id")] = None
    retry: Annotated[int | None, Field(ge=0)] = None
    comment: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> ServerSentEvent:
        if self.data is not None and self.raw_data is not None:
            raise ValueError(
                "Cannot set both 'data' and 'raw_data' on the same ServerSentEvent. "
                "Use 'data' for JSON-serialized payloads or 'raw_data' for pre-formatted strings."
            )
        return self


def format_sse_event(
    *,
    data_str: str | None = None,
    event: str | None = None,
    id: str | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    """The bytes of one event, with the blank line that ends it.

    Args:
        data_str: the text of the data, already serialised; each of its lines becomes one `data:` line.
        event: one line.
        id: one line.
        retry: milliseconds.
        comment: each of its lines becomes one comment line, before everything else.

    Raises:
        ValueError: `event` or `id` has more than one line, which would be more fields.
    """
    for name, value in (("event", event), ("id", id)):
        if value is not None and ("\n" in value or "\r" in value):
            raise ValueError(f"SSE '{name}' must be a single line")
    lines = [] if comment is None else [f": {line}" for line in _lines(comment)]
    if event is not None:
        lines.append(f"event: {event}")
    if data_str is not None:
        lines.extend(f"data: {line}" for line in _lines(data_str))
    if id is not None:
        lines.append(f"id: {id}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    return "\n".join([*lines, "", ""]).encode()
