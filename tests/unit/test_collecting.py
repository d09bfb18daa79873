"""While something is loaded, the collector looks less often; afterwards everything is as the program had it."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from tercel.collecting import FewCollections


class Node:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    enabled, threshold = gc.isenabled(), gc.get_threshold()
    gc.enable()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*threshold)
    (gc.enable if enabled else gc.disable)()


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


def test_nothing_is_collected_meanwhile() -> None:
    before = collections()
    with FewCollections():
        kept = [[] for _ in range(50_000)]
        assert collections() == before
    assert len(kept) == 50_000
    assert gc.get_threshold() == (700, 10, 10)


def test_what_was_made_meanwhile_counts_as_old() -> None:
    with FewCollections():
        kept = [Node() for _ in range(1000)]
    old = set(map(id, gc.get_objects(generation=2)))
    assert all(id(each) in old for each in kept)


def test_what_was_made_meanwhile_can_still_be_collected() -> None:
    with FewCollections():
        alive = weakref.ref(Node())
    assert alive() is not None
    gc.collect()
    assert alive() is None


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with FewCollections():
        assert gc.get_threshold() == (700, 10, 10)
    assert not gc.isenabled()


def test_a_threshold_that_the_program_sets_meanwhile_is_kept() -> None:
    with FewCollections():
        gc.set_threshold(5000, 7, 7)
    assert gc.get_threshold() == (5000, 7, 7)


@pytest.mark.parametrize("first", [0, 200_000])
def test_a_threshold_that_says_seldom_or_never_is_kept(first: int) -> None:
    gc.set_threshold(first, 10, 10)
    with FewCollections():
        assert gc.get_threshold()[0] == first
    assert gc.get_threshold()[0] == first


def test_what_fails_meanwhile_leaves_the_settings_as_they_were() -> None:
    with pytest.raises(ZeroDivisionError), FewCollections():
        1 / 0
    assert gc.get_threshold() == (700, 10, 10)


_FROZEN = """
import gc
gc.freeze()
import tercel
assert gc.get_freeze_count() > 0
"""

_IMPORTED = """
import gc
before, threshold = gc.get_stats(), gc.get_threshold()
import tercel
collected = sum(now["collections"] - then["collections"] for now, then in zip(gc.get_stats(), before))
assert collected <= 1, collected
assert gc.get_threshold() == threshold
assert gc.isenabled() and gc.get_freeze_count() == 0
"""


@pytest.mark.parametrize("program", [_FROZEN, _IMPORTED])
def test_importing_tercel_leaves_the_collector_as_it_was(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
