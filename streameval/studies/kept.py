"""Losses of all rows, computed in one pass and kept in a nameless temporary file that is mapped.

Knows scorers, the exact state and the file. Does not know what statistics are made of the losses.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.rows import CHUNK_ROWS, row_numbers
from streameval.evaluation.scoring import NetworkScorer
from streameval.evaluation.state import State, fold
from streameval.files import storage_errors
from streameval.models.mlp import Mlp
from streameval.storage.source import Chunk, Source, Span


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """All losses of some models on one data set.

    reports          one for each model, of the same pass
    losses           one mapped array (rows,) float64 in nats for each model; the file goes with the array
    labels           true classes, mapped (rows,) int32
    seconds_per_row  wall time of the pass for a row, reading included, compiling not
    """

    reports: tuple[Report, ...]
    losses: tuple[NDArray[np.float64], ...]
    labels: NDArray[np.int32]
    seconds_per_row: float


@contextlib.contextmanager
def kept_losses(
    models: Sequence[Mlp],
    source: Source,
    *,
    eps: float,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Kept]:
    """Score every row with every model, in one pass, and lend the losses as mapped files.

    Each chunk is read once and scored by all models. The files, 8 bytes a row and model and 4 a row, lie in
    the folder of temporary files (TMPDIR) without a name: they vanish however the process ends. What is mapped
    can be given back by the system, so that memory does not grow with the rows.

    Raises:
        DataError: no rows, a row whose features are not finite, a file that changed during the pass.
        LabelError: a label outside the classes. ModelError: a model that does not take such rows.
        StorageError: the folder of temporary files is full.
    """
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is nothing to compare.")
    scorers = [NetworkScorer(model, source, eps=eps, threads=threads) for model in models]
    # Whatever must be compiled is compiled by the first row, before the clock starts.
    for scorer in scorers:
        _score(scorer, source.take(np.zeros(1, np.int64)), source)
    with contextlib.ExitStack() as held:
        files = [held.enter_context(_column(np.float64)) for _ in scorers]
        labels = held.enter_context(_column(np.int32))
        meter, states = Meter(), [State.empty(scorer.classes) for scorer in scorers]
        start = time.perf_counter()
        for chunk in source.chunks(Span(0, source.rows), CHUNK_ROWS):
            for k, scorer in enumerate(scorers):
                losses, targets, state = _score(scorer, chunk, source)
                files[k].write(losses)
                states[k] += state
            labels.write(targets)
            meter.look()
            if progress is not None:
                progress(states[0].rows, source.rows)
        source.check_unchanged()
        seconds = (time.perf_counter() - start) / source.rows
        reports = tuple(
            Report(state, float(eps), model, source, meter.resources(source.rows, scorer.threads))
            for state, model, scorer in zip(states, models, scorers, strict=True)
        )
        mapped = tuple(file.mapped() for file in files)
        yield Kept(reports, mapped, labels.mapped(), seconds)


@contextlib.contextmanager
def kept_array(pieces: Iterator[NDArray[np.float64]]) -> Iterator[NDArray[np.float64]]:
    """Lend the pieces, one after another, as one mapped array (n,) float64; StorageError if there is no room."""
    with contextlib.ExitStack() as held:
        column = held.enter_context(_column(np.float64))
        for piece in pieces:
            column.write(piece)
        yield column.mapped()


@contextlib.contextmanager
def _column(dtype: type[np.generic]) -> Iterator[_Column]:
    with storage_errors(tempfile.gettempdir()), tempfile.TemporaryFile(prefix="streameval-") as file:
        yield _Column(file, np.dtype(dtype))


class _Column:
    """A growing nameless file of numbers of one kind."""

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any]) -> None:
        self._file, self._dtype = file, dtype

    def write(self, values: NDArray[Any]) -> None:
        # Written, not stored through a mapping: a full disk is then an error and not the end of the process.
        with storage_errors(tempfile.gettempdir()):
            self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def mapped(self) -> NDArray[Any]:
        with storage_errors(tempfile.gettempdir()):
            self._file.flush()
            return np.asarray(np.memmap(self._file, self._dtype, "r"))


def _score(
    scorer: NetworkScorer, chunk: Chunk, source: Source
) -> tuple[NDArray[np.float64], NDArray[np.int64], State]:
    scores = scorer.score(chunk)
    state, left_out = fold(scores.loss, scores.target, scores.predicted, row_numbers(chunk), scorer.classes)
    if left_out is not None:
        raise DataError(
            f"{source.name}, row {left_out}: features or logits are NaN or infinite, or the loss is over 4e6 nats. "
            "Expected finite numbers; streameval evaluate --allow-nonfinite counts such rows."
        )
    return scores.loss, scores.target, state
