"""What a person sees of generated code: tracebacks, `inspect.getsource`, pdb, and real files for breakpoints and coverage."""

from __future__ import annotations

import inspect
import io
import linecache
import pdb
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import pytest

from tercel import Depends, FastAPI
from tercel.routing import iter_route_contexts
from tercel.testing import AsyncTestClient

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Broken(Exception):
    pass


async def database() -> None:
    raise Broken("no database")


def session(database: Annotated[None, Depends(database)]) -> None:
    raise AssertionError("not reached")


async def generator() -> AsyncIterator[str]:
    yield "value"
    raise Broken("while leaving")


def synchronous() -> None:
    raise Broken("in a thread")


def make_app() -> FastAPI:
    app = FastAPI(engine="compiled")

    @app.get("/dependency")
    async def dependency(session: Annotated[None, Depends(session)]) -> None: ...

    @app.get("/endpoint")
    async def endpoint() -> None:
        raise Broken("in the endpoint")

    @app.get("/thread", dependencies=[Depends(synchronous)])
    async def thread() -> None: ...

    @app.get("/hop", dependencies=[Depends(synchronous)])
    def hop() -> None:
        raise AssertionError("not reached")

    @app.get("/leaving", dependencies=[Depends(generator)])
    async def leaving() -> None: ...

    return app


def handler_of(app: FastAPI, path: str) -> Callable[[Any], Awaitable[None]]:
    (operation,) = [context.operation for context in iter_route_contexts(app.routes) if context.path == path]
    handler: Callable[[Any], Awaitable[None]] = operation.handler()
    return handler


async def raised_by(path: str) -> BaseException:
    with pytest.raises(Broken) as caught:
        await AsyncTestClient(make_app()).get(path)
    return caught.value


@pytest.mark.parametrize(
    ("path", "line", "origin"),
    [
        ("/dependency", "database = await call_database()", "# Depends(database) (test_debugging.py:"),
        ("/endpoint", "result = await call_endpoint()", "# GET /endpoint (test_debugging.py:"),
        ("/thread", "synchronous = await in_thread(call_synchronous)", "# Depends(synchronous) (test_debugging.py:"),
        ("/hop", "synchronous = apart(call_synchronous)", "# Depends(synchronous) (test_debugging.py:"),
    ],
)
async def test_a_traceback_shows_the_generated_line_with_its_origin(path: str, line: str, origin: str) -> None:
    error = await raised_by(path)
    generated = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<tercel ")]
    assert generated
    text = generated[-1].line or ""
    assert text.startswith(line)
    assert origin in text
    assert generated[-1].filename.startswith(f"<tercel GET {path} #")


async def test_the_line_of_the_origin_is_where_the_dependency_is_defined() -> None:
    error = await raised_by("/dependency")
    (frame,) = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("<tercel ")]
    number = int((frame.line or "").rpartition(":")[2].rstrip(")"))
    assert number == database.__code__.co_firstlineno


async def test_a_printed_traceback_goes_from_the_generated_line_to_the_code_of_the_user() -> None:
    error = await raised_by("/dependency")
    text = "".join(traceback.format_exception(error))
    assert text.index("handle_get_dependency") < text.index("await call_database()") < text.index('raise Broken("no database")')


async def test_an_error_while_leaving_a_generator_shows_the_handler() -> None:
    error = await raised_by("/leaving")
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names.index("handle_get_leaving") < names.index("generator")


def test_inspect_finds_the_source_of_a_handler() -> None:
    app = make_app()
    handler = handler_of(app, "/dependency")
    assert inspect.getsource(handler) == app.source_for("GET", "/dependency")
    assert handler.__tercel_source__ == app.source_for("GET", "/dependency")  # type: ignore[attr-defined]


class Typist:
    """Answers the prompts of pdb."""

    def __init__(self, *commands: str) -> None:
        self.commands = list(commands)

    def readline(self) -> str:
        return f"{self.commands.pop(0)}\n" if self.commands else "quit\n"


async def test_pdb_lists_generated_lines_after_an_error() -> None:
    error = await raised_by("/dependency")
    shown = io.StringIO()
    debugger = pdb.Pdb(stdin=Typist("up", "list", "p errors", "quit"), stdout=shown, nosigint=True, readrc=False)  # type: ignore[arg-type]
    debugger.use_rawinput = False
    debugger.reset()
    debugger.interaction(None, error.__traceback__)  # type: ignore[arg-type]
    text = shown.getvalue()
    assert "async def handle_get_dependency(ex):" in text
    assert "database = await call_database()" in text
    assert "->" in text


async def test_real_files_are_written_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "made" / "here"
    monkeypatch.setenv("TERCEL_SOURCE_DIR", str(folder))
    before = dict(linecache.cache)
    app = make_app()
    error = await raised_by("/endpoint")
    handler = handler_of(app, "/dependency")
    path = Path(handler.__code__.co_filename)  # type: ignore[attr-defined]
    assert path.parent == folder
    assert path.name.startswith("handle_get_dependency_")
    assert path.read_text(encoding="utf-8") == app.source_for("GET", "/dependency")
    assert not [name for name in set(linecache.cache) - set(before) if name.startswith("<tercel")]
    assert any(frame.filename.startswith(str(folder)) for frame in traceback.extract_tb(error.__traceback__))


async def test_a_breakpoint_in_a_real_file_is_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCEL_SOURCE_DIR", str(tmp_path))
    app = FastAPI(engine="compiled")

    @app.get("/")
    async def endpoint() -> str:
        return "ok"

    handler = handler_of(app, "/")
    lines: list[int] = []
    code = handler.__code__  # type: ignore[attr-defined]

    def trace(frame: Any, event: str, arg: Any) -> Any:
        if frame.f_code is not code:
            return None
        if event == "line":
            lines.append(frame.f_lineno)
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        assert (await AsyncTestClient(app).get("/")).json() == "ok"
    finally:
        sys.settrace(previous)
    written = Path(code.co_filename).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "call_endpoint()" in written[line - 1]]
