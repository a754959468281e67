"""What a graph does to its rows, one step after another, before it becomes layers: numbers still in float64.

Knows shapes of rows. Does not know files, nor which steps one layer can take together: `fusing` does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.frozen import frozen
from streameval.layers.layer import Layer, Shape

Numbers = NDArray[np.float64]
Sides = tuple[int, int, int, int]  # top, left, bottom, right


@frozen(eq=False)
class Linear:
    """x @ weight + bias: (inputs, outputs) and (outputs,)."""

    weight: Numbers
    bias: Numbers


@frozen(eq=False)
class Convolution:
    """Cross-correlation: weight (outputs, inputs / groups, height, width), bias (outputs,)."""

    weight: Numbers
    bias: Numbers
    stride: tuple[int, int]
    padding: Sides
    groups: int


@frozen(eq=False)
class Affine:
    """scale x + shift, of each channel of (channels, height, width), of each value of flat rows: (), or (channels,)."""

    scale: Numbers
    shift: Numbers


@frozen
class Activate:
    """An activation of every value, by its name."""

    name: str


@frozen
class Pad:
    """Zeros around each channel: padding of what follows where that has one, else a layer by itself."""

    sides: Sides


@frozen
class Flatten:
    """The same values as one row, channels first."""


@frozen(eq=False)
class Whole:
    """A step that is a layer as it is: pooling, normalisation."""

    layer: Layer


@frozen(eq=False)
class Sum:
    """Two ways from one place, added."""

    body: tuple[Step, ...]
    shortcut: tuple[Step, ...]


Step = Linear | Convolution | Affine | Activate | Pad | Flatten | Whole | Sum


@frozen(eq=False)
class Path:
    """The steps from a graph's input to one of its values, each behind the one before it.

    shape   of a row there, None where the graph does not say
    length  steps from the input
    size    steps in all, those inside of sums too
    depth   how deep sums lie in sums
    """

    before: Path | None
    step: Step | None
    shape: Shape | None
    length: int = 0
    size: int = 0
    depth: int = 0

    def then(self, step: Step, shape: Shape | None, size: int = 1, depth: int = 0) -> Path:
        """The path that goes one step on, to rows of `shape`."""
        return Path(self, step, shape, self.length + 1, self.size + size, max(self.depth, depth))

    @property
    def root(self) -> Path:
        """The input."""
        path = self
        while path.before is not None:
            path = path.before
        return path

    def steps(self, start: Path | None = None) -> tuple[Step, ...]:
        """The steps from `start`, a path that this one goes on from, or from the input."""
        found: list[Step] = []
        path = self
        while path.before is not None and path is not start:
            found.append(path.step)  # type: ignore[arg-type]  # a path with one before it has a step
            path = path.before
        return tuple(reversed(found))


def parting(one: Path, other: Path) -> Path | None:
    """The last place that both paths come through, None if they have no input in common."""
    while one is not other:
        if one.length < other.length:
            one, other = other, one
        if one.before is None:
            return None
        one = one.before
    return one


def as_numbers(values: Any) -> Numbers:
    """`values` as float64."""
    return np.asarray(values, np.float64)
