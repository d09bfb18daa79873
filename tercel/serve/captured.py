"""What `call_next` returns: a response that came up from below and was not sent yet.

It looks like the object that Starlette's `BaseHTTPMiddleware` gives to its functions, so that whatever these do to one still works.
This module must not know where a response comes from. Read `tercel.serve.handover` for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from starlette.middleware import base
from starlette.responses import Response

from tercel.http.asgi import ASGIExchange
from tercel.http.exchange import Exchange, Head

__all__ = ["NextResponse"]

if TYPE_CHECKING:
    _CapturedResponse = Response
else:  # private to Starlette, but applications check for it with isinstance
    _CapturedResponse = getattr(base, "_StreamingResponse", Response)


class NextResponse(_CapturedResponse):
    """What `call_next` returns: a response that began below. Status, headers and body may be changed or replaced.

    Args:
        head: as it came up.
        body: all of it, or None when it comes in pieces.
        pieces: the body as it comes; each is only taken from below when it is asked for.
        info: for `http.response.debug`, which test clients read.
    """

    def __init__(self, head: Head, body: bytes | None, pieces: AsyncIterator[Any] | None = None, info: Any = None) -> None:
        self.status_code = head.status
        self.background = None
        self.media_type = None
        self.info = info
        self.head = head
        self.whole = body
        self._pieces = pieces
        self._raw: list[tuple[bytes, bytes]] | None = None

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        raw = self._raw
        if raw is None:
            head, whole = self.head, self.whole
            raw = self._raw = list(head.headers)
            # RFC 9110 §8.6: a 204 has no length, that in a 304 is of another response.
            if whole is not None and head.status not in (204, 304) and not any(name == b"content-length" for name, _ in raw):
                raw.insert(0, (b"content-length", b"%d" % len(whole)))
        return raw

    @raw_headers.setter
    def raw_headers(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    @property
    def body_iterator(self) -> AsyncIterator[Any]:
        """The body in pieces, once."""
        if self._pieces is None:
            self.raw_headers  # noqa: B018  # has the length, which is forgotten now
            self._pieces = _only(self.whole)
            self.whole = None
        return self._pieces

    @body_iterator.setter
    def body_iterator(self, pieces: AsyncIterator[Any]) -> None:
        self.raw_headers  # noqa: B018
        self._pieces = pieces
        self.whole = None

    async def send_to(self, ex: Exchange) -> None:
        """Sends it as it is now, then runs its background task."""
        if self.info is not None:
            await ex.send({"type": "http.response.debug", "info": self.info})
        # Where nothing was changed the head is the one that came up, which may have been rendered before.
        changed = self._raw is not None or self.status_code != self.head.status
        head = Head(self.status_code, self.raw_headers) if changed else self.head
        if self.whole is not None:
            await ex.respond(head, self.whole)
        else:
            await ex.start(head)
            await self._send_pieces(ex)
        background: Any = self.background
        if background is not None:
            await background()

    async def _send_pieces(self, ex: Exchange) -> None:
        pieces: Any = self._pieces
        try:
            async for piece in pieces:
                if isinstance(piece, dict):  # a message of an ASGI extension, which ends the response
                    await ex.send(piece)
                    return
                data = piece.encode(self.charset) if isinstance(piece, str) else piece
                await ex.write(data if type(data) is bytes else bytes(data))
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()
        await ex.finish()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.send_to(ASGIExchange(scope, receive, send))


async def _only(body: bytes | None) -> AsyncIterator[bytes]:
    if body:
        yield body
