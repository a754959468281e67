"""The loss of a model over a data set, whole or in part: one pass, chunk by chunk, into an exact state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.rows import CHUNK_ROWS, Rows, chunks, row_numbers, selected
from streameval.evaluation.scoring import NetworkScorer, Scorer
from streameval.evaluation.state import State, fold
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
    state   the exact sums so far
    """

    span: Span
    loss: float | None
    rows: int
    total: int
    losses: NDArray[np.float64]
    state: State


def evaluate(
    model: Mlp,
    data: Any,
    *,
    rows: Rows = None,
    eps: float = EPS,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
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
    progress    called with (rows done, rows in all) after each chunk

    Raises:
        ModelError: the model does not take rows like these.
        DataError, LabelError: a row with a label outside the classes or features that are not finite; a file
            that changed during the pass.
        UsageError: an argument that cannot mean anything.
    """
    source = open(data)
    scorer = NetworkScorer(model, source, eps=eps, threads=threads)
    meter = Meter()
    state = State.empty(scorer.classes)
    for step in steps(scorer, source, rows, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite):
        state = step.state
        meter.look()
        if progress is not None:
            progress(step.rows + state.left_out, step.total)
    return Report(state, float(eps), model, source, meter.resources(state.rows, scorer.threads))


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
    total, done = State.empty(scorer.classes), 0
    for chunk in chunks(source, which, chunk_rows):
        scores = scorer.score(chunk)
        part, left_out = fold(scores.loss, scores.target, scores.predicted, row_numbers(chunk), scorer.classes)
        if left_out is not None and not allow_nonfinite:
            raise DataError(
                f"{source.name}, row {left_out}: features or logits are NaN or infinite, or the loss is over 4e6 nats "
                f"({part.left_out} such rows among the {len(chunk)} looked at). Expected finite numbers. To leave such "
                "rows out and have them counted: --allow-nonfinite (allow_nonfinite=True)."
            )
        total += part
        span = Span(done, done + len(chunk))
        done += len(chunk)
        yield Step(span, total.loss, total.rows, len(which), scores.loss, total)
    source.check_unchanged()
    if done != len(which):
        raise UsageError(f"{source.name}: {done} of {len(which)} rows came.")
