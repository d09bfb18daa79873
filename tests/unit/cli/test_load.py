"""Importing an application: what is found, and what is said when it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tercel.cli.errors import CommandError, ExitCode, UserCodeError, user_traceback
from tercel.cli.load import Loaded, load_app
from tercel.cli.target import resolve_target

ASGI = """
class Starlette:
    async def __call__(self, scope, receive, send): ...
class FastAPI(Starlette): ...
class APIRouter: ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """An empty folder; modules that are imported from it, and what importing does to `sys.path`, are forgotten afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, **files: str) -> None:
    """Python files by their path without the suffix."""
    for name, text in files.items():
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))


def load(folder: Path, given: str | None, *, factory: bool = False) -> Loaded:
    return load_app(resolve_target(given, folder=folder), factory=factory)


def refusal(folder: Path, given: str | None, *, factory: bool = False) -> CommandError:
    with pytest.raises(CommandError) as caught:
        load(folder, given, factory=factory)
    return caught.value


def test_the_object_that_was_named_is_taken(project: Path) -> None:
    write(project, lod_named=ASGI + "class site:\n    web = FastAPI()\n")
    loaded = load(project, "lod_named:site.web")
    assert type(loaded.app).__name__ == "FastAPI"
    assert loaded.target.import_string == "lod_named:site.web"
    assert loaded.file == project / "lod_named.py"


def test_without_an_object_app_is_taken(project: Path) -> None:
    write(project, lod_app=ASGI + "other = FastAPI()\napp = FastAPI()\n")
    assert load(project, "lod_app").target.attribute == "app"


def test_without_app_the_only_fastapi_object_is_taken(project: Path) -> None:
    write(project, lod_only=ASGI + "plain = Starlette()\nservice = FastAPI()\nalias = service\n")
    assert load(project, "lod_only").target.attribute == "service"


def test_without_a_fastapi_object_the_only_starlette_object_is_taken(project: Path) -> None:
    write(project, lod_star=ASGI + "plain = Starlette()\n")
    assert load(project, "lod_star.py").target.attribute == "plain"


def test_several_applications_must_be_told_apart(project: Path) -> None:
    write(project, lod_two=ASGI + "one = FastAPI()\ntwo = FastAPI()\n")
    error = refusal(project, "lod_two")
    assert error.message == "`lod_two` has several applications: `one`, `two`"
    assert error.advice == ("Say which: `lod_two:one`.",)


def test_a_package_without_an_application_is_searched_inside(project: Path) -> None:
    write(project, **{"lod_pkg/__init__": "", "lod_pkg/main": ASGI + "app = FastAPI()\n"})
    assert load(project, "lod_pkg").target.import_string == "lod_pkg.main:app"


def test_a_submodule_called_app_is_not_taken_for_the_application(project: Path) -> None:
    write(project, **{"lod_sub/__init__": "from . import app\n", "lod_sub/app": ASGI + "app = FastAPI()\n"})
    assert load(project, "lod_sub").target.import_string == "lod_sub.app:app"


def test_a_factory_is_called(project: Path) -> None:
    write(project, lod_fac=ASGI + "def create_app(): return FastAPI()\n")
    assert type(load(project, "lod_fac", factory=True).app).__name__ == "FastAPI"
    assert type(load(project, "lod_fac:create_app", factory=True).app).__name__ == "FastAPI"


def test_a_module_with_only_a_factory_says_how_to_call_it(project: Path) -> None:
    write(project, lod_onlyfac=ASGI + "def make_app(): return FastAPI()\n")
    error = refusal(project, "lod_onlyfac")
    assert "a function `make_app`" in error.message
    assert error.advice == ("Add --factory to call it.",)


def test_a_factory_that_was_named_without_the_option_says_so(project: Path) -> None:
    write(project, lod_nofac=ASGI + "def build(): return FastAPI()\n")
    assert "add --factory" in refusal(project, "lod_nofac:build").advice[0]


def test_a_factory_must_not_need_arguments_or_be_a_coroutine(project: Path) -> None:
    write(project, lod_badfac="def needs(settings): ...\nasync def waits(): ...\nvalue = 3\n" + ASGI + "app = FastAPI()\n")
    assert "needs settings" in refusal(project, "lod_badfac:needs", factory=True).message
    assert "coroutine" in refusal(project, "lod_badfac:waits", factory=True).message
    assert "is a int, not a function" in refusal(project, "lod_badfac:value", factory=True).message
    assert refusal(project, "lod_badfac:app", factory=True).advice == ("Leave --factory out.",)


def test_a_missing_module_is_not_a_traceback(project: Path) -> None:
    write(project, lod_service="")
    error = refusal(project, "lod_servce:app")
    assert error.message.startswith("there is no module `lod_servce`")
    assert error.advice == ("Did you mean `lod_service`?",)
    assert error.exit_code is ExitCode.USAGE


def test_a_dot_that_should_be_a_colon_is_recognised(project: Path) -> None:
    write(project, lod_dot=ASGI + "app = FastAPI()\n")
    error = refusal(project, "lod_dot.app")
    assert error.advice == ("Write `lod_dot:app`.",)


def test_a_module_in_src_is_pointed_out(project: Path) -> None:
    write(project, **{"src/lod_insrc": ""})
    assert refusal(project, "lod_insrc").advice == ("It is in src/: add `--app-dir src`.",)


def test_a_missing_object_names_the_application_that_is_there(project: Path) -> None:
    write(project, lod_attr=ASGI + "service = FastAPI()\n")
    error = refusal(project, "lod_attr:app")
    assert error.message == "`lod_attr` has no `app`"
    assert error.advice == ("Did you mean `lod_attr:service`?",)


def test_a_submodule_in_place_of_an_object_is_pointed_out(project: Path) -> None:
    write(project, **{"lod_mod/__init__": "", "lod_mod/web": ""})
    assert "write `lod_mod.web`" in refusal(project, "lod_mod:web").advice[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app = FastAPI\n", "is the class FastAPI"),
        ("app = 'text'\n", "is a str, not an ASGI application"),
        ("def app(environ, start_response): ...\n", "does not take (scope, receive, send)"),
        ("class Flask:\n    def __call__(self, e, s): ...\n    def wsgi_app(self): ...\napp = Flask()\n", "WSGI application"),
        ("import json as app\n", "is a module"),
    ],
)
def test_what_is_not_an_application_is_named_for_what_it_is(text: str, said: str, project: Path) -> None:
    write(project, lod_not=ASGI + text)
    assert said in refusal(project, "lod_not:app").message


def test_any_callable_with_three_parameters_is_an_application(project: Path) -> None:
    write(project, lod_raw="async def app(scope, receive, send): ...\n")
    assert callable(load(project, "lod_raw").app)


def test_a_router_is_not_an_application(project: Path) -> None:
    write(project, lod_router=ASGI + "router = APIRouter()\n")
    assert "app.include_router(router)" in refusal(project, "lod_router").advice[0]


def test_an_error_inside_the_module_shows_only_the_user_s_frames(project: Path) -> None:
    write(project, lod_fails="import lod_inner\n", lod_inner="def start():\n    1 / 0\nstart()\n")
    with pytest.raises(UserCodeError) as caught:
        load(project, "lod_fails")
    assert caught.value.exit_code is ExitCode.FAILURE
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    shown = user_traceback(caught.value.__cause__)
    files = [line.split('"')[1] for line in shown.splitlines() if line.startswith("  File ")]
    assert files == [str(project / "lod_fails.py"), str(project / "lod_inner.py"), str(project / "lod_inner.py")]


def test_an_import_that_the_module_needs_is_not_taken_for_the_module(project: Path) -> None:
    write(project, lod_needs="import lod_not_installed\n")
    with pytest.raises(UserCodeError, match="importing `lod_needs`") as caught:
        load(project, "lod_needs")
    assert f"Is `lod_not_installed` installed for {sys.executable}?" in caught.value.advice


def test_a_module_that_imports_itself_under_a_wrong_name_is_the_user_s_error(project: Path) -> None:
    write(project, **{"lod_self/__init__": "", "lod_self/main": "import lod_self.nothing\n"})
    with pytest.raises(UserCodeError):
        load(project, "lod_self.main")


def test_a_file_whose_imports_need_the_working_directory_is_told_the_module_to_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, **{"lod_ns/deps": "", "lod_ns/main": "import lod_ns.deps\n"})
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(project))])
    with pytest.raises(UserCodeError) as caught:
        load(project, "lod_ns/main.py")
    assert "Name the module, `lod_ns.main`" in caught.value.advice[0]


def test_a_syntax_error_shows_its_line(project: Path) -> None:
    write(project, lod_syntax="app = (\n")
    with pytest.raises(UserCodeError) as caught:
        load(project, "lod_syntax")
    assert caught.value.__cause__ is not None
    shown = user_traceback(caught.value.__cause__)
    assert "lod_syntax.py" in shown
    assert "SyntaxError" in shown
    assert "tercel" not in shown.replace(str(project), "")


def test_a_module_that_exits_is_an_error_and_not_an_exit(project: Path) -> None:
    write(project, lod_exits="import sys\nsys.exit(0)\n")
    error = refusal(project, "lod_exits")
    assert "sys.exit(0)" in error.message
    assert error.exit_code is ExitCode.FAILURE


def test_a_file_with_the_name_of_a_loaded_module_is_not_confused_with_it(project: Path) -> None:
    write(project, json=ASGI + "app = FastAPI()\n")
    error = refusal(project, "json.py")
    assert "that name belongs to" in error.message
    assert error.advice == ("Rename json.py.",)


def test_an_exception_in_a_factory_is_the_user_s(project: Path) -> None:
    write(project, lod_facfail="def create_app():\n    raise LookupError('no settings')\n")
    with pytest.raises(UserCodeError, match="calling the factory `lod_facfail:create_app`") as caught:
        load(project, "lod_facfail", factory=True)
    assert isinstance(caught.value.__cause__, LookupError)
