"""Imports the module that a target names and takes the application from it.

Tells apart the three things that look alike in a traceback: the module is not there, the module is there and fails, the module is
there and has no application. It must not know servers or commands. Read `tercel.cli.main` next.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tercel.cli.errors import CommandError, ExitCode, UserCodeError, has_user_frames
from tercel.cli.target import Target, close_to

__all__ = ["Loaded", "load_app"]

_FACTORY_NAMES = ("create_app", "make_app", "get_app", "build_app")
_SUBMODULES = ("main", "app", "api")


@dataclass(frozen=True, slots=True)
class Loaded:
    """An application and where it came from.

    Attributes:
        app: a callable that takes an ASGI scope, receive and send.
        target: where it is; its `attribute` is set, whether or not it was typed.
        file: the file of the module, or None for a module without one.
    """

    app: Any
    target: Target
    file: Path | None


def load_app(target: Target, *, factory: bool = False, dropin: bool = False) -> Loaded:
    """Imports the target's module, with its `search_path` first on `sys.path`, and finds the application in it.

    Without an attribute it is `app`, or the only `FastAPI` (then `Starlette`) object of the module; for a package also of its
    modules `main`, `app` and `api`.

    Args:
        target: what to import.
        factory: the object is a function that makes the application; without an attribute, `create_app` or the like.
        dropin: `import fastapi` gives Tercel, in this process and those that it starts.

    Raises:
        CommandError: there is no such module or object, or it is not an application.
        UserCodeError: the module, or the factory, raised.
    """
    if dropin:
        _install_dropin()
    module = _import(target)
    if target.attribute is None:
        module, attribute = _search(module, factory)
        target = replace(target, module=module.__name__, attribute=attribute)
    else:
        attribute = target.attribute
    found = _take(module, attribute, target)
    if factory:
        found = _call_factory(found, target)
    _require_asgi(found, target, factory)
    file = getattr(module, "__file__", None)
    return Loaded(found, target, Path(file) if file else None)


def _install_dropin() -> None:
    from tercel import dropin  # importing it installs it, where a process above this one did

    try:
        dropin.install()
    except ImportError as error:
        first, _, rest = str(error).partition("\n")
        raise CommandError(first, *rest.splitlines(), exit_code=ExitCode.FAILURE) from None


# -- importing -----------------------------------------------------------------------------------------------------------------


def _import(target: Target) -> ModuleType:
    path = str(target.search_path)
    if not sys.path or sys.path[0] != path:
        sys.path.insert(0, path)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        if _is_missing(target.module, error):
            raise _not_found(target) from None
        raise UserCodeError(f"importing `{target.module}`", *_missing_inside(error, target)) from error
    except SystemExit as error:
        raise CommandError(
            f"importing `{target.module}` ended the program: sys.exit({error.code!r})",
            'Put what is only for running the file directly under `if __name__ == "__main__":`.',
            exit_code=ExitCode.FAILURE,
        ) from None
    except Exception as error:
        raise UserCodeError(f"importing `{target.module}`") from error
    if target.file is not None:
        _require_file(module, target.file)
    return module


def _is_missing(name: str, error: ModuleNotFoundError) -> bool:
    """Whether it is the named module itself that was not found, rather than one that it imports."""
    named = error.name is not None and (name == error.name or name.startswith(error.name + "."))
    return named and not has_user_frames(error.__traceback__)


def _not_found(target: Target) -> CommandError:
    advice: list[str] = []
    parent, _, last = target.module.rpartition(".")
    if parent and _exists(parent):
        if hasattr(sys.modules.get(parent), last):
            return CommandError(f"`{last}` is an object in the module `{parent}`, not a module", f"Write `{parent}:{last}`.")
        advice.append(close_to(target.module, _modules_in(sys.modules.get(parent))))
    else:
        advice.append(close_to(target.module, _modules_below(target.search_path)))
    for folder in ("src", "app", "backend"):
        if _is_module_file(target.search_path / folder, target.module):
            advice.append(f"It is in {folder}/: add `--app-dir {folder}`.")
    where = f"{target.search_path} and the installed packages"
    return CommandError(f"there is no module `{target.module}` in {where}", *filter(None, advice))


def _exists(name: str) -> bool:
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def _is_module_file(folder: Path, module: str) -> bool:
    place = folder.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _modules_in(package: ModuleType | None) -> Iterator[str]:
    for info in pkgutil.iter_modules(getattr(package, "__path__", [])):
        yield f"{package.__name__}.{info.name}" if package else info.name


def _modules_below(folder: Path) -> Iterator[str]:
    for info in pkgutil.iter_modules([str(folder)]):
        yield info.name


def _missing_inside(error: ModuleNotFoundError, target: Target) -> list[str]:
    """Why an import inside the user's module may have failed."""
    name = (error.name or "").split(".")[0]
    here = Path.cwd()
    if name and here != target.search_path and ((here / name).is_dir() or (here / f"{name}.py").is_file()):
        inside = _module_seen_from(here, target)
        better = f" Name the module, `{inside}`: then {here} is." if inside else " Or run from there, or use --app-dir."
        return [f"`{name}` is in {here}, which is not on the path; {target.search_path} is.{better}"]
    if name and error.name == name:
        return [f"Is `{name}` installed for {sys.executable}?"]
    return []


