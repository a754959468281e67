"""A stream of mini-batches from one data set: what does not depend on the rows is prepared once.

Knows readers of losses and intervals. Does not know how a result of several batches is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count as count_up
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.defaults import BATCH_SIZE, CHUNK_ROWS, LEVEL, METHOD, SEED, THESE_ROWS
from streameval.errors import UsageError
from streameval.evaluation.grouping import row_groups
from streameval.evaluation.opening import groups_of, subject
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.models.network import Network
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.drawn import Drawn, MiniBatchScorer
from streameval.scoring.scorer import Budget
from streameval.statistics import samples
from streameval.statistics.accuracy import accuracy_interval
from streameval.statistics.clusters import Clustered, as_dict, of_sums
from streameval.statistics.intervals import Batch, Interval, lookup
from streameval.statistics.intervals.batch import Moments
from streameval.statistics.intervals.method import checked_level
from streameval.statistics.seeds import checked_seed, generator, spawn_stream
from streameval.studies.limits import known_bounds
from streameval.studies.reading import LossReader

Seed = int | np.random.Generator
Key = tuple[object, ...]


@frozen(eq=False, repr=False)
class MiniBatch:
    """One mini-batch: its mean loss in nats, its row numbers (size,) int64, its losses (size,) float64, and where
    that puts the loss of all rows; how many rows are right, None where rows have no classes; how many rows there are
    to draw from, None where they may repeat; the error for further data by groups, None where there are none."""

    loss: float
    rows: NDArray[np.int64]
    losses: NDArray[np.float64]
    interval: Interval
    correct: int | None = None
    population: int | None = None
    clustered: Clustered | None = None

    @property
    def size(self) -> int:
        """Number of rows drawn, repeats counted."""
        return len(self.rows)

    @property
    def accuracy(self) -> float | None:
        """Share of the rows drawn that are predicted right; None where rows have no classes."""
        return None if self.correct is None else self.correct / self.size

    @property
    def stderr(self) -> float | None:
        """Standard error of `loss` as an estimate of the loss of all rows: s / sqrt(n), times sqrt(1 - n/N) where rows
        do not repeat; None for one row of several."""
        if self.size == self.population:
            return 0.0
        if self.size < 2:
            return None
        left = 1.0 if self.population is None else 1.0 - self.size / self.population
        return float(self.losses.std(ddof=1)) * math.sqrt(left / self.size)

    @property
    def accuracy_interval(self) -> Interval | None:
        """Where the accuracy of all rows lies: Clopper and Pearson's interval, or that of the hypergeometric law where
        rows do not repeat; exact for any number of rows. None where rows have no classes."""
        if self.correct is None:
            return None
        return accuracy_interval(
            self.correct, self.size, level=self.interval.level, population=self.population
        )

    def __repr__(self) -> str:
        low, high = self.interval.low, self.interval.high
        return f"<MiniBatch: loss {self.loss:.6g} of {self.size} rows, {low:.6g} to {high:.6g}>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        share = self.accuracy_interval
        return {
            "loss": self.loss,
            "size": self.size,
            "stderr": self.stderr,
            **as_dict(self.clustered),
            "rows": self.rows.tolist(),
            "interval": self.interval.to_dict() | {"estimates": THESE_ROWS},
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval": None if share is None else share.to_dict() | {"estimates": THESE_ROWS},
        }


class Sampler:
    """Draws mini-batches from one data set again and again, each with an interval for the loss of all rows.

        sampler = Sampler(model, data)
        for batch in sampler.batches(size=100, seed=0):   # endless
            ...

    method      a row of `streameval.statistics.intervals.INTERVALS` · level: how sure its intervals are
    loss, eps, groups  as in `evaluate`: of groups, each batch has the error for further data of which groups, not rows,
                are independent; its interval is for the rows that there are, to which groups do not matter
    threads: that compute, default as many as this process may use

    Each interval holds for its batch alone: looking at many until one of them is narrow, or pleasant, is another
    question (`evaluate_until`).

    Raises:
        UsageError: a method, level or number of threads that cannot mean anything.
        DataError: a data set without rows; and the errors of `evaluate`.
    """

    def __init__(
        self,
        model: Model | Outputs,
        data: Any = None,
        *,
        level: float = LEVEL,
        method: str = METHOD,
        loss: Loss | None = None,
        eps: float | None = None,
        groups: Any = None,
        threads: int | None = None,
    ) -> None:
        self.model, self.data, self.loss_function = subject(model, data, loss, eps)
        self.level = checked_level(level)
        groups = groups_of(self.data, groups)
        self._groups = None if groups is None else row_groups(groups, self.data)[0]
        self._method, self._bounds = lookup(method), known_bounds(self.loss_function)
        scorer = make_scorer(self.model, self.data, self.loss_function, Budget(threads))
        self._losses = LossReader(scorer, self.data)
        # Of rows that come in groups more is asked than it knows.
        self._one = MiniBatchScorer.of(scorer, self.data) if self._groups is None else None

    def batches(
        self, size: int = BATCH_SIZE, *, seed: Seed = SEED, replace: bool = True
    ) -> Iterator[MiniBatch]:
        """Yield mini-batches without end: those of `minibatch` with this size and seed, one after another.

        size     rows of a batch
        seed     an int, or a Generator that goes on where it is, ahead of the batches yielded
        replace  True: `Generator.integers(0, rows, size)` for each batch in turn. False: the rows of a batch differ

        The first batch is computed alone, then two together, four, and so on up to a chunk of rows: small batches
        take a fraction of the time of separate calls, and memory stays that of a chunk.

        Raises:
            UsageError: a size below 1, or over the number of rows without replacement.
            DataError: a file that changed; and the errors of `evaluate`.
        """
        size = integer("size", size, least=1)
        draw, most = self._drawing(size, seed, replace=replace), max(1, CHUNK_ROWS // size)
        for doubling in count_up():
            yield from self.judge(draw(min(2**doubling, most)), replace=replace)
            self.data.check_unchanged()

    def epoch(
        self, size: int = BATCH_SIZE, *, seed: Seed = SEED, drop_last: bool = False
    ) -> Iterator[MiniBatch]:
        """Yield mini-batches that hold each row once, in random order; the last may be smaller, or is dropped.

        Each batch by itself is a draw without replacement, and has the interval of one. All of them together are
        all rows: their exact mean is `evaluate`'s, not the mean of the batches' losses.

        Raises as `batches`.
        """
        size = integer("size", size, least=1)
        order, rows = samples.Permutation.of(self.data.rows, seed=seed), self.data.rows
        whole, together = rows - rows % size, size * max(1, CHUNK_ROWS // size)
        for start in range(0, whole, together):
            drawn = order.take(start, min(start + together, whole))
            yield from self.judge(drawn.reshape(-1, size), replace=False)
            self.data.check_unchanged()
        if whole < rows and not drop_last:
            yield from self.judge(order.take(whole, rows)[None, :], replace=False)
            self.data.check_unchanged()

    def first(self, count: int, size: int, *, seed: Seed, replace: bool) -> list[MiniBatch]:
        """The first `count` of `batches`, computed together where they fit into a chunk."""
        if count == 1 and replace and self._one is not None and isinstance(seed, int):
            drawn = self._one(size, checked_seed(seed)) if size <= self._one.most_rows else None
            if drawn is not None:
                self.data.check_unchanged()
                return [self._judged(drawn)]
        together, out = max(1, CHUNK_ROWS // size), []
        if replace and count <= together:
            rows = samples.with_replacement(self.data.rows, count * size, seed=seed).reshape(count, size)
            out = self.judge(rows, replace=True)
            self.data.check_unchanged()
            return out
        draw = self._drawing(size, seed, replace=replace)
        for start in range(0, count, together):
            out += self.judge(draw(min(together, count - start)), replace=replace)
        self.data.check_unchanged()
        return out

    def judge(self, rows: NDArray[np.int64], *, replace: bool) -> list[MiniBatch]:
        """Read the rows (batches, size) and judge each batch by itself."""
        losses, right = self._losses.with_right(rows.reshape(-1))
        batch = Batch(losses.reshape(rows.shape), None if replace else self.data.rows)
        intervals = self._method.intervals(batch, self.level, self._bounds)
        means = [one.mean for one in batch.moments]
        counts = [None] * len(rows) if right is None else _counts(right, rows.shape)
        populations = [batch.population] * len(rows)
        errors = [self._clustered(*one) for one in zip(rows, batch.values, strict=True)]
        return list(map(MiniBatch, means, rows, batch.values, intervals, counts, populations, errors))

    def _judged(self, drawn: Drawn) -> MiniBatch:
        """What `judge` says of one batch, whose moments are known."""
        batch = Batch.known(drawn.losses[None, :], [Moments(*drawn.moments)])
        interval = self._method.interval(batch, self.level, self._bounds)
        return MiniBatch(drawn.moments[0], drawn.rows, drawn.losses, interval, drawn.right)

    def _clustered(self, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> Clustered | None:
        if self._groups is None:
            return None
        codes = np.unique(self._groups[rows], return_inverse=True)[1].reshape(-1)
        return of_sums(np.bincount(codes, losses).astype(np.float64), np.bincount(codes).astype(np.float64))

    def _drawing(self, size: int, seed: Seed, *, replace: bool) -> Any:
        """What draws the rows (count, size) of the next batches: one stream with replacement, else one order each."""
        population = self.data.rows
        if replace:
            stream = generator(seed)
            return lambda count: samples.with_replacement(population, count * size, seed=stream).reshape(
                count, size
            )
        if size > population:
            raise UsageError(
                f"size {size}: only {population} different rows exist. "
                "Draw at most as many, or draw with replacement."
            )
        numbers = count_up()

        def draw(count: int) -> NDArray[np.int64]:
            orders = [_of_batch(seed, next(numbers)) for _ in range(count)]
            return np.stack([samples.without_replacement(population, size, seed=one) for one in orders])

        return draw


def kept_sampler(model: Any, data: Any, **settings: Any) -> Sampler:
    """A sampler with these settings: that of the call before where model and open data set are the same.

    It is kept with the data set, one for each, and goes with it.
    """
    kept = getattr(data, "kept", None)
    # Networks are frozen; another library's model may have changed since, and so may an array of groups.
    if kept is None or not isinstance(model, Network) or not isinstance(settings["groups"], str | None):
        return Sampler(model, data, **settings)
    key = (id(model), *settings.values())
    found: tuple[Key, Sampler] | None = kept.get(Sampler)
    # The sampler holds the model, so that no other one can have its id.
    if found is None or found[0] != key:
        found = key, Sampler(model, data, **settings)
        kept[Sampler] = found
    return found[1]


def _counts(right: NDArray[np.bool_], shape: tuple[int, ...]) -> list[int]:
    """How many are right of each row of this shape; for one row, NumPy's sum along an axis takes microseconds."""
    if shape[0] == 1:
        return [int(np.count_nonzero(right))]
    return list(right.reshape(shape).sum(axis=1).tolist())


def _of_batch(seed: Seed, number: int) -> Seed:
    """Another permutation for each batch."""
    return (
        seed if isinstance(seed, np.random.Generator) else np.random.default_rng(spawn_stream(seed, number))
    )
