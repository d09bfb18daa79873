"""A custom route class that unpacks gzip request bodies, within a limit.

A body of a kilobyte can unpack to a gigabyte. `GzipRoute` therefore never calls a function that unpacks "all of it": it asks for as
much as it is ready to hold, and gives up with 413 as soon as there would be more.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from pydantic import BaseModel, Field

from demo.errors import AppError
from tercel import APIRouter, Request, Response
from tercel.routing import APIRoute

__all__ = ["INFLATED_LIMIT_BYTES", "GzipRoute", "router"]

INFLATED_LIMIT_BYTES = 256 * 1024  # a hundred times what the endpoint below can use
LIMIT_MEMBERS = 32  # an empty member unpacks to nothing, so the limit on bytes alone would let a body consist of 50,000 of them
GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way of saying: with the gzip header and checksum


class UnpackedRequest(Request):
    """The request as if its body had never been packed."""

    def __init__(self, request: Request, body: bytes) -> None:
        super().__init__(request.scope, request.receive)
        self._unpacked = body

    async def body(self) -> bytes:
        """What the framework reads instead of the original body."""
        return self._unpacked


class GzipRoute(APIRoute):
    """Takes `Content-Encoding: gzip` on request bodies: 400 when it is not gzip, 413 past the limit, 415 for any other coding."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The original handler, which is given the unpacked request."""
        handle = super().get_route_handler()

        async def unpack_and_handle(request: Request) -> Response:
            coding = request.headers.get("Content-Encoding", "identity").strip().lower()
            if coding in ("gzip", "x-gzip"):  # RFC 9110 §8.4.1.3: x-gzip is to be taken as gzip
                body = await _inflate(request.stream())
            elif coding == "identity":
                body = await _collect(request.stream())
            else:
                # RFC 9110 §15.5.16: with Accept-Encoding in a 415 the client learns what would have been understood.
                raise AppError(415, "UNSUPPORTED_CODING", "Only gzip is understood.", {"Accept-Encoding": "gzip, identity"})
            return await handle(UnpackedRequest(request, body))

        return unpack_and_handle


async def _inflate(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    member = zlib.decompressobj(wbits=GZIP_WINDOW)
    members = 0
    try:
        async for packed in chunks:
            while packed:
                if members == 0 or member.eof:  # RFC 1952 §2.2: a file may consist of several members, one after the other
                    member = zlib.decompressobj(wbits=GZIP_WINDOW)
                    members += 1
                    if members > LIMIT_MEMBERS:
                        raise _too_large()
                body += member.decompress(packed, INFLATED_LIMIT_BYTES + 1 - len(body))
                if len(body) > INFLATED_LIMIT_BYTES:
                    raise _too_large()
                packed = member.unconsumed_tail or member.unused_data
    except zlib.error:
        raise AppError(400, "BAD_GZIP", "The body is not valid gzip.") from None
    if not member.eof:
        raise AppError(400, "BAD_GZIP", "The gzip body ends too early.")
    return bytes(body)


async def _collect(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > INFLATED_LIMIT_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> AppError:
    return AppError(413, "CONTENT_TOO_LARGE", f"The unpacked body would be larger than {INFLATED_LIMIT_BYTES} bytes.")


# -- a router that uses it -----------------------------------------------------------------------------------------------------

router = APIRouter(prefix="/gzip", tags=["route classes"], route_class=GzipRoute)

Number = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]  # bounded, so that no sum overflows


class Series(BaseModel):
    """A series of measurements, of the kind that is worth packing."""

    numbers: list[Number] = Field(min_length=1, max_length=10_000)


class Summary(BaseModel):
    """What is left of a series."""

    count: int
    sum: float
    mean: float


@router.post("/numbers")
async def summarise(series: Series) -> Summary:
    """Add up a series. The endpoint does not know that its body was packed."""
    total = sum(series.numbers)
    return Summary(count=len(series.numbers), sum=total, mean=total / len(series.numbers))
