"""How many threads this process may use: not how many the machine has.

The affinity mask and the cgroup's quota decide; `cpu_count` would oversubscribe a container.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """Threads that can run at once: the affinity mask, cut to the CPU quota of the cgroup, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, min(allowed, math.ceil(quota))) if quota else allowed


@functools.cache
def _quota() -> float | None:
    """CPUs the cgroup grants, the strictest on the way to the root; None without a limit."""
    limits = [limit for folder in _own_cgroups() if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _own_cgroups() -> list[Path]:
    """This process's cgroup folders, version 2 or 1, with their parents."""
    folders = [_CGROUP, _CGROUP / "cpu"]
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "cpu", "cpu,cpuacct"):
            base = _CGROUP if controllers == "" else _CGROUP / "cpu"
            own = base / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if base in parent.parents)]
    return folders


def _limit(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return int(quota) / int(period)
