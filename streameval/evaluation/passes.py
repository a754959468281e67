"""One pass over what is missing, in this process or by an engine: what comes back goes into the book.

Knows chunks, engines and interruptions. Does not know files of results, nor what a report looks like.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, IncompleteError, UsageError
from streameval.evaluation.blocks import Tally, fold_tally
from streameval.evaluation.checkpoint import Keeper
from streameval.evaluation.identity import Identity
from streameval.evaluation.interrupts import Held
from streameval.evaluation.rows import chunks, row_numbers
from streameval.evaluation.scoring import Scorer
from streameval.models.mlp import Mlp
from streameval.storage.source import Source, Span

_log = logging.getLogger("streameval")

Which = Span | NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """All that a worker must know to compute any span of a pass; it opens the data itself.

    data     what `streameval.open` takes there: a path, or several
    scale, io   as the data set was opened here
    threads  None: as many as the worker may use
    """

    model: Mlp
    data: Any
    scale: float
    io: str
    identity: Identity
    chunk_rows: int
    threads: int | None
    max_memory: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A span to be computed: its places in the selection, and the rows that are selected there."""

    span: Span
    rows: Which


@dataclass(frozen=True, slots=True)
class Failure:
    """A span that could not be computed, and why."""

    span: Span
    message: str


class Engine(Protocol):
    """A `map` from spans to what comes of them, in any order; the row of a table in `streameval.engines`."""

    def cut(self, gap: Span) -> Iterator[Span]:
        """Cut consecutive rows into the spans that workers get."""

    def map(self, work: Work, tasks: Sequence[Task]) -> Iterator[Tally | Failure | None]:
        """Yield what came of each task, or why nothing did, as they end; None now and then while nothing comes."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Consecutive rows of a pass that were just computed: their tally, and their losses (n,) float64 in nats."""

    tally: Tally
    losses: NDArray[np.float64]


def compute(
    scorer: Scorer, source: Source, which: Which, place: int, *, chunk_rows: int, allow_nonfinite: bool
) -> Iterator[Part]:
    """Score and fold the rows `which`, the first of which is at `place`, chunk by chunk.

    After the last one the file is checked to be what it was at opening.

    Raises DataError for a row whose loss is not finite, unless such rows are allowed and left out.
    """
    for chunk in chunks(source, which, chunk_rows):
        scores = scorer.score(chunk)
        tally, left_out = fold_tally(
            place, scores.loss, scores.target, scores.predicted, row_numbers(chunk), scorer.classes
        )
        if left_out is not None and not allow_nonfinite:
            raise DataError(
                f"{source.name}, row {left_out}: features or logits are NaN or infinite, or the loss is over 4e6 nats "
                f"({tally.state.left_out} such rows among the {len(chunk)} looked at). Expected finite numbers. To "
                "leave such rows out and have them counted: --allow-nonfinite (allow_nonfinite=True)."
            )
        place += len(chunk)
        yield Part(tally, scores.loss)
    source.check_unchanged()


def within(which: Which, span: Span) -> Which:
    """The rows at the places `span` of a selection."""
    if isinstance(which, Span):
        return Span(which.start + span.start, which.start + span.stop)
    return which[span.start : span.stop]


def run_here(
    scorer: Scorer, source: Source, which: Which, keeper: Keeper, *, chunk_rows: int, allow_nonfinite: bool
) -> Iterator[Span]:
    """Compute what is missing in the keeper's book, in this process; yield each chunk's span when it is in."""
    for gap in keeper.book.gaps():
        rows = within(which, gap)
        for part in compute(
            scorer, source, rows, gap.start, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite
        ):
            keeper.add(part.tally)
            yield part.tally.span


def run_on(engine: Engine, work: Work, which: Which, keeper: Keeper) -> Iterator[Span | None]:
    """Let an engine compute what is missing in the keeper's book; yield each span when it is in, None in between.

    Raises IncompleteError after all other spans are in if one could not be computed.
    """
    tasks = [Task(span, within(which, span)) for gap in keeper.book.gaps() for span in engine.cut(gap)]
    failures = []
    for outcome in engine.map(work, tasks):
        if outcome is None:
            yield None
        elif isinstance(outcome, Failure):
            _log.warning("rows %d:%d failed: %s", outcome.span.start, outcome.span.stop, outcome.message)
            failures.append(outcome)
        else:
            keeper.add(outcome, origin="a worker")
            yield outcome.span
    if failures:
        keeper.save()
        rows, first = sum(len(one.span) for one in failures), min(failures, key=lambda one: one.span)
        raise IncompleteError(
            f"{len(failures)} spans with {rows} of {len(keeper.book.span)} rows could not be computed, the first being "
            f"rows {first.span.start}:{first.span.stop}: {first.message} With a checkpoint the others are kept: "
            "run the same command again when the cause is gone."
        )


def portable(data: Any, source: Source) -> Any:
    """What a worker of an engine opens: `data` if that is made of paths, as absolute paths.

    Raises UsageError for arrays, and for a data set that lies in no single file.
    """
    if isinstance(data, str | os.PathLike):
        text = os.fspath(data)
        return text if "://" in str(text) else str(Path(os.fsdecode(text)).absolute())
    if isinstance(data, list | tuple) and all(isinstance(one, str | os.PathLike) for one in data):
        return type(data)(portable(one, source) for one in data)
    if source.path is not None and _can_open(source.path):
        return portable(source.path, source)
    raise UsageError(
        f"{source.name}: workers open the data themselves, so they need a path. Write arrays to a file first "
        "(streameval.storage.create), or evaluate them here, without an engine."
    )


def _can_open(path: str) -> bool:
    return "://" in path or Path(path).exists() or any(mark in path for mark in "*?[")


def watched(
    spans: Iterator[Span | None], keeper: Keeper, held: Held | None, tell: Callable[[Span], None]
) -> None:
    """Drive a run to its end; when a signal waits, write the checkpoint and deliver it."""
    for span in spans:
        if span is not None:
            tell(span)
        if held is not None and held.waiting:
            keeper.save()
            held.deliver()
