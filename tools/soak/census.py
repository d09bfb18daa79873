"""What is in a process between two loads, and what may differ. Numbers only; `tools.soak.service` counts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Census", "growth"]

# Of resident memory: arenas, and what the allocator has not given back.
NOISE_KIB = 2_048
# Of objects and of allocated blocks, for each thousand requests: caches that fill slowly. A kind of visit is at least seven of a
# thousand requests, so that one object that it leaks each time is seven times as many.
NOISE_PER_THOUSAND = 1.0
NOISE_OBJECTS = 200
# Free lists and dictionaries grow.
NOISE_BLOCKS = 600
# Workers of synchronous calls: at most as many as there are clients, and each ends some seconds after its last call. What each of
# them has (46 objects and 150 blocks) is allowed for.
NOISE_THREADS = 16
THREAD_OBJECTS = 50
THREAD_BLOCKS = 200


@dataclass(frozen=True)
class Census:
    """Counts.

    Args:
        rss_kib: resident memory.
        files: open descriptors.
        threads: of the process, whoever started them.
        tasks: of the event loop.
        lines: entries of `linecache`.
        objects: that the garbage collector knows, after a collection.
        blocks: `sys.getallocatedblocks`: whatever has its own memory, collected or not.
        own: objects of Tercel's classes, by class.
    """

    rss_kib: int
    files: int
    threads: int
    tasks: int
    lines: int
    objects: int
    blocks: int
    own: Mapping[str, int]


def growth(before: Census, after: Census, requests: int, noise_objects: int = NOISE_OBJECTS) -> list[str]:
    """What has grown beyond noise from one census to the next, in words; nothing, when nothing leaks.

    Args:
        before: when everything that is kept had been used.
        after: after so many further requests.
        requests: how many.
        noise_objects: how many more garbage-collected objects are none of their making.
    """
    found = []
    threads = min(max(0, after.threads - before.threads), NOISE_THREADS)
    for name in ("files", "tasks", "lines"):
        if getattr(after, name) > getattr(before, name):
            found.append(f"{name}: {getattr(before, name)} to {getattr(after, name)}")
    for kind in sorted(after.own):
        if after.own[kind] > before.own.get(kind, 0):
            found.append(f"objects of {kind}: {before.own.get(kind, 0)} to {after.own[kind]}")
    noises = (("objects", noise_objects + threads * THREAD_OBJECTS), ("blocks", NOISE_BLOCKS + threads * THREAD_BLOCKS))
    for name, noise in noises:
        if getattr(after, name) > getattr(before, name) + noise + requests / 1000 * NOISE_PER_THOUSAND:
            found.append(f"{name}: {getattr(before, name)} to {getattr(after, name)}")
    if after.threads > before.threads + NOISE_THREADS:
        found.append(f"threads: {before.threads} to {after.threads}")
    if after.rss_kib > before.rss_kib + NOISE_KIB:
        found.append(f"resident memory: {before.rss_kib} KiB to {after.rss_kib} KiB")
    return found
