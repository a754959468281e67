"""Losses that compare each output of a row with a number of its target, and take the mean over the outputs.

A loss of this kind is one formula, written twice: for the kernels (`term`) and in float64 by NumPy (`each`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from streameval.losses.loss import Bounds


class Elementwise:
    """What such losses share. See `Loss`. Targets are numbers (n, outputs), or (n,) where there is one output."""

    __slots__ = ()

    name: ClassVar[str]
    unit: ClassVar[str] = ""
    classifies: ClassVar[bool] = False
    # No row costs less. There is no most.
    least: ClassVar[float] = 0.0
    # What it takes of a model.
    outputs: ClassVar[str] = "numbers"
    # Of small errors the loss grows with this power; and the options that are in units of the target.
    degree: ClassVar[int] = 2
    in_units: ClassVar[tuple[str, ...]] = ()

    @property
    def bounds(self) -> Bounds | None:
        """None: an output can be as wrong as any."""
        return None

    @property
    def kernel(self) -> str:
        """See `Loss`."""
        return self.name

    @property
    def options(self) -> dict[str, Any]:
        """See `Loss`."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """See `Loss`; the fields in hexadecimal."""
        return {"name": self.name, **{name: float(value).hex() for name, value in self.options.items()}}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """What `to_dict` wrote."""
        known = {one.name for one in fields(cls)}  # type: ignore[arg-type]  # every loss is a dataclass
        return cls(**{name: float.fromhex(stored[name]) for name in stored if name in known})

    def parameters(self) -> NDArray[np.float64]:
        """See `Loss`."""
        return np.array(list(self.options.values()), np.float64)

    def tile(self) -> Callable[..., None]:
        """See `Loss`."""
        return _mean_of(self.term())

    def term(self) -> Any:
        """The kernels' formula, made once: term(z, t, parameters, k), of eight float64 outputs z and targets t in their
        place k."""
        raise NotImplementedError

    def each(self, z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of outputs and targets (n, outputs), in float64 by NumPy."""
        raise NotImplementedError

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """See `Loss`."""
        given = np.asarray(targets, np.float64).reshape(logits.shape)
        return np.asarray(self.each(logits, given).mean(axis=1))

    def of_probabilities(
        self, probabilities: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        """The losses (n,) of probabilities: numbers as others."""
        return self.reference(probabilities, targets)


@functools.cache
def _mean_of(term: Any) -> Callable[..., None]:
    """The mean of a formula over the outputs of each row."""
    from streameval.kernels.compiling import device
    from streameval.kernels.lanes import load_f64, store
    from streameval.kernels.softmax import TOP, TOTAL, WORK, gather

    @device
    def mean(outputs: Any, targets: Any, tile: Any, doubles: Any, results: Any) -> None:
        first = tile.first
        for i in range(tile.count):
            doubles[TOTAL + i] = 0.0
        for k in range(outputs.count):
            gather(outputs, k, tile, doubles)
            for i in range(tile.count):
                doubles[TOP + i] = targets.rows[first + i, k]
            for r in range(0, tile.count, 8):
                value = term(load_f64(doubles, WORK + r), load_f64(doubles, TOP + r), targets.parameters, k)
                store(doubles, WORK + r, value)
            for i in range(tile.count):
                doubles[TOTAL + i] += doubles[WORK + i]
        for i in range(tile.count):
            results.losses[first + i] = doubles[TOTAL + i] / outputs.count

    made: Callable[..., None] = mean
    return made
