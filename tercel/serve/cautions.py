"""Settings that work and are hardly ever meant: told once, when an application freezes. Knows no requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tercel.http.log import logger

__all__ = ["warn_about_credentials_for_all"]


def warn_about_credentials_for_all(middleware: Iterable[Middleware]) -> None:
    """Logs a warning for a `CORSMiddleware` that gives every origin what a visitor with cookies may see.

    Browsers refuse `*` together with credentials (Fetch §3.2.5), and so the middleware answers with the origin that asks, whoever
    that is.
    """
    for entry in middleware:
        options = cast(Mapping[str, Any], entry.kwargs)
        if (
            isinstance(entry.cls, type)
            and issubclass(entry.cls, CORSMiddleware)
            and options.get("allow_credentials")
            and "*" in options.get("allow_origins", ())
        ):
            logger.warning(
                "CORSMiddleware(allow_origins=['*'], allow_credentials=True) lets every site read what its visitors' cookies open: "
                "name the origins, or leave allow_credentials out"
            )
