"""The loss of a model over a data set, whole or in part: one pass, chunk by chunk, into an exact state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.blocks import Tally
from streameval.evaluation.checkpoint import Checkpoint, Keeper, keeping
from streameval.evaluation.events import Callback, EventFile, Listeners
from streameval.evaluation.identity import Identity, inputs
from streameval.evaluation.interrupts import held
from streameval.evaluation.memory import parse_size, planned_scorer
from streameval.evaluation.passes import Engine, Work, compute, portable, run_here, run_on, watched
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.rows import CHUNK_ROWS, Rows, selected
from streameval.evaluation.scoring import NetworkScorer, Scorer, check_eps, check_model
from streameval.evaluation.shards import StateFile, shard_span
from streameval.evaluation.state import State
from streameval.files import Output, check_outputs
from streameval.models.mlp import Mlp
from streameval.storage.opening import open
from streameval.storage.source import Source, Span

EPS = 1e-7


@dataclass(frozen=True, slots=True)
class Step:
    """Where a running evaluation is.

    span    rows start <= row < stop of the selection that this step added
    loss    mean loss in nats over all rows so far; `rows` of them, out of `total`
    losses  (n,) float64: the losses of this step's rows
    state   the exact sums so far; in `tally` with the digests of blocks
    """

    span: Span
    loss: float | None
    rows: int
    total: int
    losses: NDArray[np.float64]
    state: State
    tally: Tally


def evaluate(
    model: Mlp,
    data: Any,
    *,
    rows: Rows = None,
    eps: float = EPS,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    max_memory: int | str | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    shard: tuple[int, int] | None = None,
    engine: Engine | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Return the exact loss of the model over the rows, with all that a pass can tell.

        E = -(1/N) sum_n sum_k t_nk log(y_nk + eps), in nats; eps = 0: exact log-softmax

    model       the network
    data        anything `streameval.open` takes
    rows        None for all; a slice, range or Span; a boolean mask; row numbers (n,), repeats counted
    chunk_rows  rows read at a time: no result depends on it
    threads     default: what affinity mask and cgroup allow; no result depends on it
    allow_nonfinite   leave rows with NaN or infinite features out, and count them, instead of raising
    max_memory  bytes, or "256M": what the pass may hold beyond imports and kernels; chunks and threads follow it
    checkpoint  file that an interrupted pass goes on from: Ctrl-C and SIGTERM wait for the chunk and write it;
                it is removed when the pass is complete
    shard       (i, n): only the i-th of n equal parts of the rows, counted from 0; see `shards.write_state`, `merge`
    engine      who computes: `streameval.engines.dask.Dask`; default: this process
    callbacks   told of the start, each chunk and the end: `events.Callback`
    progress    called with (rows done, rows in all) after each chunk

    Raises:
        ModelError: the model does not take rows like these.
        DataError, LabelError: a data set without rows; a row with a label outside the classes or features that
            are not finite; a file that changed during the pass; a checkpoint of another pass.
        StorageError: `max_memory` is too little for one row; the checkpoint cannot be written.
        IncompleteError: an engine could not compute some spans.
        LockedError: another process uses the checkpoint.
        UsageError: an argument that cannot mean anything; a checkpoint, state or event file that is read as well.
    """
    check_model(model)
    source = open(data)
    check_outputs(_outputs(checkpoint, callbacks), inputs(model, source))
    which = selected(rows, source)
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is no loss. Expected at least one.")
    span = shard_span(shard, len(which))
    check_eps(eps)
    scorer, chunk_rows = planned_scorer(
        model, source, eps=eps, chunk_rows=chunk_rows, threads=threads, max_memory=max_memory,
        rows=0 if isinstance(which, Span) else len(which),
    )  # fmt: skip
    limit = None if max_memory is None else parse_size(max_memory)
    identity = None
    if checkpoint is not None or shard is not None or engine is not None:
        identity = Identity.of(model, source, which, eps=eps, nonfinite=allow_nonfinite)
    with keeping(checkpoint, identity, span, source) as keeper:
        if engine is not None and identity is not None:
            work = Work(
                model,
                portable(data, source),
                source.scale,
                source.io,
                identity,
                chunk_rows,
                threads,
                limit,
            )
            run = run_on(engine, work, which, keeper)
        else:
            run = run_here(
                scorer, source, which, keeper, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite
            )
        listeners = Listeners(callbacks, len(span), keeper.book.rows)
        listeners.started(model.path, model.sha256, source.name, eps)
        meter = Meter(limit)
        with listeners.told_of_errors(), held() if checkpoint is not None else nullcontext() as signals:
            watched(run, keeper, signals, _teller(keeper, listeners, meter, progress))
            source.check_unchanged()
            tally = keeper.book.whole(model.classes)
        kept = tally if shard is not None or (isinstance(which, Span) and len(which) == source.rows) else None
        resources = meter.resources(len(span) - listeners.before, scorer.threads)
        report = Report(tally.state, float(eps), model, source, resources, kept, identity)
        listeners.finished(report)
        keeper.remove()
    return report


