"""The full loss and thousands of mini-batches, side by side: how close a batch of each size comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from streameval.arguments import describe_value, integer
from streameval.defaults import LEVEL, OF, SEED, SIZES, TRIALS
from streameval.errors import UsageError
from streameval.evaluation.carried import Carried
from streameval.evaluation.memory import parse_size
from streameval.evaluation.opening import groups_of, subject
from streameval.evaluation.report import Report
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring.scorer import Budget as Limits
from streameval.showing import with_progress
from streameval.statistics.budget import Budget
from streameval.statistics.intervals.method import checked_level
from streameval.statistics.order import Order
from streameval.statistics.precision import Precision
from streameval.statistics.seeds import number
from streameval.statistics.trials import Comparison as Draws
from streameval.statistics.trials import Trials, compare_losses
from streameval.storage.source import Source
from streameval.studies.budgeting import error_budget
from streameval.studies.histogram import Histogram
from streameval.studies.limits import known_bounds
from streameval.studies.quantity import checked_quantity
from streameval.studies.spooled import spooled_losses
from streameval.studies.tails import Tails

SCHEMA = "streameval/compare/2"


@frozen(eq=False, repr=False)
class Comparison(Carried):
    """The exact loss of all rows, and what mini-batches would have said of it.

    full       the evaluation of all rows
    draws      everything drawn from the losses: see `streameval.statistics.trials.Comparison`
    budget     where an error of the full loss could come from
    histogram  of the losses of all rows · tails: their quantiles and worst rows, and what they say of further data
    """

    full: Report
    draws: Draws
    budget: Budget
    histogram: Histogram
    tails: Tails | None = None

    @property
    def batches(self) -> tuple[Trials, ...]:
        """One entry for each batch size."""
        return self.draws.batches

    @property
    def precision(self) -> tuple[Precision, ...]:
        """What a wanted half-width takes in rows, bytes and seconds."""
        return self.draws.precision

    @property
    def order(self) -> Order:
        """Whether the order of the rows looks random."""
        return self.draws.order

    def __repr__(self) -> str:
        sizes = ", ".join(str(one.size) for one in self.batches[:8]) + (
            ", ..." if len(self.batches) > 8 else ""
        )
        return f"<Comparison: batches of {sizes} rows against {self.full!r}>"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names."""
        return {
            "schema": SCHEMA,
            "full": self.full.to_dict(),
            **self.draws.to_dict(),
            "eps": self.full.eps,
            **self.full.loss_function.options,
            "budget": self.budget.to_dict(),
            "histogram": self.histogram.to_dict(),
            "tails": None if self.tails is None else self.tails.to_dict(),
        }


@with_progress("evaluating")
def compare(
    model: Model | Outputs,
    data: Any = None,
    *,
    sizes: Sequence[int] = SIZES,
    trials: int = TRIALS,
    seed: int | np.random.Generator = SEED,
    replace: bool = True,
    level: float = LEVEL,
    loss: Loss | None = None,
    eps: float | None = None,
    groups: Any = None,
    of: str = OF[0],
    threads: int | None = None,
    max_memory: int | str | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Comparison:
    """Evaluate all rows, then draw `trials` mini-batches of each size and compare them with the full loss.

    sizes     rows of a batch · trials: batches of each size; a size's draws depend on it and the seed alone
    replace   True: rows may repeat within a batch, as in the article. False: they differ
    level     of the intervals whose coverage is counted
    loss, eps, groups   as for `evaluate`
    of        "loss", or "accuracy": the share of rows that are right, with `full.loss` and all else of it
    max_memory  bytes, or "256M", that the pass may hold beyond imports and kernels
    progress  called with (rows done, rows in all) during the one pass over the data; True: a bar

    The network computes each row once: the losses go to a nameless temporary file of 8 bytes a row (in TMPDIR),
    from which the batches are gathered, so that 40 million rows take bounded memory. With eps = 0 losses have
    no bound, and intervals that need one are left out.

    Raises:
        UsageError: sizes or trials below 1, or over the number of rows without replacement.
        DataError: a data set without rows; and the errors of `evaluate`.
    """
    network, source, loss = subject(model, data, loss, eps)
    sizes, trials = _checked(source, sizes, trials, replace)
    checked_level(level)
    checked_quantity(of)
    root, limits = number(seed), Limits(threads, None if max_memory is None else parse_size(max_memory))
    groups = groups_of(source, groups)
    told = progress if callable(progress) else None
    spooling = spooled_losses([network], source, loss, groups=groups, of=of, budget=limits, progress=told)
    with spooling as spooled:
        loss = spooled.reports[0].loss_function
        losses = spooled.losses[0]
        draws = compare_losses(
            losses,
            sizes=sizes,
            trials=trials,
            seed=root,
            level=level,
            bounds=known_bounds(loss),
            replace=replace,
            bytes_per_row=_bytes_per_row(source),
            seconds_per_row=spooled.seconds_per_row,
        )
        budget = error_budget(spooled.scorers[0], source, losses, sampling=0.0, seed=root, level=level)
        # Of scores, the worst rows have the least; no interval is made for those.
        bounds = None if getattr(loss, "higher_is_better", False) else known_bounds(loss)
        tails = Tails.of(losses, bounds=bounds, level=level, seed=root)
        return Comparison(spooled.reports[0], draws, budget, Histogram.of(losses), tails)


def _bytes_per_row(source: Source) -> float:
    """Bytes of a row's features; its target takes one to eight more."""
    return float(source.features * source.dtype.itemsize)


def _checked(source: Source, sizes: object, trials: int, replace: bool) -> tuple[tuple[int, ...], int]:
    """The sizes and trials as ints; raise UsageError before the pass, not after it."""
    given = tuple(sizes) if isinstance(sizes, Iterable) and not isinstance(sizes, str) else ()
    if not given:
        raise UsageError(
            f"sizes: {describe_value(sizes)}, expected rows of a batch, one or more, such as (10, 100, 1000)."
        )
    counts = tuple(integer(f"sizes[{k}]", size, least=1) for k, size in enumerate(given))
    trials = integer("trials", trials, least=1)
    if not replace and max(counts) > source.rows > 0:
        raise UsageError(
            f"size {max(counts)}: {source.name} has only {source.rows} different rows. Draw fewer, or with replacement."
        )
    return counts, trials
