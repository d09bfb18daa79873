"""An application with one route for each way in which a response can be made, for suites that do something to all of them.

`app_of_every_kind` makes it, `ANSWERS` says what its paths answer. Used by the suites of middleware functions.
"""

from typing import Annotated

from tercel import Depends, FastAPI, HTTPException, Request
from tercel.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from tercel.routing import APIRoute
from tercel.sse import EventSourceResponse


class Broken(Exception):
    """Raised by endpoints; nobody handles it unless a test says so."""


async def pass_on(request: Request, call_next):
    """A middleware function that does nothing."""
    return await call_next(request)


class Wrapped(APIRoute):
    """A route whose class sees its responses."""

    def get_route_handler(self):
        handle = super().get_route_handler()

        async def wrapper(request: Request):
            response = await handle(request)
            response.headers["x-wrapped"] = "1"
            return response

        return wrapper


async def plain(request: Request):
    return PlainTextResponse("plain")


async def raw(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"r", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    await send({"type": "http.response.body", "body": b"aw"})


def app_of_every_kind(make_app, tmp_path, journal=lambda entry: None):
    """One route for each way in which a response can be made; all of them end in `journal("<path> left")`."""
    app = make_app()

    async def held(request: Request):
        yield "held"
        journal(f"{request.url.path} left")

    Held = Annotated[str, Depends(held)]
    (tmp_path / "file.txt").write_text("from a file")
    add_results(app, Held)
    add_responses(app, Held, tmp_path / "file.txt")
    add_failures(app, Held)
    add_longer_ways(app, Held)
    return app


def add_results(app, Held):
    """Endpoints that return or yield data."""

    @app.get("/json")
    async def as_json():
        return {"a": 1}

    @app.get("/thread")
    def in_thread():
        return {"a": 1}

    @app.get("/held")
    async def as_held(value: Held):
        return {"a": 1}

    @app.get("/lines")
    async def as_lines(value: Held):
        yield 1
        yield 2

    @app.get("/events", response_class=EventSourceResponse)
    async def as_events(value: Held):
        yield "a"


def add_responses(app, Held, file):
    """Endpoints that return responses."""

    @app.get("/response")
    async def as_response():
        return PlainTextResponse("text", 201, {"x-own": "1"})

    @app.get("/stream")
    async def as_stream():
        async def pieces():
            for piece in "abc":
                yield piece

        return StreamingResponse(pieces())

    @app.get("/stream/held")
    async def as_held_stream(value: Held):
        return StreamingResponse(iter("abc"))

    @app.get("/file")
    async def as_file():
        return FileResponse(file)

    @app.get("/file/held")
    async def as_held_file(value: Held):
        return FileResponse(file)

    @app.get("/redirect")
    async def as_redirect():
        return RedirectResponse("/json")

    @app.get("/status/{status}")
    async def as_status(status: int):
        return Response(status_code=status)


def add_failures(app, Held):
    """Endpoints that raise."""

    @app.get("/refused")
    async def refused():
        raise HTTPException(403, "no")

    @app.get("/broken")
    async def broken():
        raise Broken

    @app.get("/broken/held")
    async def broken_held(value: Held):
        raise Broken


def add_longer_ways(app, Held):
    """Routes of a class of their own, Starlette's routes, and mounted applications."""

    async def as_json():
        return {"a": 1}

    async def as_held(value: Held):
        return {"a": 1}

    mounted = FastAPI()
    app.add_api_route("/wrapped", as_json, methods=["GET"])
    app.router.add_api_route("/wrapped/own", as_json, methods=["GET"], route_class_override=Wrapped)
    app.router.add_route("/plain", plain)
    mounted.add_api_route("/json", as_json)
    mounted.add_api_route("/held", as_held)
    app.mount("/mounted", mounted)
    app.mount("/raw", raw)


ANSWERS = {
    "/json": (200, '{"a":1}'),
    "/thread": (200, '{"a":1}'),
    "/held": (200, '{"a":1}'),
    "/response": (201, "text"),
    "/stream": (200, "abc"),
    "/stream/held": (200, "abc"),
    "/file": (200, "from a file"),
    "/file/held": (200, "from a file"),
    "/redirect": (307, ""),
    "/lines": (200, "1\n2\n"),
    "/events": (200, 'data: "a"\n\n'),
    "/status/204": (204, ""),
    "/status/304": (304, ""),
    "/refused": (403, '{"detail":"no"}'),
    "/missing": (404, '{"detail":"Not Found"}'),
    "/wrapped/own": (200, '{"a":1}'),
    "/plain": (200, "plain"),
    "/mounted/json": (200, '{"a":1}'),
    "/mounted/held": (200, '{"a":1}'),
    "/mounted/missing": (404, '{"detail":"Not Found"}'),
    "/raw/x": (200, "raw"),
}
"""Every path of `app_of_every_kind` that answers, with status and body."""
