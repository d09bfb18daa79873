"""What the handler of a path operation was made of, and noticing that a program has changed it since.

As in FastAPI, a handler is made of what a route says when it is declared. Assigning to the route later changes nothing, until the
program asks for a new handler (`route.app = request_response(route.get_route_handler())`); but the `Dependant` tree is the same
object, so that what is changed in it takes effect at once. A tree is watched from when it is first planned. Read
`tercel.routing.operation` next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, SupportsIndex

from starlette.responses import Response

from tercel.analyse.annotations import lenient_issubclass
from tercel.analyse.dependant import Dependant, is_generator
from tercel.analyse.fields import ModelField
from tercel.http.defaults import DefaultPlaceholder
from tercel.http.sse import EventSourceResponse
from tercel.routing.changes import changes

if TYPE_CHECKING:
    from pydantic.main import IncEx

    from tercel.routing.route import RouteState

__all__ = ["Handled", "watch_tree"]


@dataclass(eq=False, slots=True)
class Handled:
    """The part of a route's state that its handler depends on, as it was when the handler was made.

    Attributes:
        methods, path_format: for titles only.
        cancel_on_disconnect: nothing of FastAPI's handlers; see `OperationArguments`.
    """

    dependant: Dependant
    body_field: ModelField | None
    status_code: int | None
    response_class: type[Response] | DefaultPlaceholder
    response_field: ModelField | None
    response_model_include: IncEx | None
    response_model_exclude: IncEx | None
    response_model_by_alias: bool
    response_model_exclude_unset: bool
    response_model_exclude_defaults: bool
    response_model_exclude_none: bool
    dependency_overrides_provider: Any
    _embed_body_fields: bool
    strict_content_type: bool | DefaultPlaceholder
    stream_item_field: ModelField | None
    is_json_stream: bool
    is_sse_stream: bool = field(init=False)
    methods: set[str] = field(default_factory=set)
    path_format: str = ""
    cancel_on_disconnect: bool = False

    def __post_init__(self) -> None:
        declared = self.response_class
        actual = declared.value if isinstance(declared, DefaultPlaceholder) else declared
        self.is_sse_stream = is_generator(self.dependant.call) and lenient_issubclass(actual, EventSourceResponse)
        self.path_format = self.path_format or self.dependant.path or ""

    @classmethod
    def of(cls, state: RouteState) -> Handled:
        """What a route says now."""
        handled = cls(*[getattr(state, name) for name in _SAID])
        handled.methods, handled.path_format = state.methods, state.path_format
        handled.cancel_on_disconnect = bool(state.cancel_on_disconnect)
        return handled

    def is_what(self, state: RouteState) -> bool:
        """Whether a route still says the same."""
        return all(getattr(self, name) is getattr(state, name) for name in _SAID)


_BESIDE = ("is_sse_stream", "methods", "path_format", "cancel_on_disconnect")
_SAID = tuple(each.name for each in fields(Handled) if each.name not in _BESIDE)


# -- watching a tree ---------------------------------------------------------------------------------------------------------------


class _Watched(Dependant):
    """A dependant that tells when it is changed. An ordinary one becomes this in place."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        Dependant.__setattr__(self, name, value)
        changes.touch()


class _WatchedList(list[Any]):
    """A list of a dependant's that tells when it is changed."""

    def append(self, item: Any) -> None:
        super().append(item)
        changes.touch()

    def extend(self, items: Any) -> None:
        super().extend(items)
        changes.touch()

    def insert(self, index: SupportsIndex, item: Any) -> None:
        super().insert(index, item)
        changes.touch()

    def remove(self, item: Any) -> None:
        super().remove(item)
        changes.touch()

    def pop(self, index: SupportsIndex = -1) -> Any:
        item = super().pop(index)
        changes.touch()
        return item

    def clear(self) -> None:
        super().clear()
        changes.touch()

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        super().sort(key=key, reverse=reverse)
        changes.touch()

    def reverse(self) -> None:
        super().reverse()
        changes.touch()

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        changes.touch()

    def __delitem__(self, index: Any) -> None:
        super().__delitem__(index)
        changes.touch()

    def __iadd__(self, items: Any) -> _WatchedList:  # type: ignore[misc]
        self.extend(items)
        return self


_LISTS = ("path_params", "query_params", "header_params", "cookie_params", "body_params", "dependencies")


def watch_tree(dependant: Dependant) -> None:
    """Has every change of a tree noticed from now on."""
    if type(dependant) is Dependant:
        for name in _LISTS:
            setattr(dependant, name, _WatchedList(getattr(dependant, name)))
        dependant.__class__ = _Watched
    for sub in dependant.dependencies:
        watch_tree(sub)
