"""`GET /external-data`: passes on a JSON resource of somebody else, through the HTTP client that the lifespan opened.

One client for the whole application keeps its connections open and shares them. Whatever the other side does becomes one of two
answers: 502 when it answers wrongly or not at all, 504 when it takes too long.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx

from demo.errors import AppError
from demo.settings import SettingsDep
from tercel import APIRouter, Depends, FastAPI, Response
from tercel.requests import HTTPConnection

__all__ = ["HttpClientDep", "open_http_client", "router"]

LIMIT_BYTES = 1024 * 1024  # of the other side's answer; we hold it in memory

router = APIRouter(tags=["streams"])


@asynccontextmanager
async def open_http_client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The client, and in it a short cut: the host `demo` is this application itself, called without a socket."""
    mounts = {"all://demo": httpx.ASGITransport(app=app)}
    async with httpx.AsyncClient(mounts=mounts, follow_redirects=True) as client:
        yield client


async def get_http_client(connection: HTTPConnection) -> httpx.AsyncClient:
    """The application's one client."""
    client: httpx.AsyncClient = connection.state.http
    return client


HttpClientDep = Annotated[httpx.AsyncClient, Depends(get_http_client)]


@router.get("/external-data", responses={502: {"description": "bad answer"}, 504: {"description": "no answer in time"}})
async def external_data(client: HttpClientDep, settings: SettingsDep) -> Response:
    """The other side's JSON as it came, once it is known to be JSON."""
    try:
        # httpx limits each read; a peer that sends a byte every second would never be late. This limits the whole.
        async with asyncio.timeout(settings.external_timeout_s):
            body = await _fetch(client, settings.external_url)
    except (TimeoutError, httpx.TimeoutException):
        raise AppError(504, "UPSTREAM_TIMEOUT", "The other side did not answer in time.") from None
    except httpx.HTTPError:
        raise AppError(502, "UPSTREAM_UNREACHABLE", "The other side could not be reached or broke off.") from None
    _check_json(body)
    return Response(body, media_type="application/json")


async def _fetch(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as response:
        if not response.is_success:
            raise AppError(502, "UPSTREAM_ERROR", f"The other side answered {response.status_code}.")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LIMIT_BYTES:
                raise AppError(502, "UPSTREAM_TOO_LARGE", f"The other side sent more than {LIMIT_BYTES} bytes.")
        return bytes(body)


def _check_json(body: bytes) -> None:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")  # RFC 8259 §6: NaN and Infinity, which Python would accept

    try:
        json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise AppError(502, "UPSTREAM_NOT_JSON", "The other side sent something that is not JSON.") from None
