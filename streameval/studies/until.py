"""Reading random rows until the loss of all rows is known well enough, with a guarantee that survives looking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import HALF_WIDTH, LEVEL, OF, SEED, SEQUENTIAL_METHOD, THESE_ROWS
from streameval.evaluation.carried import Carried
from streameval.evaluation.grouping import row_groups
from streameval.evaluation.names import data_dict, model_dict
from streameval.evaluation.opening import groups_of, subject
from streameval.evaluation.state import LossSums, fold_losses
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.outputs.source import Outputs
from streameval.scoring import make_scorer
from streameval.scoring.scorer import Budget
from streameval.statistics.grouped import GroupsRead, grouped_until
from streameval.statistics.seeds import number
from streameval.statistics.until import Step, StoppingResult, until
from streameval.storage.source import Source
from streameval.studies.looks import recorder
from streameval.studies.quantity import measuring
from streameval.studies.reading import LossReader

SCHEMA = "streameval/until/2"


@frozen(eq=False, repr=False)
class Until(Carried):
    """Where reading stopped, and how it came there.

    found       the result in full; the properties below are read off it
    half_width  what was asked for, in nats
    steps       what was known at every look, the last one being where it stopped
    groups      how many were read, where whole groups were drawn; else None
    """

    found: StoppingResult
    half_width: float
    steps: tuple[Step, ...]
    loss_function: Loss
    model: Model
    data: Source
    groups: GroupsRead | None = None

    @property
    def loss(self) -> float:
        """Mean loss of the rows read, in nats."""
        return self.found.loss

    @property
    def low(self) -> float:
        """Lower end of the interval for the loss of all rows."""
        return self.found.low

    @property
    def high(self) -> float:
        """Upper end of the interval for the loss of all rows."""
        return self.found.high

    @property
    def level(self) -> float:
        """Chance, over the draw of the order, that every interval shown holds the loss of all rows."""
        return self.found.level

    @property
    def rows_read(self) -> int:
        """Rows whose losses are in the result."""
        return self.found.rows_read

    @property
    def fraction(self) -> float:
        """rows_read over all rows."""
        return self.found.fraction

    @property
    def method(self) -> str:
        """Name of the interval."""
        return self.found.method

    @property
    def stopped(self) -> str:
        """ "precision", or "exhausted" when all rows were read: then the loss is exact and the width 0."""
        return self.found.stopped

    def __repr__(self) -> str:
        return (
            f"<Until: loss {self.loss:.6g}, {self.low:.6g} to {self.high:.6g}, of {self.rows_read} of {self.data.rows} "
            "rows>"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names; `half_width` is half of high - low, `wanted` what was asked for."""
        return {
            "schema": SCHEMA,
            **self.found.to_dict(),
            "estimates": THESE_ROWS,
            "looks": len(self.steps),
            "groups": None if self.groups is None else self.groups.groups,
            "groups_read": None if self.groups is None else self.groups.read,
            "wanted": self.half_width,
            "loss_name": self.loss_function.name,
            "eps": getattr(self.loss_function, "eps", None),
            **self.loss_function.options,
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.outputs),
        }


def evaluate_until(
    model: Model | Outputs,
    data: Any = None,
    *,
    half_width: float = HALF_WIDTH,
    level: float = LEVEL,
    seed: int | np.random.Generator = SEED,
    method: str = SEQUENTIAL_METHOD,
    of: str = OF[0],
    loss: Loss | None = None,
    eps: float | None = None,
    groups: Any = None,
    threads: int | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Until:
    """Read random rows, each at most once, until the loss of all rows is known to +- half_width; then stop.

    half_width  in nats
    method      "betting", "predictable" (wider, a little faster), "asymptotic" (no bounds needed; an approximation
                that shows nothing before 500 rows and promises nothing where few rows of huge losses decide)
    of          "loss", or "accuracy": the share of rows that are right, half_width and `loss` of the result with it
    groups      as for `evaluate`: whole groups are drawn and read, a group the more often the more rows it has, and it
                goes on until the loss of all rows is known. None draws single rows, which take no row as independent of
                another either, and are fewer unless the rows of a group are hardly alike; see `statistics.grouped`
    on_step     called at every look with a `Step`: rows_read, fraction, loss, low, high

    With probability `level`, over the random order of the rows (of groups: over their draw), every interval shown on
    the way holds the loss of all rows: it may be looked at at any time. The result depends on the seed, not on threads
    or on how rows are read.

    Raises:
        UsageError: a half-width or level that cannot mean anything; eps = 0 with a method that needs bounds.
        DataError: a data set without rows; and the errors of `evaluate`.
    """
    network, source, loss = subject(model, data, loss, eps)
    groups = groups_of(source, groups)
    steps, record = recorder(on_step)
    scorer = measuring(of, make_scorer(network, source, loss, Budget(threads)))
    read, loss = _Summed(LossReader(scorer, source)), scorer.loss
    settings: dict[str, Any] = {
        "half_width": half_width,
        "level": level,
        "seed": number(seed),
        "bounds": loss.bounds,
        "method": method,
        "on_step": lambda step: record(read.exact(step) if step.rows_read == source.rows else step),
    }
    if groups is None:
        result, counted = until(read, source.rows, **settings), None
    else:
        result, counted = grouped_until(read, row_groups(groups, source)[0], **settings)
    source.check_unchanged()
    result = read.exact(result) if result.stopped == "exhausted" else result
    return Until(result, half_width, tuple(steps), loss, network, source, counted)


Looked = TypeVar("Looked", Step, StoppingResult)


class _Summed:
    """A reader that sums what it read as `evaluate` does, so that all rows give the same loss, to the bit."""

    def __init__(self, read: LossReader) -> None:
        self._read = read
        self._sums = LossSums()

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        losses = self._read.in_file_order(rows)
        self._sums += fold_losses(losses, rows)[0]
        return losses

    def exact(self, known: Looked) -> Looked:
        """What was found when all rows were read, with their exact loss."""
        loss = self._sums.mean
        return known if loss is None else replace(known, loss=loss, low=loss, high=loss)
