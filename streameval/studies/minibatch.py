"""Mini-batch losses as the article takes them, each with an interval for the loss of all rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.defaults import BATCH_SIZE, CHUNK_ROWS, LEVEL, METHOD, SEED
from streameval.evaluation.opening import open_rows
from streameval.evaluation.report import data_dict, model_dict
from streameval.losses import choose_loss
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.statistics import samples
from streameval.statistics.intervals import Batch, Interval, lookup
from streameval.statistics.intervals.interval import checked_level
from streameval.statistics.seeds import generator, recorded, spawn_stream
from streameval.storage.source import Source
from streameval.studies.limits import known_bounds
from streameval.studies.reading import LossReader

SCHEMA = "streameval/minibatch/1"


@dataclass(frozen=True, slots=True, eq=False)
class MiniBatch:
    """One mini-batch: its mean loss in nats, its row numbers (size,) int64, its losses (size,) float64, and where
    that puts the loss of all rows."""

    loss: float
    rows: NDArray[np.int64]
    losses: NDArray[np.float64]
    interval: Interval

    @property
    def size(self) -> int:
        """Number of rows drawn, repeats counted."""
        return len(self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class MiniBatches:
    """Mini-batches drawn from one data set with one seed; `loss` and `interval` are those of the first."""

    batches: tuple[MiniBatch, ...]
    replace: bool
    seed: int | None
    loss_function: Loss
    model: Model
    data: Source

    @property
    def loss(self) -> float:
        """Mean loss of the first batch, in nats."""
        return self.batches[0].loss

    @property
    def interval(self) -> Interval:
        """Interval of the first batch."""
        return self.batches[0].interval

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names."""
        return {
            "schema": SCHEMA,
            "batches": [
                {"loss": b.loss, "size": b.size, "rows": b.rows.tolist(), "interval": b.interval.to_dict()}
                for b in self.batches
            ],
            "replace": self.replace,
            "seed": self.seed,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
        }


def minibatch(
    model: Model,
    data: Any,
    *,
    size: int = BATCH_SIZE,
    batches: int = 1,
    seed: int | np.random.Generator = SEED,
    replace: bool = True,
    level: float = LEVEL,
    method: str = METHOD,
    loss: Loss | None = None,
    eps: float | None = None,
    threads: int | None = None,
) -> MiniBatches:
    """Draw random rows, as in the article, and return their mean loss with an interval for the full loss.

    size     rows of a batch · batches: how many batches
    seed     an int, or a Generator that goes on where it is; the same seed draws the same rows anywhere
    replace  True: `Generator.integers(0, rows, size)` for each batch in turn, repeats happen, as in the article.
             False: the rows of a batch differ
    method   a row of `streameval.statistics.intervals.INTERVALS`

    Raises:
        UsageError: a size or count below 1, or over the number of rows without replacement.
        DataError: a data set without rows; and the errors of `evaluate`.
    """
    source, loss = open_rows(data, model), choose_loss(loss, eps)
    size, batches = integer("size", size, least=1), integer("batches", batches, least=1)
    checked_level(level)
    read = LossReader(make_scorer(model, source, loss, Budget(threads)), source)
    drawn: list[MiniBatch] = []
    # Many small batches are read and judged together: a call for each would cost more than its rows.
    together = max(1, CHUNK_ROWS // size)
    for rows in _draws(source.rows, size, batches, together, seed=seed, replace=replace):
        losses = read(rows.ravel()).reshape(rows.shape)
        batch = Batch(losses, None if replace else source.rows)
        intervals = lookup(method).intervals(batch, level, known_bounds(loss))
        means = losses.mean(axis=1).tolist()
        drawn += map(MiniBatch, means, rows, losses, intervals)
    source.check_unchanged()
    return MiniBatches(tuple(drawn), replace, recorded(seed), loss, model, source)


def _draws(
    population: int, size: int, batches: int, together: int, *, seed: int | np.random.Generator, replace: bool
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of all batches, (some, size) at a time: one stream with replacement, else one order each."""
    stream = generator(seed)
    for start in range(0, batches, together):
        count = min(together, batches - start)
        if replace:
            yield samples.with_replacement(population, count * size, seed=stream).reshape(count, size)
        else:
            orders = (_of_batch(seed, start + i) for i in range(count))
            yield np.stack([samples.without_replacement(population, size, seed=one) for one in orders])


def _of_batch(seed: int | np.random.Generator, number: int) -> int | np.random.Generator:
    """Another permutation for each batch."""
    return (
        seed if isinstance(seed, np.random.Generator) else np.random.default_rng(spawn_stream(seed, number))
    )
