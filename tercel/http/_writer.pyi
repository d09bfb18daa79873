"""The compiled writer of JSON; see `_writer.pyx`. It may be missing: only `tercel.http.written` imports it."""

from collections.abc import Callable, Iterable
from typing import Any, final

@final
class Writer:
    """One node: how a value of a declared type is written.

    Args:
        kind: `str`, `int`, `float`, `bool`, `none`, `datetime`, `date`, `uuid`, `decimal`; `any` of those that JSON has, with
            lists and dicts of them; `plain`, the same as `json.dumps` writes it; `literal`, `enum`, `nullable`, `list`, `dict`
            (with strings as keys), `model`.
        item: of `nullable`, `list` and `dict`: what is inside.
        expected: of `literal`: the strings.
        members: of `enum`: each member with its JSON.
    """

    def __init__(
        self,
        kind: str,
        *,
        item: Writer | None = None,
        expected: Iterable[str] = (),
        members: Iterable[tuple[object, bytes]] = (),
    ) -> None: ...
    def set_model(self, cls: type, fields: Iterable[tuple[str, str, Writer]], admits: Callable[[type], bool]) -> None:
        """Complete a `model`, which may contain itself.

        Args:
            fields: attribute, key in JSON and writer of each.
            admits: whether instances of another class are written by these fields too; asked once for each class.
        """
    def write(self, value: Any) -> bytes | None:
        """The JSON of a value, or None if it is not exactly of the declared kind."""
    def followed_by(self, otherwise: Callable[[Any, Any], bytes]) -> Callable[[Any, Any], bytes]:
        """A function of a value and an exchange that gives the JSON of the value, or what `otherwise` makes of both."""
