"""Cross-entropy of a softmax, as the article has it: -sum_k t_k log(y_k + eps), in nats."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.defaults import EPS
from streameval.errors import UsageError
from streameval.losses.loss import Bounds

# The kernels' exp ends at e**-708 = 3.3e-308, where y is 0 in truth: log(y + eps) is then off by up to 3.3e-308 / eps.
SMALLEST_EPS = 1e-300


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """E = -sum_k t_k log(y_k + eps), y = softmax(logits), in nats.

    eps  0, or 1e-300 <= eps < 1; the article's 1e-7 bounds every loss by -log(eps) = 16.118; 0 is the exact
         log-softmax, from the logits by log-sum-exp, never log(0)

    Raises UsageError for another eps. Source: K. Saitoh, Deep Learning from Scratch (O'Reilly Japan, 2016), 4.2.
    """

    eps: float = EPS

    name: ClassVar[str] = "cross-entropy"
    unit: ClassVar[str] = "nats"
    classifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expected = (
            "a number from 0 (exact log-softmax) to below 1, for instance 1e-7; "
            f"{SMALLEST_EPS:g} or more if it is not 0"
        )
        eps = real("eps", self.eps, expected)
        if not (eps == 0.0 or SMALLEST_EPS <= eps < 1.0):
            raise UsageError(f"eps: {self.eps!r}, expected {expected}.")
        object.__setattr__(self, "eps", eps)

    @property
    def bounds(self) -> Bounds | None:
        """(-log(1 + eps), -log(eps)): (-1e-7, 16.118) for eps = 1e-7; None for eps = 0, where y = 0 costs infinity."""
        return (-math.log1p(self.eps), -math.log(self.eps)) if self.eps > 0.0 else None

    @property
    def formula(self) -> str:
        """See `Loss`."""
        return "-sum_k t_k log(y_k + eps), y = softmax(network(x)), in nats; eps = 0: from the logits by log-sum-exp"

    @property
    def detail(self) -> str:
        """See `Loss`."""
        return "exact log-softmax" if self.eps == 0.0 else f"with log(y + {self.eps:g})"

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`; eps in hexadecimal."""
        return {"name": self.name, "eps": self.eps.hex()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> CrossEntropy:
        """What `to_dict` wrote."""
        return cls(float.fromhex(stored["eps"]))

    def parameters(self) -> NDArray[np.float64]:
        """eps."""
        return np.array([self.eps])

    def tile(self) -> Callable[..., None]:
        """See `Loss`."""
        return _tile()

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """See `Loss`."""
        below = logits - logits.max(axis=1, keepdims=True)
        logs = below - np.log(np.exp(below).sum(axis=1, keepdims=True))
        if self.eps > 0.0:
            logs = np.logaddexp(logs, math.log(self.eps))  # log(y + eps) without ever forming a y of 0
        if targets.ndim == 1:
            return np.asarray(-logs[np.arange(len(logs)), targets])
        # 0 * log(0) is 0 here: a class without weight costs nothing.
        return np.asarray(-np.sum(np.where(targets == 0.0, 0.0, targets * logs), axis=1))

    def of_probabilities(
        self, probabilities: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The losses (n,) of probabilities (n, classes) in place of logits, in float64; infinite for log(0)."""
        logs = np.log(np.maximum(probabilities, 0.0) + self.eps)
        if targets.ndim == 1:
            return np.asarray(-logs[np.arange(len(logs)), targets])
        return np.asarray(-np.sum(np.where(targets == 0.0, 0.0, targets * logs), axis=1))


@functools.cache
def _tile() -> Callable[..., None]:
    """-sum_k t_k log(softmax_k + eps), or -sum_k t_k log(softmax_k), exact from the logits, if eps is 0."""
    from streameval.kernels.compiling import device
    from streameval.kernels.elementary import exp_f64, log_f64
    from streameval.kernels.host import TILE_ROWS
    from streameval.kernels.lanes import load_f64, store
    from streameval.kernels.softmax import (
        BEST,
        TOP,
        TOTAL,
        WORK,
        gather,
        softmax_sums,
        write_predicted,
        write_probabilities,
    )

    @device  # type: ignore[untyped-decorator]
    def negative_logs(tile: Any, doubles: Any, eps: Any) -> None:
        for r in range(0, tile.count, 8):
            below = load_f64(doubles, TOP + r) - load_f64(doubles, WORK + r)
            if eps > 0.0:
                share = exp_f64(0.0 - below) / load_f64(doubles, TOTAL + r)
                store(doubles, WORK + r, 0.0 - log_f64(share + eps))
            else:
                store(doubles, WORK + r, log_f64(load_f64(doubles, TOTAL + r)) + below)

    @device  # type: ignore[untyped-decorator]
    def cross_entropy(outputs: Any, targets: Any, tile: Any, doubles: Any, results: Any) -> None:
        eps, first = targets.parameters[0], tile.first
        softmax_sums(outputs, tile.count, doubles)
        write_predicted(tile, doubles, results.predicted)
        if targets.rows.shape[0] > 0:
            total = BEST  # the predicted classes are written
            for i in range(tile.count):
                doubles[total + i] = 0.0
            for k in range(outputs.count):
                gather(outputs, k, tile, doubles)
                negative_logs(tile, doubles, eps)
                for i in range(tile.count):
                    doubles[total + i] += targets.rows[first + i, k] * doubles[WORK + i]
            for i in range(tile.count):
                results.losses[first + i] = doubles[total + i]
        else:
            for i in range(tile.count):
                k = targets.labels[first + i]
                doubles[WORK + i] = outputs.values[outputs.at + k * TILE_ROWS + i]
            negative_logs(tile, doubles, eps)
            for i in range(tile.count):
                results.losses[first + i] = doubles[WORK + i]
        write_probabilities(outputs, tile, doubles, results.probabilities)

    made: Callable[..., None] = cross_entropy
    return made
