"""Reading random rows until the loss of all rows is known well enough, with a guarantee that survives looking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError
from streameval.evaluation.evaluate import EPS
from streameval.evaluation.report import data_dict, model_dict
from streameval.evaluation.scoring import check_model
from streameval.evaluation.state import State, fold
from streameval.models.mlp import Mlp
from streameval.statistics.bounds import loss_bounds
from streameval.statistics.seeds import number
from streameval.statistics.until import Step, Stopped, until
from streameval.storage.opening import open
from streameval.storage.source import Source
from streameval.studies.looks import recorder
from streameval.studies.reading import LossReader

SCHEMA = "streameval/until/1"


@dataclass(frozen=True, slots=True, eq=False)
class Until:
    """Where reading stopped, and how it came there.

    found       the result in full; the properties below are read off it
    half_width  what was asked for, in nats
    steps       what was known at every look, the last one being where it stopped
    """

    found: Stopped
    half_width: float
    steps: tuple[Step, ...]
    eps: float
    model: Mlp
    data: Source

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON, with the contract's names; `half_width` is half of high - low, `wanted` what was asked for."""
        return {
            "schema": SCHEMA,
            **self.found.to_dict(),
            "wanted": self.half_width,
            "eps": self.eps,
            "model": model_dict(self.model),
            "data": data_dict(self.data, self.model.classes),
        }


def evaluate_until(
    model: Mlp,
    data: Any,
    *,
    half_width: float = 0.01,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
    method: str = "betting",
    eps: float = EPS,
    threads: int | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Until:
    """Read random rows, each at most once, until the loss of all rows is known to +- half_width; then stop.

    half_width  in nats
    method      "betting", "predictable" (wider, a little faster), "asymptotic" (no bounds needed, holds for many rows)
    on_step     called at every look with a `Step`: rows_read, fraction, loss, low, high

    With probability `level`, over the random order of the rows, every interval shown on the way holds the loss of
    all rows: it may be looked at at any time. The result depends on the seed, not on threads or on how rows are read.

    Raises:
        UsageError: a half-width or level that cannot mean anything; eps = 0 with a method that needs bounds.
        DataError: a data set without rows; and the errors of `evaluate`.
    """
    check_model(model)
    source = open(data)
    if source.rows == 0:
        raise DataError(f"{source.name}: no rows, so there is nothing to estimate.")
    steps, told = recorder(on_step)
    read = _Summed(LossReader(model, source, eps=eps, threads=threads))
    found = until(
        read,
        source.rows,
        half_width=half_width,
        level=level,
        seed=number(seed),
        bounds=loss_bounds(eps),
        method=method,
        on_step=lambda step: told(read.exact(step) if step.rows_read == source.rows else step),
    )
    source.check_unchanged()
    found = read.exact(found) if found.stopped == "exhausted" else found
    return Until(found, half_width, tuple(steps), float(eps), model, source)


Looked = TypeVar("Looked", Step, Stopped)


class _Summed:
    """A reader that sums what it read as `evaluate` does, so that all rows give the same loss, to the bit."""

    def __init__(self, read: LossReader) -> None:
        self._read = read
        self._state = State.empty(1)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        losses = self._read.in_file_order(rows)
        none = np.zeros(len(rows), np.int64)
        self._state += fold(losses, none, none, rows, 1)[0]
        return losses

    def exact(self, found: Looked) -> Looked:
        """What was found when all rows were read, with their exact loss."""
        loss = self._state.loss
        return found if loss is None else replace(found, loss=loss, low=loss, high=loss)
