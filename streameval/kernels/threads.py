"""How many threads this process may use: not how many the machine has.

The affinity mask and the cgroup's quota decide; `cpu_count` would oversubscribe a container.
"""

from __future__ import annotations

import functools
import math

from streameval.cgroups import settings
from streameval.system import cpus


def available() -> int:
    """Threads that can run at once: the affinity mask, cut to the CPU quota of the cgroup, at least 1."""
    allowed = cpus()
    quota = _quota()
    return max(1, min(allowed, math.ceil(quota))) if quota else allowed


@functools.cache
def _quota() -> float | None:
    """CPUs the cgroup grants, the strictest on the way to the root; None without a limit."""
    found = settings("cpu", "cpu.max", ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return min(
        (int(quota) / int(period) for quota, period in found if quota not in ("max", "-1")), default=None
    )
