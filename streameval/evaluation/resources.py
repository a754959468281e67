"""What a pass costs: seconds, threads, and the peaks of anonymous and file-backed memory, as the kernel counts."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, fields, replace
from typing import Any

from streameval.evaluation.fields import integer, number, only
from streameval.frozen import frozen
from streameval.system import memory_in_use

# Reading /proc takes about 30 microseconds; a look every 50 ms costs nothing.
_PERIOD = 0.05


@frozen
class Resources:
    """seconds of wall time · rows a second · threads · peak resident memory of the process, bytes, sampled
    during the pass: anonymous pages and pages of files. Where the system does not tell them apart, both count as
    anonymous, and the peak is that since the process began.

    max_memory_bytes, base_bytes   with `max_memory`: what it was, and what the process held (of both kinds) when the
    pass began, imports and compiled kernels; the peaks together stay below their sum
    """

    seconds: float
    rows_per_second: float
    threads: int
    peak_anon_bytes: int
    peak_file_bytes: int
    max_memory_bytes: int | None = None
    base_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names."""
        return asdict(self)


def check_costs(stored: Any, rows: int | None = None) -> None:
    """Raise ValueError, KeyError or TypeError for what `Resources.to_dict` does not write.

    rows  that the pass was of: no more can have been computed
    """
    only(stored, tuple(one.name for one in fields(Resources)))
    for name in ("threads", "peak_anon_bytes", "peak_file_bytes"):
        integer(stored, name, least=0)
    for name in ("max_memory_bytes", "base_bytes"):
        if stored.get(name) is not None:
            integer(stored, name, least=0)
    computed = number(stored, "seconds") * number(stored, "rows_per_second")
    if rows is not None and computed > rows * (1 + 1e-9):
        raise ValueError(f"{stored['rows_per_second']} rows a second in {stored['seconds']} seconds")


@frozen
class Usage:
    """What one process used so far: who it is, its threads, its peaks of memory in bytes."""

    process: str
    threads: int
    peak_anon_bytes: int
    peak_file_bytes: int

    @classmethod
    def here(cls, threads: int) -> Usage:
        """That of this process, as it is now."""
        sizes = memory_in_use()
        process = f"{platform.node()}:{os.getpid()}"
        return cls(process, threads, sizes.get("RssAnon", 0), sizes.get("RssFile", 0))


class Meter:
    """Measures one pass: call `look` often, `resources` at the end.

    What other processes used counts instead of what this one did, once they said so: see `add`.
    """

    def __init__(self, max_memory: int | None = None) -> None:
        self._limit = max_memory
        sizes = memory_in_use() if max_memory is not None else {}
        self._base = sizes.get("RssAnon", 0) + sizes.get("RssFile", 0) if sizes else None
        self._start = time.perf_counter()
        self._next = 0.0
        self._unseen = True
        self._anon = self._file = 0
        self._others: dict[str, Usage] = {}

    def add(self, usage: Usage) -> None:
        """Take in what a process that computes elsewhere used; the last word of each process counts."""
        last = self._others.get(usage.process, usage)
        self._others[usage.process] = replace(
            usage,
            peak_anon_bytes=max(usage.peak_anon_bytes, last.peak_anon_bytes),
            peak_file_bytes=max(usage.peak_file_bytes, last.peak_file_bytes),
        )

    def look(self) -> None:
        """Take a sample of the memory in use, if the last one is old."""
        now = time.perf_counter()
        self._unseen = now < self._next
        if not self._unseen:
            self._next = now + _PERIOD
            self._sample()

    def resources(self, rows: int, threads: int) -> Resources:
        """What it came to, for `rows` rows: of other processes the threads of all, and the largest peaks."""
        seconds = time.perf_counter() - self._start
        # A short pass was looked at after its one chunk: nothing was taken since.
        if self._unseen:
            self._sample()
        rate = rows / seconds if seconds > 0 else 0.0
        others = self._others.values()
        if not others:
            return Resources(seconds, rate, threads, self._anon, self._file, self._limit, self._base)
        anon, file = max(one.peak_anon_bytes for one in others), max(one.peak_file_bytes for one in others)
        return Resources(seconds, rate, sum(one.threads for one in others), anon, file, self._limit, None)

    def _sample(self) -> None:
        sizes = memory_in_use()
        self._anon = max(self._anon, sizes.get("RssAnon", 0))
        self._file = max(self._file, sizes.get("RssFile", 0))
