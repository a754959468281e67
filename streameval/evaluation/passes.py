"""The one pass: spans in, scored and folded chunk by chunk, tallies out. Every result of rows in order comes from here.

Knows chunks, scorers and engines. Does not know files of results, nor what a report looks like.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.errors import (
    DataError,
    IncompleteDataError,
    IncompleteError,
    IncompleteModelError,
    IncompleteStorageError,
    ModelError,
    StreamevalError,
    UsageError,
)
from streameval.evaluation.identity import Identity
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.resources import Usage
from streameval.evaluation.selection import Selection, Task, numbering, row_numbers
from streameval.evaluation.tally import Tally, fold_tally
from streameval.frozen import frozen
from streameval.models.model import Model
from streameval.outputs import is_saved
from streameval.scoring.scorer import Budget, Scorer, Scores
from streameval.storage.checked import CheckedSource
from streameval.storage.source import Chunk, Source, Span

if TYPE_CHECKING:
    from streameval.evaluation.anatomizing import Anatomist

_log = logging.getLogger("streameval")


@frozen(eq=False)
class Part:
    """What came of consecutive rows of a pass.

    tallies  one for each scorer
    losses   (n,) float64 in nats for each scorer; () where nobody asked for them
    target   true classes (n,) int64, None where rows have none, or nobody asked
    usage    of the process that computed it, None where that is this one
    predicted  predicted classes (n,) int64 for each scorer, None where rows have none; () where nobody asked
    hashes   of the blocks of these rows that nothing is recorded of, where another process read and hashed them
    """

    tallies: tuple[Tally, ...]
    losses: tuple[NDArray[np.float64], ...] = ()
    target: NDArray[np.int64] | None = None
    usage: Usage | None = None
    predicted: tuple[NDArray[np.int64] | None, ...] = ()
    hashes: Sequence[Sequence[Any]] = ()

    @property
    def span(self) -> Span:
        """The rows, by their place in the selection."""
        return self.tallies[0].span


class Sink(Protocol):
    """What takes in the parts of a pass, each once, in any order."""

    def add(self, part: Part) -> None:
        """Take in one part."""


def compute(
    scorers: Sequence[Scorer],
    source: Source,
    tasks: Iterable[Task],
    *,
    chunk_rows: int,
    allow_nonfinite: bool = False,
    anatomist: Anatomist | None = None,
) -> Iterator[Part]:
    """Yield what comes of each chunk of the rows of the tasks; each row is read once, and scored by all the scorers.

    anatomist  takes the losses apart, None where nobody asked

    After the last one the file is checked to be what it was at opening.

    Raises DataError for a row whose loss is not finite, unless such rows are allowed and left out.
    """
    for place, chunk in read(source, tasks, chunk_rows):
        yield _part(scorers, source, chunk, place, allow_nonfinite, anatomist)


def read(source: Source, tasks: Iterable[Task], chunk_rows: int) -> Iterator[tuple[int, Chunk]]:
    """Yield the chunks of the rows of the tasks, each with the place of its first row in the selection.

    After the last one the file is checked to be what it was at opening.
    """
    for task in tasks:
        place = task.span.start
        for chunk in task.rows.chunks(source, chunk_rows):
            yield place, chunk
            place += len(chunk)
    source.check_unchanged()


def _part(
    scorers: Sequence[Scorer],
    source: Source,
    chunk: Chunk,
    place: int,
    allow_nonfinite: bool,
    anatomist: Anatomist | None,
) -> Part:
    scores = [scorer.score(chunk) for scorer in scorers]
    rows, tallies = numbering(chunk), []
    for scorer, one in zip(scorers, scores, strict=True):
        tally, left_out = fold_tally(place, one, rows, scorer.classes, anatomist)
        if left_out is not None and not allow_nonfinite:
            raise nonfinite(source, left_out, tally.state.sums.left_out, len(chunk))
        tallies.append(tally)
    losses, predicted = tuple(one.loss for one in scores), tuple(one.predicted for one in scores)
    return Part(tuple(tallies), losses, scores[0].target, predicted=predicted)


def score_finite(scorers: Sequence[Scorer], source: Source, chunk: Chunk) -> list[Scores]:
    """The scores of each scorer for the rows of a chunk, all of them finite: else DataError names the first."""
    scores = [scorer.score(chunk) for scorer in scorers]
    # The sum is NaN or infinite if one loss is: one pass instead of two.
    if not all(np.isfinite(one.loss.sum()) for one in scores):
        finite = np.all([np.isfinite(one.loss) for one in scores], axis=0)
        if not finite.all():
            row = int(row_numbers(chunk)[np.argmin(finite)])
            raise nonfinite(source, row, int(np.count_nonzero(~finite)), len(chunk))
    return scores


def nonfinite(source: Source, row: int, rows: int, looked_at: int) -> DataError:
    """The error about `rows` rows whose loss is not finite, `row` the first, among those that were looked at."""
    return DataError(
        f"{source.name}, row {row}: features, logits or targets are NaN or infinite, or the loss is over 4e6 "
        f"({rows} such rows among the {looked_at} looked at). Expected finite numbers. To leave such rows out and have "
        "them counted: streameval evaluate --allow-nonfinite (evaluate(..., allow_nonfinite=True))."
    )


@frozen(eq=False)
class PassSpec:
    """All that a worker must know to compute any span of a pass; it opens the data itself.

    data     what `streameval.open` takes there: a path, or several
    scale, io   as the data set was opened here
    check    whether rows are hashed as they are read
    losses   whether the losses of rows are asked for, beside what they come to
    """

    model: Model
    data: Any
    scale: float
    io: str
    identity: Identity
    chunk_rows: int
    budget: Budget
    losses: bool
    check: bool = False


@frozen
class Failure:
    """A span that could not be computed, and why.

    kind  what a pass raises that was left incomplete by this
    """

    span: Span
    message: str
    kind: type[IncompleteError] = IncompleteError

    @classmethod
    def of(cls, span: Span, error: BaseException) -> Failure:
        """From what was raised where the span was computed: a pass that keeps nothing ends as one without an engine."""
        kind = next(
            (kind for cause, kind in _INCOMPLETE.items() if isinstance(error, cause)), IncompleteError
        )
        if isinstance(error, StreamevalError):
            return cls(span, str(error), kind)
        return cls(span, f"{type(error).__name__}: {error}.", kind)


# What was raised -> what a pass is left incomplete by.
_INCOMPLETE: Final[dict[type[BaseException], type[IncompleteError]]] = {
    DataError: IncompleteDataError,
    ModelError: IncompleteModelError,
    OSError: IncompleteStorageError,
    MemoryError: IncompleteStorageError,
}


class Engine(Protocol):
    """A `map` from spans to what comes of them, in any order; the row of a table in `streameval.engines`."""

    def cut(self, gap: Span) -> Iterator[Span]:
        """Cut consecutive rows into the spans that workers get."""

    def map(self, spec: PassSpec, tasks: Sequence[Task]) -> Iterator[Part | Failure | None]:
        """Yield what came of each task, or why nothing did, as they end; None now and then while nothing comes."""


def compute_on(
    engine: Engine, spec: PassSpec, selection: Selection, results: PartialResults, source: Source
) -> Iterator[Part | None]:
    """Let an engine compute what is missing in the results; yield each part as it comes, None in between.

    source  the data as they are open here: where rows are hashed as they are read, it remembers what workers hashed

    Raises IncompleteError after all other spans are in if one could not be computed, of the kind that the first cause
    has which would be no other on another machine; DataError for a block that workers read differently.
    """
    tasks = list(selection.tasks(span for gap in results.gaps() for span in engine.cut(gap)))
    failures = []
    for outcome in engine.map(spec, tasks):
        if isinstance(outcome, Failure):
            _log.warning("rows %d:%d failed: %s", outcome.span.start, outcome.span.stop, outcome.message)
            failures.append(outcome)
        else:
            if outcome is not None and isinstance(source, CheckedSource):
                source.remember(outcome.hashes)
            yield outcome
    if failures:
        rows = sum(len(one.span) for one in failures)
        first = min(failures, key=lambda one: (one.kind is IncompleteError, one.span))
        raise first.kind(
            f"{len(failures)} spans with {rows} of {len(results.span)} rows could not be computed, among them "
            f"rows {first.span.start}:{first.span.stop}: {first.message} With a checkpoint the others are kept: "
            "run the same command again when the cause is gone."
        )


def portable(data: Any, source: Source) -> Any:
    """What a worker of an engine opens: `data` if that is made of paths, as absolute paths.

    Raises UsageError for arrays, and for a data set that lies in no single file.
    """
    if is_saved(source):
        raise UsageError(
            f"{source.name}: saved outputs need no workers. Evaluate them here, without an engine."
        )
    if getattr(source, "needs_converting", False):
        raise UsageError(
            f"{source.name}: its rows are made as they are opened, which each worker would have to do anew. Convert it "
            f"once: streameval convert {source.path or 'DATA'} NAME.arrow (streameval.convert(data, 'NAME.arrow'))."
        )
    if isinstance(data, str | os.PathLike):
        text = os.fspath(data)
        return text if "://" in str(text) else str(Path(os.fsdecode(text)).absolute())
    if isinstance(data, list | tuple) and all(isinstance(one, str | os.PathLike) for one in data):
        return type(data)(portable(one, source) for one in data)
    # A pair of files is called after its first one.
    if len(source.files) == 2 and source.path == source.files[0]:
        return portable(tuple(source.files), source)
    if source.path is not None and _can_open(source.path):
        return portable(source.path, source)
    raise UsageError(
        f"{source.name}: workers open the data themselves, so they need a path. Write arrays to a file first "
        "(streameval.storage.create), or evaluate them here, without an engine."
    )


def _can_open(path: str) -> bool:
    return "://" in path or Path(path).exists() or any(mark in path for mark in "*?[")
