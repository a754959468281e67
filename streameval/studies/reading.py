"""Losses of given rows by one model or several, each row read once: what the statistics read through.

Knows scorers and sources. Does not know which rows are drawn, or what is made of their losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.evaluate import EPS
from streameval.evaluation.rows import CHUNK_ROWS
from streameval.evaluation.scoring import NetworkScorer
from streameval.models.mlp import Mlp
from streameval.storage.source import Source

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class LossReader:
    """Calls with row numbers (n,) int64 return their losses (n,) float64 in nats, in the order of the rows.

    Rows that fit into one chunk are read in the order asked for: a mini-batch is not worth sorting.
    Raises DataError for a row whose features are not finite, LabelError for a label outside the classes.
    """

    def __init__(self, model: Mlp, source: Source, *, eps: float = EPS, threads: int | None = None) -> None:
        self._reader = SeveralReader((model,), source, eps=eps, threads=threads)

    def __call__(self, rows: Integers) -> Floats:
        return self._reader.scored(rows)[0][0] if len(rows) <= CHUNK_ROWS else self.in_file_order(rows)

    def in_file_order(self, rows: Integers) -> Floats:
        """Return the same, reading the rows where they lie, one after another."""
        only: Floats = self._reader(rows)[0][0]
        return only


class SeveralReader:
    """Calls with row numbers (n,) int64 return losses (models, n) float64 in nats and true classes (n,) int64.

    Rows are read in the order in which they lie in the file, and given back in the order asked for.
    Raises DataError for a row whose features are not finite, LabelError for a label outside the classes.
    """

    def __init__(
        self, models: Sequence[Mlp], source: Source, *, eps: float, threads: int | None = None
    ) -> None:
        self._source = source
        self._scorers = [NetworkScorer(model, source, eps=eps, threads=threads) for model in models]

    def __call__(self, rows: Integers) -> tuple[Floats, Integers]:
        losses, targets = np.empty((len(self._scorers), len(rows))), np.empty(len(rows), np.int64)
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(rows), CHUNK_ROWS):
            part = order[start : start + CHUNK_ROWS]
            losses[:, part], targets[part] = self.scored(rows[part])
        return losses, targets

    def scored(self, rows: Integers) -> tuple[Floats, Integers]:
        """Return the same, reading the rows at once and in the order asked for."""
        chunk = self._source.take(rows)
        scores = [scorer.score(chunk) for scorer in self._scorers]
        losses = np.array([one.loss for one in scores])
        # The sum is NaN or infinite if one loss is: one pass instead of two.
        if not np.isfinite(losses.sum()):
            row = int(rows[np.argmin(np.isfinite(losses).all(axis=0))])
            raise DataError(
                f"{self._source.name}, row {row}: features or logits are NaN or infinite. Expected finite numbers; "
                "streameval evaluate --allow-nonfinite counts such rows."
            )
        return losses, scores[0].target


class RowsRead:
    """A reader of several models' losses that remembers what it read, in the order asked for."""

    def __init__(
        self, models: Sequence[Mlp], source: Source, *, eps: float, threads: int | None = None
    ) -> None:
        self._read = SeveralReader(models, source, eps=eps, threads=threads)
        self._rows: list[Integers] = []
        self._losses: list[Floats] = []
        self._labels: list[Integers] = []

    def both(self, rows: Integers) -> Floats:
        """Losses (models, n)."""
        losses, labels = self._read(rows)
        self._rows.append(rows)
        self._losses.append(losses)
        self._labels.append(labels)
        return losses

    def one(self, rows: Integers) -> Floats:
        """Losses (n,) of the only model."""
        only: Floats = self.both(rows)[0]
        return only

    def put_first(self, known: Floats) -> None:
        """Let the known losses of the same rows be those of the first model."""
        self._losses = [
            np.vstack([known[rows][None, :], losses])
            for rows, losses in zip(self._rows, self._losses, strict=True)
        ]

    def first(self, count: int) -> tuple[Floats, Integers]:
        """Losses (models, count) and labels (count,) of the first rows."""
        return np.hstack(self._losses)[:, :count], np.concatenate(self._labels)[:count]