def _outputs(
    checkpoint: str | os.PathLike[str] | Checkpoint | None, callbacks: Sequence[Callback]
) -> Iterator[Output]:
    """The files that a pass writes."""
    yield Output("checkpoint", checkpoint.path if isinstance(checkpoint, Checkpoint) else checkpoint)
    for callback in callbacks:
        if isinstance(callback, StateFile | EventFile):
            yield Output(type(callback).__name__, callback.path, added=isinstance(callback, EventFile))


def _teller(
    keeper: Keeper, listeners: Listeners, meter: Meter, progress: Callable[[int, int], None] | None
) -> Callable[[Span], None]:
    """What is done after each chunk."""

    def tell(span: Span) -> None:
        meter.look()
        rows = keeper.book.rows
        if listeners:
            listeners.advanced(span, rows, keeper.book.loss)
        if progress is not None:
            progress(rows, len(keeper.book.span))

    return tell


def stream(
    model: Mlp,
    data: Any,
    *,
    rows: Rows = None,
    eps: float = EPS,
    chunk_rows: int = 4096,
    threads: int | None = None,
    allow_nonfinite: bool = False,
) -> Iterator[Step]:
    """Yield the running loss after every chunk, a `Step` each; the last one's loss is that of `evaluate`.

    Arguments and errors as for `evaluate`. Nothing is read ahead of the consumer but the next chunk's pages.
    """
    source = open(data)
    scorer = NetworkScorer(model, source, eps=eps, threads=threads)
    yield from steps(scorer, source, rows, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite)


def per_sample_losses(
    model: Mlp,
    data: Any,
    *,
    rows: Rows = None,
    eps: float = EPS,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Return the loss of every row in nats: float64 (rows,), in the order of the rows.

    Eight bytes a row are held in memory; for files of losses see `evaluate(losses=...)` on the command line.
    Arguments and errors as for `evaluate`.
    """
    source = open(data)
    which = selected(rows, source)
    out = np.empty(len(which))
    done = 0
    for step in stream(model, source, rows=which, eps=eps, chunk_rows=chunk_rows, threads=threads):
        out[done : done + len(step.losses)] = step.losses
        done += len(step.losses)
    return out


def steps(
    scorer: Scorer, source: Source, rows: Rows, *, chunk_rows: int = CHUNK_ROWS, allow_nonfinite: bool = False
) -> Iterator[Step]:
    """Score and fold chunk by chunk. After the last one the file is checked to be what it was at opening."""
    which = selected(rows, source)
    total = Tally.empty(0, scorer.classes)
    for part in compute(scorer, source, which, 0, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite):
        total += part.tally
        state = total.state
        yield Step(part.tally.span, state.loss, state.rows, len(which), part.losses, state, total)
