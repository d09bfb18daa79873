"""Small static files from memory: what a mounted `StaticFiles` would answer, without its thread hops, while a file is unchanged.

Nothing is answered without asking the file system whether the file is still the one that was read, and everything but a plain GET
is left to Starlette. This module must not know how routes are found. Read `tercel.routing.table` for who uses it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Coroutine
from types import FunctionType
from typing import Any, Final, NamedTuple

from starlette import routing
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

from tercel.http.exchange import Exchange, Head
from tercel.http.threads import run_in_threadpool

__all__ = ["KeptFiles", "kept_files"]

_FILE_MAX_BYTES: Final = 65_536
"""Larger files are read from disk each time: there the hops to a thread are the smaller part."""
_ALL_MAX_BYTES: Final = 8 * 1024 * 1024
"""Of one mount. When it is exceeded, what was read first is forgotten."""
_PATHS_MAX: Final = 1024
_SETTLED_S: Final = 2.0
"""A file is kept only this long after its last change: two changes within the resolution of a file system's clock look alike."""
_RETRY_S: Final = 60.0
"""A file that could not be kept is looked at again only after so long."""


def _methods(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, FunctionType)}


_ORIGINAL: Final = [(cls, name, method) for cls in (StaticFiles, FileResponse) for name, method in _methods(cls).items()]


class _Kept(NamedTuple):
    file: str
    signature: tuple[int, int, int, int]
    head: Head
    body: bytes


def _signature(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class KeptFiles:
    """The files of one mount that were asked for, as they were sent.

    Args:
        files: what is mounted. Of the class itself, with one directory.
    """

    def __init__(self, files: StaticFiles) -> None:
        self.files = files
        self._attributes = len(vars(files))  # a method that is replaced on the object is one more
        self._kept: dict[str, _Kept] = {}
        self._size_bytes = 0
        self._tried: dict[str, float] = {}

    def answer_at_once(self, ex: Exchange) -> Coroutine[Any, Any, None] | None:
        """What answers a request for a file that is kept and has not changed; None leaves it to `StaticFiles`."""
        kept = self._kept.get(ex.path)
        if kept is None or ex.method != "GET":
            return None
        header = ex.header
        # The response may be another one for these fields (RFC 9110 §13, §14).
        if header(b"range") is not None or header(b"if-none-match") is not None or header(b"if-modified-since") is not None:
            return None
        try:
            # A system call on the loop: the file was read before, so that its inode is in memory.
            unchanged = _signature(os.stat(kept.file)) == kept.signature
        except OSError:
            unchanged = False
        if not unchanged or len(vars(self.files)) != self._attributes or len(self.files.all_directories) != 1:
            self._forget(ex.path)
            return None
        return _respond(ex, kept)

    async def keep(self, path: str, name: str) -> None:
        """Reads a file that was just sent, if it is small enough and has not changed lately.

        Args:
            path: of the request.
            name: of the file, below the directory.
        """
        now_s = time.monotonic()
        if path in self._kept or now_s - self._tried.get(path, -_RETRY_S) < _RETRY_S:
            return
        if len(self._tried) >= _PATHS_MAX:
            self._tried.clear()
        self._tried[path] = now_s
        kept = await run_in_threadpool(self._read, name)
        if kept is not None and path not in self._kept:
            self._kept[path] = kept
            self._size_bytes += len(kept.body)
            while self._size_bytes > _ALL_MAX_BYTES or len(self._kept) > _PATHS_MAX:
                self._forget(next(iter(self._kept)))

    def _read(self, name: str) -> _Kept | None:
        try:
            full_path, found = self.files.lookup_path(name)
            if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > _FILE_MAX_BYTES:
                return None
            if time.time() - found.st_mtime < _SETTLED_S:
                return None
            with open(full_path, "rb") as file:
                body = file.read(_FILE_MAX_BYTES + 1)
                read = os.fstat(file.fileno())
        except (OSError, ValueError):
            return None
        if _signature(read) != _signature(found) or len(body) != read.st_size:
            return None
        headers = FileResponse(full_path, stat_result=read).raw_headers
        # Without its length, which the server adds: such a head is rendered once.
        head = Head(200, [(name, value) for name, value in headers if name != b"content-length"])
        return _Kept(os.path.join(self.files.all_directories[0], name), _signature(read), head, body)

    def _forget(self, path: str) -> None:
        self._tried.pop(path, None)
        kept = self._kept.pop(path, None)
        if kept is not None:
            self._size_bytes -= len(kept.body)


async def _respond(ex: Exchange, kept: _Kept) -> None:
    if not ex.respond_at_once(kept.head, kept.body):
        await ex.respond(kept.head, kept.body)


def _is_pristine(files: StaticFiles) -> bool:
    """Whether nobody has replaced a method of this object, or given it several directories."""
    return len(files.all_directories) == 1 and not any(name in vars(StaticFiles) for name in vars(files))


def kept_files(route: Any) -> KeptFiles | None:
    """For a mount of plain static files below a literal path; None for everything else, which has to be called."""
    app: Any = getattr(route, "app", None)
    if type(route) is not routing.Mount or type(app) is not StaticFiles or "{" in route.path or not _is_pristine(app):
        return None
    if any(vars(cls).get(name) is not method for cls, name, method in _ORIGINAL):
        return None
    return KeptFiles(app)
