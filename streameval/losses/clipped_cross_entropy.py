"""Cross-entropy as Keras and scikit-learn have it: probabilities are clipped, where the article adds eps to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.elementary import exp, log, log1p
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses import cross_entropy_tiles as tiles
from streameval.losses.loss import Bounds


@frozen
class ClippedCrossEntropy:
    """E = -sum_k t_k log(min(max(y_k, c), 1 - c)), y = softmax(logits), in nats.

    clip         c, 2**-52 <= c < 0.5: 1e-7 is Keras's, 2**-52 scikit-learn's for float64
    normalized   whether probabilities that a model returned are divided by their sum first, as Keras does; those of a
                 softmax sum to 1

    Raises UsageError for another clip.
    """

    clip: float = 1e-7
    normalized: bool = False

    name: ClassVar[str] = "clipped-cross-entropy"
    unit: ClassVar[str] = "nats"
    classifies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        expected = "a number from 2**-52 to below 0.5, for instance 1e-7"
        clip = real("clip", self.clip, expected)
        if not 2.0**-52 <= clip < 0.5:
            raise UsageError(f"clip: {self.clip!r}, expected {expected}.")
        object.__setattr__(self, "clip", clip)

    @property
    def bounds(self) -> Bounds:
        """(-log(1 - c), -log(c)): (1e-7, 16.118) for c = 1e-7."""
        return (-log1p(-self.clip), -log(self.clip))

    @property
    def formula(self) -> str:
        """See `Loss`."""
        return f"-sum_k t_k log(min(max(y_k, c), 1 - c)), y = softmax(network(x)), c = {self.clip:g}, in nats"

    @property
    def detail(self) -> str:
        """See `Loss`."""
        return f"probabilities clipped to {self.clip:g} and 1 - {self.clip:g}"

    @property
    def kernel(self) -> str:
        """See `Loss`."""
        return self.name

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`."""
        return {"clip": self.clip}

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`; the clip in hexadecimal."""
        return {"name": self.name, "clip": self.clip.hex(), "normalized": self.normalized}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ClippedCrossEntropy:
        """What `to_dict` wrote."""
        return cls(float.fromhex(stored["clip"]), bool(stored["normalized"]))

    def parameters(self) -> NDArray[np.float64]:
        """The clip."""
        return np.array([self.clip])

    def tile(self) -> Callable[..., None]:
        """See `Loss`."""
        return tiles.clipped()

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """See `Loss`."""
        shares = exp(logits - logits.max(axis=1, keepdims=True))
        return self.of_logs(self.logs(shares / shares.sum(axis=1, keepdims=True)), targets)

    def of_probabilities(
        self, probabilities: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The losses (n,) of probabilities (n, classes) in place of logits, in float64."""
        sums = probabilities.sum(axis=1, keepdims=True) if self.normalized else 1.0
        return self.of_logs(self.logs(probabilities / sums), targets)

    def logs(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The logarithms of probabilities (n, k), clipped."""
        return np.asarray(log(np.clip(shares, self.clip, 1.0 - self.clip)))

    def from_logs(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of log(y) (n, k)."""
        return self.logs(exp(logs))

    def of_logs(self, logs: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """The losses (n,) of such logarithms (n, classes), in float64."""
        if targets.ndim == 1:
            return np.asarray(-logs[np.arange(len(logs)), targets])
        return np.asarray(-np.sum(targets * logs, axis=1))
