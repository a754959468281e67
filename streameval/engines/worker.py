"""What runs on a worker: open the data there, compute one span, give back what came of it.

Knows that a process keeps what it opened for the next span. Does not know who sends the spans.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from streameval.errors import DataError
from streameval.evaluation.anatomizing import Anatomist
from streameval.evaluation.memory import planned_scorers
from streameval.evaluation.passes import Part, PassSpec, compute
from streameval.evaluation.resources import Usage
from streameval.evaluation.selection import Task
from streameval.evaluation.tally import Tally
from streameval.frozen import frozen
from streameval.scoring.scorer import Scorer
from streameval.storage.checked import CheckedSource
from streameval.storage.opening import open
from streameval.storage.source import Source, Span, with_any_targets


@frozen(eq=False)
class _Bench:
    """What a process keeps between the spans of one pass."""

    key: tuple[Any, ...]
    source: Source
    scorer: Scorer
    chunk_rows: int


# One span at a time in a process: its kernels use all threads that it has.
_LOCK = threading.Lock()
_KEPT: dict[str, _Bench] = {}


def _after_fork() -> None:
    """The thread that had the lock is not here, and may have been in the middle of something."""
    global _LOCK
    _LOCK = threading.Lock()
    _KEPT.clear()


os.register_at_fork(after_in_child=_after_fork)


def compute_task(spec: PassSpec, task: Task, threads: int | None = None) -> Part:
    """Compute one span with data that this process opens itself.

    threads  what the worker may use; those of the spec's budget go before

    Raises the errors of `evaluate`, and DataError if this machine sees other data.
    """
    with _LOCK:
        bench = _bench(spec, threads)
        tally, losses = Tally.empty(task.span.start, bench.scorer.classes), []
        for part in compute(
            [bench.scorer],
            bench.source,
            [task],
            chunk_rows=bench.chunk_rows,
            allow_nonfinite=spec.identity.nonfinite,
            anatomist=Anatomist(bench.source) if spec.identity.anatomy else None,
        ):
            tally += part.tallies[0]
            if spec.losses:
                losses.append(part.losses[0])
        usage = Usage.here(bench.scorer.threads)
        source = bench.source
        hashes = source.hashes(task.rows.rows) if isinstance(source, CheckedSource) else ()
    return Part((tally,), (np.concatenate(losses),) if losses else (), None, usage, hashes=hashes)


def _bench(spec: PassSpec, threads: int | None) -> _Bench:
    budget = spec.budget if spec.budget.threads is not None else replace(spec.budget, threads=threads)
    key = (spec.identity, repr(spec.data), spec.io, spec.check, spec.chunk_rows, budget)
    bench = _KEPT.get("bench")
    if bench is not None and bench.key == key:
        return bench
    if bench is not None:
        bench.source.close()
        _KEPT.clear()
    source = open(spec.data, io=spec.io, scale=spec.scale, check=spec.check)
    if not spec.identity.loss.classifies:
        source = with_any_targets(source)
    if source.fingerprint != spec.identity.data:
        raise DataError(
            f"{source.name}: this worker sees data with fingerprint {source.fingerprint}, expected "
            f"{spec.identity.data}. Give all workers the same file, on a shared disk or as a copy at the same path."
        )
    # A task carries the row numbers of its own span alone: none are held for the whole pass.
    (scorer,), chunk_rows = planned_scorers(
        [spec.model],
        source,
        spec.identity.loss,
        budget,
        spec.chunk_rows,
        detailed=bool(spec.identity.anatomy),
    )
    _KEPT["bench"] = _Bench(key, source, scorer, chunk_rows)
    return _KEPT["bench"]


def cut_evenly(gap: Span, rows: int) -> list[Span]:
    """Spans of at most `rows` rows that tile `gap`, cut at multiples of `rows`, so that blocks stay whole."""
    cuts = [gap.start, *range((gap.start // rows + 1) * rows, gap.stop, rows), gap.stop]
    return [Span(start, stop) for start, stop in pairwise(cuts) if start < stop]
