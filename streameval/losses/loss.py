"""What a loss is to the rest of the package: a value that knows its kernel, its formula and its bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Bounds = tuple[float, float]


class Loss(Protocol):
    """What a row of outputs costs, given its target. Frozen, hashable, equal when it computes the same.

    name   as reports and options say it, a row of `LOSSES`
    unit   of a row's loss, for people: "nats"
    classifies  whether outputs and targets are classes, so that rows are right or wrong

    Where it is known, `least` is what no row costs less than, `outputs` what is taken of a model that classifies
    nothing ("logits", "numbers"), `targets` the ends of what a target may be, and `check_outputs` raises for another
    number of outputs than the loss has parameters for. Of numbers, `degree` is the power with which the loss of small
    errors grows (2 unless it says otherwise), and `in_units` names the options that are in units of the target.
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    classifies: ClassVar[bool]

    @property
    def bounds(self) -> Bounds | None:
        """The smallest and largest loss that a row can have, None where there is no largest."""

    @property
    def formula(self) -> str:
        """The formula, as a report records it."""

    @property
    def detail(self) -> str:
        """What sets it apart from others of its name, for people: "with log(y + 1e-07)"."""

    @property
    def options(self) -> dict[str, Any]:
        """What was set beside eps and is in use, by the names of the constructor, for JSON that people read."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON, `name` and parameters, losing nothing; `losses.from_dict` reads it."""

    def parameters(self) -> NDArray[np.float64]:
        """What the kernel reads besides logits and targets, (k,)."""

    @property
    def kernel(self) -> str:
        """The name under which kernels with this `tile` are kept: one name, one function."""

    def tile(self) -> Callable[..., None]:
        """The kernel's part, made at the first call: tile(outputs, targets, tile, doubles, results), for
        `kernels.compiling.device`. It writes `results.losses` of the tile's rows and, where there are classes,
        `results.predicted` and the probabilities that are wanted; the arguments are the tuples of `kernels.program`,
        doubles float64 (4 * TILE_ROWS,) to work in."""

    def reference(self, logits: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
        """The losses (n,) of logits (n, outputs) and targets (n,) or (n, outputs), in float64 by NumPy."""
