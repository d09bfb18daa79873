"""The compiled reader of JSON; see `_reader.pyx`. It may be missing: only `tercel.http.written` imports it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

def bind(fields_set: object, extra: object, private: object) -> bool:
    """Take the descriptors of the slots that every model has; False if one of them is none of a slot."""

@final
class Reader:
    """One node: how a value of a declared type is read.

    Args:
        kind: `str`, `int`, `float`, `bool`, `none`, `literal`, `nullable`, `list`, `model`; `scalar` for what `validate` reads.
        item: of `nullable` and `list`: what is inside.
        expected: of `literal`: the strings.
        validate: of `scalar`: gives the value of a JSON string, number or constant, or raises ValidationError.
    """

    def __init__(
        self,
        kind: str,
        *,
        item: Reader | None = None,
        expected: Iterable[str] = (),
        validate: Callable[[bytes], Any] | None = None,
    ) -> None: ...
    def set_model(self, cls: type, fields: Iterable[tuple[str, str, Reader]], defaults: Mapping[str, Any]) -> None:
        """Complete a `model`, which may contain itself.

        Args:
            cls: its instances are made without calling anything of it.
            fields: attribute, key in JSON and reader of each; at most 64.
            defaults: immutable values, by attribute; what has none is declined where it is missing.
        """
    def set_fallback(self, validate: Callable[[bytes], Any]) -> None:
        """Let this one, which is no `scalar`, read whole texts: what it declines is given to `validate`."""

    def read(self, raw: bytes) -> Any:
        """The value of a JSON text. Raises what `validate` raises."""
