"""What control groups allow: version 1, version 2, nested groups, and machines without any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streameval import cgroups
from streameval.kernels import threads
from streameval.storage import memory_limit


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in place of /sys/fs/cgroup, and own.txt in place of /proc/self/cgroup."""
    monkeypatch.setattr(cgroups, "_ROOT", tmp_path / "sys")
    monkeypatch.setattr(cgroups, "_OWN", tmp_path / "own.txt")
    memory_limit.memory.cache_clear()
    threads._quota.cache_clear()
    yield tmp_path
    memory_limit.memory.cache_clear()
    threads._quota.cache_clear()


def write(system: Path, own: str, files: dict[str, str]) -> None:
    (system / "own.txt").write_text(own)
    for name, text in files.items():
        path = system / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_without_cgroups_nothing_is_limited(system: Path) -> None:
    """No /proc, no /sys: the machine's own numbers hold."""
    assert threads._quota() is None
    assert memory_limit.memory() > 1 << 28


def test_the_strictest_group_of_version_2_counts(system: Path) -> None:
    """A group may allow more than the one around it: that one holds."""
    files = {
        "pods/one/memory.max": "300000000",
        "pods/memory.max": "200000000",
        "memory.max": "max",
        "pods/one/cpu.max": "max 100000",
        "pods/cpu.max": "150000 100000",
    }
    write(system, "0::/pods/one\n", files)
    assert memory_limit.memory() == 200_000_000
    assert threads._quota() == 1.5


def test_version_1_has_a_folder_for_each_controller(system: Path) -> None:
    """-1 and numbers near 2**63 stand for no limit there."""
    files = {
        "memory/jobs/memory.limit_in_bytes": "100000000",
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu/jobs/7/cpu.cfs_quota_us": "-1",
        "cpu/jobs/7/cpu.cfs_period_us": "100000",
        "cpu/jobs/cpu.cfs_quota_us": "50000",
        "cpu/jobs/cpu.cfs_period_us": "100000",
    }
    write(system, "4:memory:/jobs\n1:cpu,cpuacct:/jobs/7\n0::/\n", files)
    assert memory_limit.memory() == 100_000_000
    assert threads._quota() == 0.5
    assert threads.available() == 1


def test_a_container_sees_its_own_group_as_the_root(system: Path) -> None:
    """The path in /proc may lead nowhere: then the root's files are the group's."""
    write(system, "4:memory:/docker/abc\n", {"memory/memory.limit_in_bytes": "123456789"})
    assert memory_limit.memory() == 123_456_789


@pytest.mark.parametrize(("size", "fits"), [(50_000_000, True), (50_000_001, False)])
def test_files_up_to_half_of_memory_may_stay_in_the_page_cache(system: Path, size: int, fits: bool) -> None:
    """The rest is for everybody else."""
    write(system, "0::/\n", {"memory.max": "100000000"})
    assert memory_limit.cacheable(size) is fits