def _module_seen_from(folder: Path, target: Target) -> str | None:
    if target.file is None or not target.file.is_relative_to(folder):
        return None
    parts = target.file.relative_to(folder).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    return f"{name}:{target.attribute}" if target.attribute else name


def _require_file(module: ModuleType, file: Path) -> None:
    actual = getattr(module, "__file__", None)
    if actual is None or Path(actual).resolve() != file:
        raise CommandError(
            f"{file.name} cannot be imported as `{module.__name__}`: that name belongs to {actual or 'a module of Python itself'}",
            f"Rename {file.name}.",
        )


# -- finding the application ---------------------------------------------------------------------------------------------------


def _search(module: ModuleType, factory: bool) -> tuple[ModuleType, str]:
    """The module and the name of the object to serve, for a target that names only a module."""
    name = _find_in(module, factory)
    if name is not None:
        return module, name
    if hasattr(module, "__path__"):
        for sub in _SUBMODULES:
            full = f"{module.__name__}.{sub}"
            if importlib.util.find_spec(full) is None:
                continue
            inner = _import(Target(full, None, Path(sys.path[0]), None, full))
            name = _find_in(inner, factory)
            if name is not None:
                return inner, name
    raise _nothing_found(module, factory)


def _find_in(module: ModuleType, factory: bool) -> str | None:
    if factory:
        names = [name for name in _FACTORY_NAMES if isinstance(getattr(module, name, None), FunctionType)]
        return names[0] if names else None
    candidate = getattr(module, "app", None)
    if candidate is not None and not isinstance(candidate, ModuleType):
        return "app"
    for kind in ("FastAPI", "Starlette"):
        names = _instances(module, kind)
        if len(names) > 1:
            raise CommandError(
                f"`{module.__name__}` has several applications: {', '.join(f'`{name}`' for name in names)}",
                f"Say which: `{module.__name__}:{names[0]}`.",
            )
        if names:
            return names[0]
    return None


def _instances(module: ModuleType, kind: str) -> list[str]:
    """Names of distinct objects whose class, or a base of it, is called `kind`; both FastAPI's and Tercel's are."""
    seen: dict[int, str] = {}
    for name, value in vars(module).items():
        if not name.startswith("__") and kind in {base.__name__ for base in type(value).__mro__}:
            seen.setdefault(id(value), name)
    return list(seen.values())


def _nothing_found(module: ModuleType, factory: bool) -> CommandError:
    name = module.__name__
    if factory:
        functions = [key for key, value in vars(module).items() if isinstance(value, FunctionType) and value.__module__ == name]
        advice = [f"Name the function: `{name}:{functions[0]}`."] if functions else []
        return CommandError(f"`{name}` has no function {' or '.join(_FACTORY_NAMES[:2])} that makes the application", *advice)
    factories = [key for key in _FACTORY_NAMES if callable(getattr(module, key, None))]
    routers = _instances(module, "APIRouter")
    if factories:
        return CommandError(f"`{name}` has no application, but a function `{factories[0]}`", "Add --factory to call it.")
    if routers:
        return CommandError(
            f"`{name}` has a router, `{routers[0]}`, but no application",
            f"Write `app = FastAPI()` and `app.include_router({routers[0]})`.",
        )
    return CommandError(f"`{name}` has no application", "Make one, `app = FastAPI()`, or name the object: `module:object`.")


