"""Losses of all rows, computed in one pass and spooled to a nameless temporary file that is mapped.

Knows the pass and the file. Does not know what statistics are made of the losses.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS, OF
from streameval.evaluation.grouping import GroupSums
from streameval.evaluation.memory import load_kernels, planned_scorers
from streameval.evaluation.passes import compute
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.selection import Selection
from streameval.evaluation.tally import Tally
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring.scorer import Budget, Scorer
from streameval.storage.source import Source, Span
from streameval.storage.spool import column
from streameval.studies.quantity import measuring


@frozen(eq=False)
class Spooled:
    """All losses of some models on one data set.

    reports          one for each model, of the same pass
    losses           one mapped array (rows,) float64 in nats for each model; the file goes with the array
    labels           true classes, mapped (rows,) int32; None where rows have none
    right            which rows each model predicts right, mapped (rows,) bool; () where nobody asked, or rows have no
                     classes
    scorers          of the models, for rows that are computed again
    seconds_per_row  wall time of the pass for a row, reading included, compiling not
    """

    reports: tuple[Report, ...]
    losses: tuple[NDArray[np.float64], ...]
    labels: NDArray[np.int32] | None
    scorers: tuple[Scorer, ...]
    seconds_per_row: float
    right: tuple[NDArray[np.bool_], ...] = ()


@contextlib.contextmanager
def spooled_losses(
    models: Sequence[Model],
    source: Source,
    loss: Loss,
    *,
    groups: Any = None,
    right: bool = False,
    of: str = OF[0],
    budget: Budget | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Spooled]:
    """Score every row with every model, in one pass, and lend the losses as mapped files.

    Each chunk is read once and scored by all models. The files, 8 bytes a row and model and 4 a row, lie in
    the folder of temporary files (TMPDIR) without a name: they vanish however the process ends. What is mapped
    can be given back by the system, so that memory does not grow with the rows.

    groups  as for `evaluate`: the reports' errors are clustered by them
    of      "loss", or "accuracy": which rows are right, as scores in place of losses
    right   whether to keep which rows are predicted right, a byte a row and model

    Raises:
        DataError: a row whose features are not finite, a file that changed during the pass.
        LabelError: a label outside the classes. ModelError: a model that does not take such rows.
        StorageError: the folder of temporary files is full; the budget's memory is too little.
    """
    budget = Budget() if budget is None else budget
    scorers, chunk_rows = planned_scorers(models, source, loss, budget, CHUNK_ROWS)
    # Whatever must be compiled is compiled by the first row, before the clock starts.
    load_kernels(scorers, source)
    measured = [measuring(of, scorer) for scorer in scorers]
    whole = Span(0, source.rows)
    with contextlib.ExitStack() as stack:
        columns = [stack.enter_context(column(np.float64)) for _ in scorers]
        labels = stack.enter_context(column(np.int32))
        classes = all(scorer.classes is not None for scorer in scorers)
        rights = [stack.enter_context(column(np.bool_)) for _ in scorers] if right and classes else []
        meter, tallies = Meter(budget.max_memory), [Tally.empty(0, scorer.classes) for scorer in scorers]
        everything = Selection(whole)
        by_group = (
            [] if groups is None else [GroupSums(groups, source, everything, k) for k in range(len(scorers))]
        )
        start = time.perf_counter()
        for part in compute(measured, source, everything.tasks([whole]), chunk_rows=chunk_rows):
            for k, one in enumerate(columns):
                one.write(part.losses[k])
                tallies[k] += part.tallies[k]
            if part.target is not None:
                labels.write(part.target)
            for one, predicted in zip(rights, part.predicted, strict=False):
                one.write(np.asarray(predicted == part.target))
            for sums in by_group:
                sums.add(part)
            meter.look()
            if progress is not None:
                progress(part.span.stop, source.rows)
        seconds = (time.perf_counter() - start) / source.rows
        reports = tuple(
            Report(
                tallies[k].state, measured[k].loss, models[k], source,
                meter.resources(source.rows, scorer.threads), scorer.name,
                clusters=by_group[k].clusters() if by_group else None,
            )
            for k, scorer in enumerate(scorers)
        )  # fmt: skip
        yield Spooled(
            reports,
            tuple(one.mapped() for one in columns),
            labels.mapped() if classes else None,
            tuple(measured),
            seconds,
            tuple(one.mapped() for one in rights),
        )


@contextlib.contextmanager
def spooled_array(pieces: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """Lend the pieces, one after another, as one mapped array (n,) float64; StorageError if there is no room."""
    with contextlib.ExitStack() as stack:
        spooled = stack.enter_context(column(np.float64))
        for piece in pieces:
            spooled.write(piece)
        yield spooled.mapped()
