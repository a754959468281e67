"""The constants of an ONNX graph, evaluated exactly as ONNX says, or refused.

Knows initializers, Constant nodes, and the operators that may stand between them and where they are used. Does not
know what the constants are for.

Cast: https://onnx.ai/onnx/operators/onnx__Cast.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.models.onnx_attributes import attributes
from streameval.models.onnx_tensors import TYPES, number, tensor

# A constant may pass through so many nodes.
MAX_STEPS: Final = 16


class Constants:
    """The constants of a graph by name: looked at only where they are used, and accounted for each time.

    spend   called with how many numbers a use takes
    """

    def __init__(self, graph: Any, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self._made: dict[str, Any] = {}
        self._taken = {""}
        for proto in graph.initializer:
            self.claim(str(proto.name))
            self._made[str(proto.name)] = proto

    def __contains__(self, name: str) -> bool:
        return name in self._made

    def claim(self, name: str) -> None:
        """Note that `name` is given to a value. Raises ModelError when it is empty, or another value's."""
        if name in self._taken:
            raise ModelError(
                f"two values are named {name[:60]!r}, or one has no name: expected one name each."
            )
        self._taken.add(name)

    def remember(self, node: Any) -> None:
        """Keep what a constant's node yields; it is computed where it is used. Its output is claimed."""
        made = attributes(node)
        if node.op_type == "Constant":
            if len(made) != 1 or len(node.input):
                raise ModelError("a Constant that is neither a tensor nor a number.")
            self._made[str(node.output[0])] = made.popitem()[1]
            return
        perm = made.get("perm", [1, 0])
        if len(node.input) != 1 or node.input[0] not in self._made or perm != [1, 0]:
            raise ModelError(
                f"{node.op_type} of something that is neither a constant matrix nor on the line."
            )
        self._made[str(node.output[0])] = node

    def value(self, name: str) -> NDArray[Any]:
        """Return a constant's numbers. Raises ModelError for what cannot be evaluated."""
        nodes: list[Any] = []
        made = self._made.get(name)
        while hasattr(made, "op_type"):
            nodes.append(made)
            if len(nodes) > MAX_STEPS:
                raise ModelError(f"a constant behind more than {MAX_STEPS} steps.")
            made = self._made.get(str(nodes[-1].input[0]))
        if made is None:
            raise ModelError(f"{name[:60]!r} is computed in a branch, expected a constant.")
        array = tensor(made) if hasattr(made, "dims") else number(made)
        self._spend(array.size)
        for node in reversed(nodes):
            array = EVALUATED[node.op_type](array, attributes(node))
        return array


def _transposed(array: NDArray[Any], made: dict[str, Any]) -> NDArray[Any]:
    if "perm" in made and array.ndim != 2:
        raise ModelError(f"Transpose of {array.ndim} dimensions by {made['perm']}.")
    return array.T


def _cast(array: NDArray[Any], made: dict[str, Any]) -> NDArray[Any]:
    """Return the numbers in another type: rounded to the nearest, to integers towards zero, to true unless zero."""
    target = made.get("to", 0)
    if target not in TYPES:
        raise ModelError(f"Cast of a constant to ONNX type {target}, expected one of {sorted(TYPES)}.")
    to = np.dtype(TYPES[target][0])
    if to.kind in "iu":
        whole = np.trunc(array) if array.dtype.kind == "f" else array
        limits = np.iinfo(to)
        # As Python's integers: a float64 cannot tell 2**63 - 1 from 2**63.
        inside = np.isfinite(array).all() and all(
            limits.min <= int(end) <= limits.max for end in (whole.min(initial=0), whole.max(initial=0))
        )
        if not inside:
            raise ModelError(f"Cast of constants to {to} that it cannot hold, which ONNX leaves undefined.")
    return array.astype(to)


# The operators that may stand between a constant and its use.
EVALUATED: Final[dict[str, Callable[[NDArray[Any], dict[str, Any]], NDArray[Any]]]] = {
    "Cast": _cast,
    "Identity": lambda array, made: array,
    "Transpose": _transposed,
}