def _take(module: ModuleType, attribute: str, target: Target) -> Any:
    value: Any = module
    done: list[str] = []
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            if has_user_frames(error.__traceback__):  # a property or a module's __getattr__ that itself fails
                raise UserCodeError(f"reading `{target.import_string}`") from error
            raise _no_attribute(value, part, ".".join([module.__name__, *done])) from None
        except Exception as error:
            raise UserCodeError(f"reading `{target.import_string}`") from error
        done.append(part)
    return value


def _no_attribute(owner: Any, part: str, shown: str) -> CommandError:
    advice = []
    if isinstance(owner, ModuleType):
        if hasattr(owner, "__path__") and importlib.util.find_spec(f"{shown}.{part}") is not None:
            advice.append(f"`{shown}.{part}` is a module: write `{shown}.{part}` or `{shown}.{part}:app`.")
        apps = [name for kind in ("FastAPI", "Starlette") for name in _instances(owner, kind)]
        if apps:
            advice.append(f"Did you mean `{shown}:{apps[0]}`?")
        elif any(callable(getattr(owner, name, None)) for name in _FACTORY_NAMES):
            name = next(name for name in _FACTORY_NAMES if callable(getattr(owner, name, None)))
            advice.append(f"`{name}` seems to make it: write `{shown}:{name}` and --factory.")
    if not advice:
        advice = [close_to(part, [name for name in dir(owner) if not name.startswith("_")])]
    return CommandError(f"`{shown}` has no `{part}`", *filter(None, advice))


# -- checking it ---------------------------------------------------------------------------------------------------------------


def _call_factory(function: Any, target: Target) -> Any:
    if not callable(function):
        raise CommandError(
            f"`{target.import_string}` is a {type(function).__name__}, not a function", "Without --factory it is served as it is."
        )
    if _is_instance_of(function, "Starlette"):
        raise CommandError(f"`{target.import_string}` is an application already", "Leave --factory out.")
    needed = _required_parameters(function)
    if needed:
        raise CommandError(f"the factory `{target.import_string}` needs {', '.join(needed)}, and is called without arguments")
    try:
        made = function()
    except SystemExit as error:
        raise CommandError(
            f"the factory `{target.import_string}` ended the program: sys.exit({error.code!r})", exit_code=ExitCode.FAILURE
        ) from None
    except Exception as error:
        raise UserCodeError(f"calling the factory `{target.import_string}`") from error
    if inspect.iscoroutine(made):
        made.close()
        raise CommandError(f"the factory `{target.import_string}` is a coroutine function; it must return the application itself")
    return made


def _require_asgi(found: Any, target: Target, factory: bool) -> None:
    """Refuses what cannot be called with a scope, receive and send, and says what it is instead."""
    shown = f"what `{target.import_string}` returned" if factory else f"`{target.import_string}`"
    if isinstance(found, ModuleType):
        raise CommandError(f"{shown} is a module, not an application", f"Write `{found.__name__}:app`.")
    if isinstance(found, type):
        raise CommandError(
            f"{shown} is the class {found.__name__}, not an application", f"Make one: `{target.attribute} = {found.__name__}()`."
        )
    if not callable(found):
        raise CommandError(f"{shown} is a {type(found).__name__}, not an ASGI application")
    if hasattr(found, "wsgi_app"):
        raise CommandError(f"{shown} is a WSGI application, and this is an ASGI server", "Mount it with `a2wsgi.WSGIMiddleware`.")
    if not factory and isinstance(found, FunctionType) and not _required_parameters(found) and not _takes(found, 3):
        raise CommandError(
            f"{shown} is a function without parameters, not an ASGI application", "If it makes the application, add --factory."
        )
    if not _takes(found, 3):
        raise CommandError(f"{shown} does not take (scope, receive, send), so it is not an ASGI application")


def _is_instance_of(value: Any, kind: str) -> bool:
    return kind in {base.__name__ for base in type(value).__mro__}


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except ValueError:  # a callable of C without a signature: the benefit of the doubt
        return True
    except TypeError:
        return False
    return True


def _required_parameters(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in variadic]
