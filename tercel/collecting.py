"""Keeps Python's garbage collector from looking at the same objects again and again while much is made that stays.

Importing Tercel and an application makes a hundred thousand objects, of which nearly none can be freed; looking for those costs a
tenth of the start-up. Knows nothing of what is imported. Read `tercel.cli.served` next, for applications.
"""

from __future__ import annotations

import gc
from types import TracebackType

__all__ = ["FewCollections"]

_THRESHOLD = 100_000
"""Objects between two collections meanwhile: some ten MB at most of what could have been freed."""


class FewCollections:
    """While it is entered, the collector looks less often; afterwards it counts all that is there as old.

    What is old is looked at when a quarter as much has come to it, so nothing is exempt from collection. The settings of a program
    that has its own stay in force: a collector that is off, a higher threshold, one that was set meanwhile, frozen objects.
    """

    def __enter__(self) -> None:
        self._before = self._meanwhile = gc.get_threshold()
        if gc.isenabled() and 0 < self._before[0] < _THRESHOLD:
            gc.set_threshold(_THRESHOLD, *self._before[1:])
            self._meanwhile = gc.get_threshold()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if gc.get_freeze_count() == 0:
            gc.freeze()  # and thawed at once they are in the oldest generation, without having been looked at
            gc.unfreeze()
        if gc.get_threshold() == self._meanwhile:
            gc.set_threshold(*self._before)
