"""`frontend()`: the built files of a single-page application behind the API's routes, which it never hides.

A group holds the frontends of one router; it is tried when no route matched. The longest matching path wins. Unknown paths fall
back to `index.html` only for navigation, that is when Accept names HTML explicitly.
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from email.message import Message
from functools import partial
from typing import Any, Literal, cast

from starlette._utils import get_route_path
from starlette.datastructures import URL, URLPath
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from tercel.analyse.planner import plan_tree
from tercel.analyse.signature import dependant_of
from tercel.compile.interpret import run_plan
from tercel.compile.scopes import RequestScope
from tercel.declare.markers import Depends
from tercel.http.asgi import ASGIExchange
from tercel.http.errors import DeclarationAssertion
from tercel.http.observed import observer_of
from tercel.http.threads import in_thread
from tercel.routing.overriding import plan_under_overrides

__all__ = [
    "CheckDir",
    "Fallback",
    "FrontendFiles",
    "FrontendGroup",
    "FrontendRoute",
    "join_frontend_paths",
    "normalised_frontend_path",
    "resolved_check_dir",
]

Fallback = Literal["auto", "index.html", "404.html"] | None
CheckDir = bool | Literal["auto"]
_FALLBACKS = ("auto", "index.html", "404.html", None)
_METHODS = frozenset({"GET", "HEAD"})
_PATH, _SPECIFICITY = "frontend_path", "frontend_specificity"


def normalised_frontend_path(path: str) -> str:
    """The path without a slash at its end, except for the root."""
    if not path:
        raise DeclarationAssertion("A frontend path cannot be empty")
    if not path.startswith("/"):
        raise DeclarationAssertion("A frontend path must start with '/'")
    return path if path == "/" else path.rstrip("/")


def join_frontend_paths(prefix: str, path: str) -> str:
    return path if not prefix else prefix if path == "/" else prefix + path


def _specificity(path: str) -> int:
    return 0 if path == "/" else len(path)


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(os.fspath(path))


def resolved_check_dir(directory: str | os.PathLike[str], check_dir: CheckDir, stacklevel: int = 3) -> bool:
    """Whether a missing directory is an error now; in development (`FASTAPI_ENV=development`) `auto` warns instead."""
    if check_dir != "auto":
        return check_dir
    if os.environ.get("FASTAPI_ENV") != "development":
        return True
    if not os.path.isdir(directory):
        warnings.warn(
            f"Frontend directory '{directory}' does not exist. Resolved absolute path: '{_absolute(directory)}'",
            stacklevel=stacklevel,
        )
    return False


class FrontendFiles(StaticFiles):
    """The files of one frontend."""

    def __init__(self, *, directory: str | os.PathLike[str], fallback: Fallback, check_dir: bool) -> None:
        self.fallback = fallback
        if check_dir and not os.path.isdir(directory):
            raise RuntimeError(f"Frontend directory '{directory}' does not exist. Resolved absolute path: '{_absolute(directory)}'")
        super().__init__(directory=directory, html=True, check_dir=check_dir, follow_symlink=False)
        if check_dir and fallback in ("index.html", "404.html"):
            _, found = self.lookup_path(cast(str, fallback))
            if found is None or not stat.S_ISREG(found.st_mode):
                raise RuntimeError(self._missing_fallback(cast(str, fallback)))

    def _missing_fallback(self, name: str) -> str:
        assert self.directory is not None
        return (
            f"Frontend fallback file '{name}' does not exist in directory '{self.directory}'. "
            f"Resolved absolute directory: '{_absolute(self.directory)}'"
        )

    def get_path(self, scope: Scope) -> str:
        path: str = scope.get("fastapi", {}).get(_PATH, "")
        return os.path.normpath(os.path.join(*path.split("/")))

    async def get_response_for_scope(self, scope: Scope) -> Response:
        """The response for a scope in which a frontend was matched.

        Raises:
            HTTPException: 404, 405, or 401 for a file that may not be read.
        """
        if not self.config_checked:
            await self.check_config()
            self.config_checked = True
        return await self.get_response(self.get_path(scope), scope)

    async def get_response(self, path: str, scope: Scope) -> Response:
        found = await self._find(path)
        if scope["method"] not in _METHODS:
            raise HTTPException(status_code=404 if found is None else 405)
        if found is not None:
            full_path, result, is_index = found
            if is_index and not scope["path"].endswith("/"):
                url = URL(scope=scope)
                return RedirectResponse(url=url.replace(path=url.path + "/"))
            return self.file_response(full_path, result, scope)
        if self.fallback == "404.html" or (self.fallback == "auto" and await self._exists("404.html")):
            return await self._answer_with("404.html", scope, 404)
        to_index = self.fallback == "index.html" or (self.fallback == "auto" and await self._exists("index.html"))
        if to_index and _is_navigation(scope):
            return await self._answer_with("index.html", scope, 200)
        raise HTTPException(status_code=404)

    async def _look_up(self, path: str) -> tuple[str, os.stat_result | None]:
        try:
            return await in_thread(self.lookup_path, path)
        except PermissionError:
            raise HTTPException(status_code=401) from None
        except ValueError:  # a NUL byte
            raise HTTPException(status_code=404) from None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):  # a link that leads to itself is no file either
                raise HTTPException(status_code=404) from None
            raise

    async def _find(self, path: str) -> tuple[str, os.stat_result, bool] | None:
        """A regular file, or the index of a directory (then True)."""
        full_path, found = await self._look_up(path)
        if found is None:
            return None
        if stat.S_ISREG(found.st_mode):
            return full_path, found, False
        if stat.S_ISDIR(found.st_mode):
            full_path, found = await self._look_up(os.path.join(path, "index.html"))
            if found is not None and stat.S_ISREG(found.st_mode):
                return full_path, found, True
        return None

    async def _exists(self, name: str) -> bool:
        _, found = await in_thread(self.lookup_path, name)
        return found is not None and stat.S_ISREG(found.st_mode)

    async def _answer_with(self, name: str, scope: Scope, status_code: int) -> Response:
        full_path, found = await in_thread(self.lookup_path, name)
        if found is None or not stat.S_ISREG(found.st_mode):
            raise RuntimeError(self._missing_fallback(name))
        return self.file_response(full_path, found, scope, status_code=status_code)


def _accepted(accept: str) -> Iterator[tuple[str, float]]:
    """Media types of an Accept header with their weights (RFC 9110 §12.5.1)."""
    for part in accept.split(","):
        message = Message()
        message["content-type"] = part.strip()
        weight = message.get_param("q")
        try:
            quality = float(weight) if isinstance(weight, str) else 1.0
        except ValueError:
            quality = 1.0
        yield f"{message.get_content_maintype()}/{message.get_content_subtype()}", quality


def _is_navigation(scope: Scope) -> bool:
    accept = Request(scope).headers.get("accept", "")
    return any(kind in ("text/html", "application/xhtml+xml") and quality != 0 for kind, quality in _accepted(accept))


class FrontendRoute(BaseRoute):
    """One `frontend()` call; `app` are its files."""

    def __init__(self, path: str, *, directory: str | os.PathLike[str], fallback: Fallback = "auto", check_dir: bool) -> None:
        if fallback not in _FALLBACKS:
            raise DeclarationAssertion("fallback must be 'auto', 'index.html', '404.html', or None")
        self.path = normalised_frontend_path(path)
        self.methods = set(_METHODS)
        self.app: FrontendFiles = FrontendFiles(directory=directory, fallback=fallback, check_dir=check_dir)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return self.matches_with_path(scope, self.path)

    def matches_with_path(self, scope: Scope, path: str) -> tuple[Match, Scope]:
        """The same for the path that the frontend has in an included router."""
        relative = self.relative(path, get_route_path(scope)) if scope["type"] == "http" else None
        return (Match.NONE, {}) if relative is None else self.match_of(scope, path, relative)

    def match_of(self, scope: Scope, path: str, relative: str) -> tuple[Match, Scope]:
        """The match of a request for `relative` below `path`."""
        child_scope = {"fastapi": {_PATH: relative, _SPECIFICITY: _specificity(path)}}
        return (Match.FULL if scope["method"] in self.methods else Match.PARTIAL), child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.app.get_response_for_scope(scope)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)

    @staticmethod
    def relative(path: str, route_path: str) -> str | None:
        """What remains of a request's path below the frontend's, or None outside of it."""
        if path == "/":
            return route_path.lstrip("/")
        if route_path == path:
            return ""
        return route_path[len(path) + 1 :] if route_path.startswith(path + "/") else None


def _nothing() -> None:
    """Stands for an endpoint where only dependencies run."""


class FrontendGroup(BaseRoute):
    """The frontends of one router, with the router's dependencies in front of the files."""

    def __init__(self, *, dependencies: Sequence[Depends] | None = None, dependency_overrides_provider: Any = None) -> None:
        self.routes: list[FrontendRoute] = []
        self.dependencies = list(dependencies or ())
        self.dependency_overrides_provider = dependency_overrides_provider
        self._app = self.app_for("", self.dependencies, dependency_overrides_provider)

    def add_frontend_route(
        self, path: str, *, directory: str | os.PathLike[str], fallback: Fallback = "auto", check_dir: bool
    ) -> None:
        self.routes.append(FrontendRoute(path, directory=directory, fallback=fallback, check_dir=check_dir))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return self.matches_with_prefix(scope, "")

    def matches_with_prefix(self, scope: Scope, prefix: str) -> tuple[Match, Scope]:
        found = self._find(scope, prefix)
        if found is None:
            return Match.NONE, {}
        frontend, path, relative = found
        return frontend.match_of(scope, path, relative)

    def _find(self, scope: Scope, prefix: str) -> tuple[FrontendRoute, str, str] | None:
        """The frontend with the longest path that contains the request's, that path, and what remains below it."""
        if scope["type"] != "http":
            return None
        route_path = get_route_path(scope)
        best: tuple[FrontendRoute, str, str] | None = None
        for frontend in self.routes:
            path = join_frontend_paths(prefix, frontend.path)
            relative = frontend.relative(path, route_path)
            if relative is not None and (best is None or _specificity(path) > _specificity(best[1])):
                best = frontend, path, relative
        return best

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def app_for(self, prefix: str, dependencies: Sequence[Depends], provider: Any) -> ASGIApp:
        """The ASGI application of the group under a prefix, with the dependencies of the routers around."""
        dependant = dependant_of("", _nothing, dependencies)
        planner = partial(plan_tree, dependant, "frontend")

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            found = self._find(scope, prefix)
            if found is None:
                raise HTTPException(status_code=404)
            frontend, path, relative = found
            scope.setdefault("fastapi", {})[_PATH] = relative
            observer = observer_of(scope)
            if observer is not None:
                observer.route_selected(path.rstrip("/") + "/{path}", False)
            if not dependencies or scope["method"] not in _METHODS:
                await frontend.handle(scope, receive, send)
                return
            ex = ASGIExchange(scope, receive, send, Request(scope, receive, send))
            plan = plan_under_overrides(provider, planner)
            async with RequestScope(ex) as request_scope:
                injected, background = await run_plan(plan, ex, request_scope)
                response = await frontend.app.get_response_for_scope(scope)
                if response.background is None:
                    response.background = background
                if injected is not None:
                    response.headers.raw.extend(injected.headers.raw)
                await response(scope, receive, send)

        return app

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)


def specificity_of(child_scope: Scope) -> int | None:
    """How long the path of a matched frontend is."""
    value = child_scope.get("fastapi", {}).get(_SPECIFICITY)
    return value if isinstance(value, int) else None
