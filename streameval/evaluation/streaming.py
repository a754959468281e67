"""The loss as a stream: the running loss chunk by chunk, and the losses of single rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.defaults import CHUNK_ROWS, STREAM_ROWS
from streameval.evaluation.opening import subject
from streameval.evaluation.passes import compute
from streameval.evaluation.selection import Rows, Selection
from streameval.evaluation.state import State
from streameval.evaluation.tally import Tally
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.storage.source import Span


@frozen
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


def stream(
    model: Model | Outputs,
    data: Any = None,
    *,
    rows: Rows = None,
    loss: Loss | None = None,
    eps: float | None = None,
    chunk_rows: int = STREAM_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
) -> Iterator[Step]:
    """Yield the running loss after every chunk, a `Step` each; the last one's loss is that of `evaluate`.

    Arguments and errors as for `evaluate`. Nothing is read ahead of the consumer but the next chunk's pages.
    """
    network, source, chosen = subject(model, data, loss, eps)
    selection = Selection.of(rows, source)
    scorer = make_scorer(network, source, chosen, Budget(threads))
    total = Tally.empty(0, scorer.classes)
    for part in compute(
        [scorer], source, selection.tasks([Span(0, len(selection))]),
        chunk_rows=integer("chunk_rows", chunk_rows, least=1), allow_nonfinite=allow_nonfinite,
    ):  # fmt: skip
        total += part.tallies[0]
        state = total.state
        yield Step(part.span, state.loss, state.rows, len(selection), part.losses[0], state, total)


def per_sample_losses(
    model: Model | Outputs,
    data: Any = None,
    *,
    rows: Rows = None,
    loss: Loss | None = None,
    eps: float | None = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Return the loss of every row in nats: float64 (rows,), in the order of the rows.

    Eight bytes a row are held in memory; for a file of losses see `PassOptions(losses=...)`.
    Arguments and errors as for `evaluate`.
    """
    _, source, _ = subject(model, data, loss, eps)
    selection = Selection.of(rows, source)
    out = np.empty(len(selection))
    for step in stream(
        model,
        None if data is None else source,
        rows=selection.rows,
        loss=loss,
        eps=eps,
        chunk_rows=chunk_rows,
        threads=threads,
    ):
        out[step.span.start : step.span.stop] = step.losses
    return out
