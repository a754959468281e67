"""Binary cross-entropy of logits: one output, or one for each of several labels."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import real
from streameval.elementary import log, log1p, logaddexp
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses.elementwise import Elementwise


@frozen
class BinaryCrossEntropy(Elementwise):
    """-p t log(y) - (1 - t) log(1 - y), y = 1 / (1 + exp(-z)), the mean over the outputs of a row, in nats.

    pos_weight  p: what a positive target weighs, one number above 0, or one for each output

    Of logits z, exactly: never log(0). Targets are from 0 to 1. PyTorch's `binary_cross_entropy_with_logits`.
    Raises UsageError for other weights.
    """

    pos_weight: float | Sequence[float] = 1.0

    name: ClassVar[str] = "binary-cross-entropy"
    unit: ClassVar[str] = "nats"
    outputs: ClassVar[str] = "logits"
    # What a target may be.
    targets: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        expected = "a finite number above 0, or one for each output"
        given: Any = self.pos_weight
        several = isinstance(given, list | tuple | np.ndarray) and np.ndim(given) == 1 and len(given) > 0
        weights = [real("pos_weight", one, expected) for one in (given if several else [given])]
        if not all(0.0 < one < math.inf for one in weights):
            raise UsageError(f"pos_weight: {self.pos_weight!r}, expected {expected}.")
        object.__setattr__(self, "pos_weight", tuple(weights) if len(weights) > 1 else weights[0])

    @property
    def formula(self) -> str:
        """See `Loss`."""
        return (
            "mean over the outputs of a row of -p t log(y) - (1 - t) log(1 - y), y = 1 / (1 + exp(-z)), "
            f"z = network(x), in nats, from the logits by softplus; p = {self.pos_weight}"
        )

    @property
    def detail(self) -> str:
        """See `Loss`."""
        weighted = "" if self.pos_weight == 1.0 else f", positive targets weighing {self.pos_weight}"
        return f"binary cross-entropy, the mean over a row's outputs{weighted}"

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`."""
        return {} if self.pos_weight == 1.0 else {"pos_weight": self.pos_weight}

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`."""
        return {"name": self.name, "pos_weight": [float(one).hex() for one in self.parameters()]}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> BinaryCrossEntropy:
        """What `to_dict` wrote."""
        return cls([float.fromhex(one) for one in stored["pos_weight"]])

    def parameters(self) -> NDArray[np.float64]:
        """The weights of positive targets: one, or one for each output."""
        return np.atleast_1d(np.array(self.pos_weight, np.float64))

    def check_outputs(self, outputs: int) -> None:
        """Raise UsageError for weights of another number of outputs."""
        if len(self.parameters()) not in (1, outputs):
            raise UsageError(
                f"pos_weight: {len(self.parameters())} weights, expected one, or one for each of {outputs} outputs."
            )

    def term(self) -> Any:
        """See `Elementwise`."""
        return _term()

    def each(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Elementwise`."""
        positive, negative = logaddexp(0.0, -z), logaddexp(0.0, z)
        return np.asarray(self.parameters() * t * positive + (1.0 - t) * negative)

    def of_probabilities(
        self, probabilities: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The losses (n,) of probabilities y (n, outputs), in float64; infinite for log(0)."""
        t, y = np.asarray(targets, np.float64).reshape(probabilities.shape), probabilities
        with np.errstate(divide="ignore", invalid="ignore"):
            positive, negative = -log(y), -log1p(-y)
        # A side without weight costs nothing.
        parts = np.where(t == 0.0, 0.0, self.parameters() * t * positive)
        return np.asarray((parts + np.where(t == 1.0, 0.0, (1.0 - t) * negative)).mean(axis=1))


@functools.cache
def _term() -> Any:
    from streameval.kernels.activations import softplus_f64
    from streameval.kernels.compiling import device

    @device
    def binary_cross_entropy(z: Any, t: Any, parameters: Any, k: Any) -> Any:
        weight = parameters[min(k, parameters.shape[0] - 1)]
        return weight * t * softplus_f64(0.0 - z) + (1.0 - t) * softplus_f64(z)

    return binary_cross_entropy
