"""One node of an ONNX graph with what its inputs stand for: rows, or numbers.

Knows how inputs and attributes are taken out of a node. Does not know what operators do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.frozen import frozen
from streameval.models.graphs.steps import Numbers
from streameval.models.graphs.stream import Stream

# Stands for the number of rows in shapes that a graph computes: no size, index or -1 has this value.
BATCH: Final = -(2**61) + 1
Value = Stream | NDArray[Any]


@frozen
class Node:
    """A node.

    kind     its operator
    inputs   rows, numbers, or None where an optional one is left out
    made     its attributes, by name
    opset    the version of the operators
    batch    rows that the graph is fixed to, 0 if to none
    notes    where to tell people something
    spend    called with how many numbers are made that the graph does not hold
    """

    kind: str
    inputs: list[Value | None]
    made: dict[str, Any]
    opset: int
    batch: int
    notes: list[str]
    spend: Callable[[int], None]

    def has(self, index: int) -> bool:
        """Whether there is an input number `index`."""
        return len(self.inputs) > index and self.inputs[index] is not None

    @property
    def rows(self) -> Stream:
        """The first input, which has to be computed from the graph's input."""
        first = self.inputs[0] if self.inputs else None
        if not isinstance(first, Stream):
            raise ModelError("expected the rows as its first input.")
        if first.softmax:
            raise ModelError("it goes on after Softmax, expected that to be the end.")
        return first

    def array(self, index: int, meaning: str) -> NDArray[Any]:
        """The input number `index`, which has to be a constant."""
        found = self.inputs[index] if len(self.inputs) > index else None
        if not isinstance(found, np.ndarray):
            raise ModelError(f"expected {meaning} as input {index}, a constant.")
        return found

    def numbers(self, index: int, meaning: str) -> Numbers:
        """The same as float64; it has to be floating point."""
        array = self.array(index, meaning)
        if array.dtype.kind != "f":
            raise ModelError(f"{meaning} of type {array.dtype}, expected floating point.")
        return array.astype(np.float64)

    def number(self, index: int, meaning: str) -> float:
        """The same, one number."""
        array = self.numbers(index, meaning)
        if array.size != 1:
            raise ModelError(f"{meaning} of shape {array.shape}, expected one number.")
        return float(array.reshape(-1)[0])

    def listed(self, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that older graphs have as the attribute `name`, newer ones as input `index`; None without them."""
        if name in self.made:
            return tuple(int(value) for value in self.made[name])
        if not self.has(index):
            return None
        array = self.array(index, name)
        if array.dtype.kind not in "iu" or array.size > 16:
            raise ModelError(
                f"{name} of type {array.dtype} and shape {array.shape}, expected a few integers."
            )
        return tuple(int(value) for value in array.reshape(-1))

    def axis(self, default: int, rank: int) -> int:
        """The attribute `axis`, counted from the front of `rank` dimensions, the rows' one included."""
        axis = int(self.made.get("axis", default))
        return axis + rank if axis < 0 else axis


Operator = Callable[[Node], Value]


def row(value: Numbers, shape: tuple[int, ...]) -> Numbers:
    """A bias as () or (outputs,)."""
    if value.size not in (1, shape[0]) or value.size != max(value.shape, default=1):
        raise ModelError(f"a constant of shape {value.shape} where {shape[0]} values per row meet it.")
    return value.reshape(()) if value.size == 1 else value.reshape(-1)
