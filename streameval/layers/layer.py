"""What a layer is to the rest of the package: a value that knows its shapes, numbers, formula and kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from streameval.kernels.packing import Builder, Slot

Shape = tuple[int, ...]


class Layer(Protocol):
    """One step from values of a row to values of that row. Frozen; nothing of it is compiled before it is packed.

    kind       its name in `LAYERS`
    inputs     how many values it takes, None if that is not settled by itself
    signature  what it computes besides its numbers, one line: part of a network's content hash
    """

    kind: ClassVar[str]

    @property
    def inputs(self) -> int | None: ...
    @property
    def signature(self) -> str: ...

    def arrays(self) -> Mapping[str, NDArray[np.float32]]:
        """Its numbers by name, in the order in which they are hashed."""

    def shape(self, inputs: Shape) -> Shape:
        """The shape of its outputs, given that of its inputs. Raises ModelError, with the cure, if they do not fit."""

    def multiply_adds(self, inputs: Shape) -> int:
        """Products it takes for a row."""

    def reference(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Its outputs (n, *shape) for inputs (n, *shape), in float64 by NumPy."""

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """Add its steps to a kernel's program; say where its outputs are. Imports Numba's parts inside."""
