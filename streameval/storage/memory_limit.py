"""How much of its files the system could keep in memory for this process.

Knows the machine's memory and the limits of cgroups. Does not know any file.
"""

from __future__ import annotations

import functools
import os

from streameval.cgroups import settings


def cacheable(size: int) -> bool:
    """Whether a file of `size` bytes may stay in the page cache until it is read again: half of memory is kept free."""
    return size <= memory() // 2


@functools.cache
def memory() -> int:
    """Bytes of memory that this process may fill: the machine's, or less where a cgroup allows less."""
    names = os.sysconf_names if hasattr(os, "sysconf_names") else {}
    machine = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in names else 1 << 62
    )
    limits = settings("memory", "memory.max", ("memory.limit_in_bytes",))
    return min([machine, *(int(limit) for limit, *_ in limits if limit != "max")])
