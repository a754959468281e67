"""What begins anew in a fork: a child has neither the threads of its parent nor who would release their locks.

Knows `fork`. Does not know what begins anew.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewed(Protocol):
    """What holds locks, threads, or work that threads have begun."""

    def renew(self) -> None:
        """Let go of what belonged to threads of the parent: locks, pools, what was on its way."""


_living: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renew_in_forks(one: Renewed) -> None:
    """Have `one.renew()` called in every child that is forked off, before anything else runs there."""
    _living.add(one)


def _renew_all() -> None:
    for one in list(_living):
        one.renew()


os.register_at_fork(after_in_child=_renew_all)
