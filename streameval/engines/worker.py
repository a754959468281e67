"""What runs on a worker: open the data there, compute one span, give back what came of it.

Knows that a process keeps what it opened for the next span. Does not know who sends the spans.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from streameval.errors import DataError
from streameval.evaluation.blocks import Tally
from streameval.evaluation.memory import planned_scorer
from streameval.evaluation.passes import Task, Work, compute
from streameval.evaluation.scoring import NetworkScorer
from streameval.storage.opening import open
from streameval.storage.source import Source, Span


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """What a process keeps between the spans of one pass."""

    key: tuple[Any, ...]
    source: Source
    scorer: NetworkScorer
    chunk_rows: int


# One span at a time in a process: its kernels use all threads that it has.
_LOCK = threading.Lock()
_KEPT: dict[str, _Bench] = {}


def compute_task(work: Work, task: Task, threads: int | None = None) -> Tally:
    """Compute one span with data that this process opens itself.

    threads  what the worker may use; `work.threads` goes before

    Raises the errors of `evaluate`, and DataError if this machine sees other data.
    """
    with _LOCK:
        bench = _bench(work, work.threads or threads)
        tally = Tally.empty(task.span.start, bench.scorer.classes)
        for part in compute(
            bench.scorer,
            bench.source,
            task.rows,
            task.span.start,
            chunk_rows=bench.chunk_rows,
            allow_nonfinite=work.identity.nonfinite,
        ):
            tally += part.tally
    return tally


def _bench(work: Work, threads: int | None) -> _Bench:
    key = (work.identity, repr(work.data), work.io, work.chunk_rows, threads, work.max_memory)
    kept = _KEPT.get("bench")
    if kept is not None and kept.key == key:
        return kept
    if kept is not None:
        kept.source.close()
        _KEPT.clear()
    source = open(work.data, io=work.io, scale=work.scale)
    if source.fingerprint != work.identity.data:
        raise DataError(
            f"{source.name}: this worker sees data with fingerprint {source.fingerprint}, expected "
            f"{work.identity.data}. Give all workers the same file, on a shared disk or as a copy at the same path."
        )
    scorer, chunk_rows = planned_scorer(
        work.model,
        source,
        eps=work.identity.eps,
        chunk_rows=work.chunk_rows,
        threads=threads,
        max_memory=work.max_memory,
        # A task carries the row numbers of its own span alone.
        rows=0,
    )
    _KEPT["bench"] = _Bench(key, source, scorer, chunk_rows)
    return _KEPT["bench"]


def cut_evenly(gap: Span, rows: int) -> list[Span]:
    """Spans of at most `rows` rows that tile `gap`, cut at multiples of `rows`, so that blocks stay whole."""
    cuts = [gap.start, *range((gap.start // rows + 1) * rows, gap.stop, rows), gap.stop]
    return [Span(start, stop) for start, stop in pairwise(cuts) if start < stop]
