"""Jinja2 templates. Needs the extra `templates`."""

from starlette.templating import Jinja2Templates as Jinja2Templates

__all__ = [
    "Jinja2Templates",
]
