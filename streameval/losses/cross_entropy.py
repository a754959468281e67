"""Cross-entropy of a softmax, as the article has it: -sum_k t_k log(y_k + eps), in nats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.defaults import EPS
from streameval.elementary import exp, log, log1p, logaddexp
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses import cross_entropy_tiles as tiles
from streameval.losses.loss import Bounds

# The kernels' exp ends at e**-708 = 3.3e-308, where y is 0 in truth: log(y + eps) is then off by up to 3.3e-308 / eps.
SMALLEST_EPS = 1e-300


@frozen(repr=False)
class CrossEntropy:
    """E = -sum_k t_k log(y_k + eps), y = softmax(logits), in nats.

    eps  0, or 1e-300 <= eps < 1; the article's 1e-7 bounds every loss by -log(eps) = 16.118; 0 is the exact
         log-softmax, from the logits by log-sum-exp, never log(0)
    label_smoothing   s, 0 <= s <= 1: each t_k becomes (1 - s) t_k + s / K for K classes, as PyTorch's `cross_entropy`
         has it, for labels, one-hot and soft rows alike

    Raises UsageError for another eps or smoothing. Sources: K. Saitoh, Deep Learning from Scratch (O'Reilly Japan,
    2016), 4.2; C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision (CVPR 2016), section 7.
    """

    eps: float = EPS
    label_smoothing: float = 0.0

    name: ClassVar[str] = "cross-entropy"
    unit: ClassVar[str] = "nats"
    classifies: ClassVar[bool] = True
    # Without eps, which would let a loss be -log(1 + eps).
    least: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        expected = (
            "a number from 0 (exact log-softmax) to below 1, for instance 1e-7; "
            f"{SMALLEST_EPS:g} or more if it is not 0"
        )
        eps = real("eps", self.eps, expected)
        if not (eps == 0.0 or SMALLEST_EPS <= eps < 1.0):
            raise UsageError(f"eps: {self.eps!r}, expected {expected}.")
        object.__setattr__(self, "eps", eps)
        expected = "a number from 0 (none) to 1, for instance 0.1"
        smoothing = real("label_smoothing", self.label_smoothing, expected)
        if not 0.0 <= smoothing <= 1.0:
            raise UsageError(f"label_smoothing: {self.label_smoothing!r}, expected {expected}.")
        object.__setattr__(self, "label_smoothing", smoothing + 0.0)

    def __repr__(self) -> str:
        more = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"CrossEntropy(eps={self.eps!r}{more})"

    @property
    def bounds(self) -> Bounds | None:
        """(-log(1 + eps), -log(eps)): (-1e-7, 16.118) for eps = 1e-7; None for eps = 0, where y = 0 costs infinity.

        Smoothing takes a mean of such terms, which lies between them."""
        return (-log1p(self.eps), -log(self.eps)) if self.eps > 0.0 else None

    @property
    def formula(self) -> str:
        """See `Loss`."""
        plain = "-sum_k t_k log(y_k + eps), y = softmax(network(x)), in nats; eps = 0: from the logits by log-sum-exp"
        smoothed = f"; t_k smoothed to (1 - s) t_k + s / K, s = {self.label_smoothing:g}, K classes"
        return plain + smoothed if self.label_smoothing else plain

    @property
    def detail(self) -> str:
        """See `Loss`."""
        plain = "exact log-softmax" if self.eps == 0.0 else f"with log(y + {self.eps:g})"
        return f"{plain}, label smoothing {self.label_smoothing:g}" if self.label_smoothing else plain

    @property
    def kernel(self) -> str:
        """See `Loss`: what is not smoothed has a kernel without a trace of it."""
        return "smoothed-cross-entropy" if self.label_smoothing else self.name

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`."""
        return {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`; numbers in hexadecimal, and no smoothing where there is none."""
        stored = {"name": self.name, "eps": self.eps.hex()}
        return stored | ({"label_smoothing": self.label_smoothing.hex()} if self.label_smoothing else {})

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> CrossEntropy:
        """What `to_dict` wrote."""
        return cls(float.fromhex(stored["eps"]), float.fromhex(stored.get("label_smoothing", "0")))

    def parameters(self) -> NDArray[np.float64]:
        """eps, and the smoothing."""
        return np.array([self.eps, self.label_smoothing])

    def tile(self) -> Callable[..., None]:
        """See `Loss`."""
        return tiles.smoothed() if self.label_smoothing else tiles.plain()

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """See `Loss`."""
        below = logits - logits.max(axis=1, keepdims=True)
        logs = below - log(exp(below).sum(axis=1, keepdims=True))
        return self.of_logs(self.from_logs(logs), targets)

    def of_probabilities(
        self, probabilities: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The losses (n,) of probabilities (n, classes) in place of logits, in float64; infinite for log(0)."""
        return self.of_logs(log(np.maximum(probabilities, 0.0) + self.eps), targets)

    def from_logs(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """log(y + eps) of log(y) (n, k), without ever forming a y of 0."""
        return np.asarray(logaddexp(logs, log(self.eps)) if self.eps > 0.0 else logs)

    def of_logs(self, logs: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """The losses (n,) of log(y + eps), (n, classes), in float64."""
        s = self.label_smoothing
        if targets.ndim == 1:
            true = logs[np.arange(len(logs)), targets]
            return np.asarray(-((1.0 - s) * true + s * logs.mean(axis=1)) if s else -true)
        weights = (1.0 - s) * targets + s / logs.shape[1] if s else targets
        # 0 * log(0) is 0 here: a class without weight costs nothing.
        return np.asarray(-np.sum(np.where(weights == 0.0, 0.0, weights * logs), axis=1))
