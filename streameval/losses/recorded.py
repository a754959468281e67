"""Values that were computed elsewhere and saved, a number a row: losses, or scores. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses.loss import Bounds


@frozen
class Recorded:
    """A row's value as a file has it.

    column  where it stands: the name of a column, or of a tool's metric
    score   whether more is better, as of an accuracy; of a loss less is
    low, high   what no value of this kind can pass, both or neither; finite

    Raises UsageError for ends that are no bounds.
    """

    column: str = "loss"
    score: bool = False
    low: float | None = None
    high: float | None = None

    name: ClassVar[str] = "recorded"
    unit: ClassVar[str] = ""
    classifies: ClassVar[bool] = False

    def __post_init__(self) -> None:
        ends = (self.low, self.high)
        if ends == (None, None):
            return
        if None in ends or not -math.inf < float(self.low or 0.0) < float(self.high or 0.0) < math.inf:
            raise UsageError(
                f"bounds {self.low} to {self.high}: expected two finite numbers, the smaller first, such as (0, 1)."
            )

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better."""
        return self.score

    @property
    def bounds(self) -> Bounds | None:
        """What was said of it; None where nothing was."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def formula(self) -> str:
        """See `Loss`."""
        return f"the {'score' if self.score else 'loss'} {self.column!r} as it was saved"

    @property
    def detail(self) -> str:
        """See `Loss`."""
        kind = "score" if self.score else "loss"
        return f"column {self.column}" if self.column == kind else f"{kind} {self.column}"

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`; what there is stands with the saved outputs."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`; bounds in hexadecimal."""
        ends = [None if end is None else float(end).hex() for end in (self.low, self.high)]
        return {"name": self.name, "column": self.column, "score": self.score, "bounds": ends}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Recorded:
        """What `to_dict` wrote."""
        low, high = (None if end is None else float.fromhex(end) for end in stored["bounds"])
        return cls(str(stored["column"]), bool(stored["score"]), low, high)

    def parameters(self) -> NDArray[np.float64]:
        """None."""
        return np.empty(0)

    @property
    def kernel(self) -> str:
        """See `Loss`; there is none."""
        return self.name

    def tile(self) -> Callable[..., None]:
        """Nothing computes it: raises UsageError."""
        raise self._not_computed()

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """Nothing computes it: raises UsageError."""
        raise self._not_computed()

    def _not_computed(self) -> UsageError:
        return UsageError(
            f"loss {self!r}: such values are read from saved outputs, no network has them. Give what "
            "streameval.open_outputs returns in place of the model, without data."
        )
