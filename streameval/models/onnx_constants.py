"""The constants of an ONNX graph: initializers and Constant nodes, and one name for each value.

Knows where they are kept, and that each use costs. Does not know what operators do with them, nor what they are for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from streameval.models.onnx_attributes import attributes
from streameval.models.onnx_refusals import UnfitError
from streameval.models.onnx_tensors import number


class Constants:
    """The constants of a graph by name: looked at only where they are used, and accounted for each time.

    read    gives the numbers of a TensorProto
    spend   called with how many numbers a use takes
    """

    def __init__(self, graph: Any, read: Callable[[Any], NDArray[Any]], spend: Callable[[int], None]) -> None:
        self._read, self._spend = read, spend
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
            raise UnfitError(
                f"two values are named {name[:60]!r}, or one has no name: expected one name each."
            )
        self._taken.add(name)

    def remember(self, node: Any) -> None:
        """Keep what a Constant node yields. Its output is claimed."""
        made = attributes(node)
        if len(made) != 1 or len(node.input):
            raise UnfitError("a Constant that is neither a tensor nor a number.")
        self._made[str(node.output[0])] = made.popitem()[1]

    def value(self, name: str) -> NDArray[Any]:
        """Return a constant's numbers. Raises ModelError for a name that is none's."""
        made = self._made.get(name)
        if made is None:
            raise UnfitError(f"{name[:60]!r} is no constant, and is not computed before it is used.")
        array = self._read(made) if hasattr(made, "dims") else number(made)
        self._spend(array.size)
        return array
