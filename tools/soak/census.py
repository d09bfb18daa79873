"""What is in a process between two loads, and what may differ. Numbers only; `tools.soak.service` counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Census", "growth"]

# Of resident memory: arenas, and what the allocator has not given back.
NOISE_KIB = 2_048
# Of objects and of allocated blocks, for each thousand requests: caches that fill slowly. One leaked object for each request of any
# kind that is a hundredth of the load is ten times as many.
NOISE_PER_THOUSAND = 1.0
NOISE_OBJECTS = 200
# Threads come and go, free lists and dictionaries grow.
NOISE_BLOCKS = 600


@dataclass(frozen=True)
class Census:
    """Counts.

    Args:
        rss_kib: resident memory.
        files: open descriptors.
        tasks: of the event loop.
        lines: entries of `linecache`.
        objects: that the garbage collector knows, after a collection.
        blocks: `sys.getallocatedblocks`: whatever has its own memory, collected or not.
        own: objects of Tercel's classes, by class.
    """

    rss_kib: int
    files: int
    tasks: int
    lines: int
    objects: int
    blocks: int
    own: Mapping[str, int]


def growth(before: Census, after: Census, requests: int) -> list[str]:
    """What has grown beyond noise from one census to the next, in words; nothing, when nothing leaks.

    Args:
        before: when everything that is kept had been used.
        after: after so many further requests.
        requests: how many.
    """
    found = []
    for name in ("files", "tasks", "lines"):
        if getattr(after, name) > getattr(before, name):
            found.append(f"{name}: {getattr(before, name)} to {getattr(after, name)}")
    for kind in sorted(after.own):
        if after.own[kind] > before.own.get(kind, 0):
            found.append(f"objects of {kind}: {before.own.get(kind, 0)} to {after.own[kind]}")
    for name, noise in (("objects", NOISE_OBJECTS), ("blocks", NOISE_BLOCKS)):
        if getattr(after, name) > getattr(before, name) + noise + requests / 1000 * NOISE_PER_THOUSAND:
            found.append(f"{name}: {getattr(before, name)} to {getattr(after, name)}")
    if after.rss_kib > before.rss_kib + NOISE_KIB:
        found.append(f"resident memory: {before.rss_kib} KiB to {after.rss_kib} KiB")
    return found
