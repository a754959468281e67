"""What a network is to the kernels: a program, one int64 row an operation, run on one tile of rows after another.

A tile's values lie in one float32 array, [neuron][row], TILE_ROWS rows side by side; the rows of the program say
where (`packing` plans it). The last row is no operation: it says where the outputs are, and how many.

To add an operation: a device function `run(step, net, rows, space, tile)` in an `Operation`. It returns how many of
the `tile.size` bytes at address `tile.early` it has asked for (see `prefetch`), mostly 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from streameval.kernels.compiling import device

# The first columns of a row: the operation's number in `link`, and where values come from, go to, and may lie
# meanwhile. Columns from OWN on belong to the operation; in the last row they are OUTPUTS and FEATURES.
CODE, SOURCE, TARGET, TEMPORARY, OWN = range(5)
OUTPUTS, FEATURES = OWN, OWN + 1
COLUMNS = 32


class Operation(NamedTuple):
    """What a step of a program does: the name under which it is kept on disk, and its device function."""

    name: str
    run: Any


class Net(NamedTuple):
    """A packed network: program (steps, COLUMNS) int64, and the numbers that its steps refer to by offsets.

    weights float32 · factors float64 · inputs int32, lists of element offsets · planes int8 or int16, see `byte_rows`
    """

    program: Any
    weights: Any
    factors: Any
    inputs: Any
    planes: Any


class Rows(NamedTuple):
    """The data: values uint8 or float32, which lie at `address`, and where each row begins, offsets (n,) int64."""

    values: Any
    address: Any
    offsets: Any


class Space(NamedTuple):
    """Where one thread works: floats, planned by `packing`, doubles for the loss, ints and places for first layers."""

    floats: Any
    doubles: Any
    ints: Any
    places: Any


class Tile(NamedTuple):
    """Rows first to first + count - 1, and the `size` bytes at address `early` that are needed next.

    A thread takes several tiles at a time: before this one come `before` of their rows, and after it `after`. What a
    step does for all of them it does with the first.
    """

    first: Any
    count: Any
    early: Any
    size: Any
    before: Any
    after: Any


class Outputs(NamedTuple):
    """A network's outputs of a tile: output k of its row i is values[at + k * TILE_ROWS + i], k < count, float32."""

    values: Any
    at: Any
    count: Any


class Targets(NamedTuple):
    """labels (n,) int64, or rows (n, outputs) float64, the other one empty; parameters float64, the loss's own."""

    labels: Any
    rows: Any
    parameters: Any


class Results(NamedTuple):
    """losses (n,) float64, predicted (n,) int64, probabilities (n, outputs) float32 or (0, 0) if not wanted."""

    losses: Any
    predicted: Any
    probabilities: Any


def link(operations: Sequence[Operation]) -> Any:
    """One device function that runs the operation whose number in `operations` a step's CODE is."""
    run = _nothing
    for code in reversed(range(len(operations))):
        run = _either(code, operations[code].run, run)
    return run


def _either(code: int, run: Any, rest: Any) -> Any:
    @device
    def one_or_another(step, net, rows, space, tile):
        if step[CODE] == code:
            return run(step, net, rows, space, tile)
        return rest(step, net, rows, space, tile)

    return one_or_another


@device
def _nothing(step, net, rows, space, tile):
    return 0
