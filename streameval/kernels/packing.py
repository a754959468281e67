"""A network as the flat arrays that the kernels read: packed once, used for every tile.

Knows layouts. The rules here depend on the weights and on the host's tile sizes only, never on the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.errors import ModelError
from streameval.kernels.activations import ACTIVATE, activation_operation
from streameval.kernels.dense import DENSE
from streameval.kernels.dense_bytes import DENSE_BYTES
from streameval.kernels.dense_rows import DENSE_ROWS, SPOIL
from streameval.kernels.host import LANES, TILE_ROWS
from streameval.kernels.names import ACTIVATIONS, PARAMETERS
from streameval.kernels.program import COLUMNS, FEATURES, OUTPUTS, SOURCE, Operation

# The operations that every network's kernel has, by the dtype of its rows: most networks need one of two kernels.
USUAL = {
    "uint8": (DENSE_BYTES, DENSE, ACTIVATE),
    "float32": (DENSE_ROWS, DENSE, ACTIVATE, SPOIL),
}
# What a thread may need for the values of a tile: past it a file's network is a mistake, or an attack.
_MOST_BYTES = 2**30
_LINE = 16  # float32 in a cache line
# Every array in a pool begins at a multiple of so many numbers: of a cache line, whatever their size.
_APART = 64


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Packed:
    """A network ready for the kernels, for rows of one dtype and scale; the arrays are those of `program.Net`.

    floats, ints  numbers of float32 and int32 that a thread works in
    """

    features: int
    outputs: int
    dtype: str
    operations: tuple[Operation, ...]
    program: NDArray[np.int64]
    weights: NDArray[np.float32]
    factors: NDArray[np.float64]
    inputs: NDArray[np.int32]
    planes: NDArray[Any]
    floats: int
    ints: int

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.program, self.weights, self.factors, self.inputs, self.planes)
        return sum(array.nbytes for array in arrays)


class PackableLayer(Protocol):
    """What packing asks of a layer, see `layers.layer`."""

    @property
    def inputs(self) -> int | None: ...

    def pack(self, builder: Builder, source: Slot) -> Slot:
        """Add the layer's steps, and say where its outputs are."""


def pack(
    layers: Sequence[PackableLayer], *, dtype: Any, scale: float, shape: tuple[int, ...] | None = None
) -> Packed:
    """Pack a network for uint8 or float32 rows whose stored values are multiplied by `scale`.

    shape: of a row; default (inputs of the first layer,)
    """
    builder = Builder(shape or (layers[0].inputs or 0,), np.dtype(dtype).name, scale)
    slot = builder.rows
    for layer in layers:
        slot = layer.pack(builder, slot)
    return builder.finish(slot)


@dataclass(slots=True, eq=False)
class Slot:
    """Values of a tile, [neuron][row]: what one step writes and others read.

    An image, (channels, height, width), may have a border of zeros, as wide as the step that wants most of it asks for:
    it grows until the network is finished, so that distances between rows are known only then.

    padded  neurons, or planes of an image, that have a place where a step writes more than there are
    extra   neurons that have a place after all others
    border  (top, left, bottom, right)
    flat    some step reads all values one after another: there can be no border
    of      the slot whose place this is, under another shape
    """

    shape: tuple[int, ...]
    padded: int = 0
    extra: int = 0
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    flat: bool = False
    of: Slot | None = None

    @property
    def neurons(self) -> int:
        """How many values it has for a row."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """How many neurons have a place."""
        planes = max(self.image[0], self.padded)
        return planes * self.plane() // TILE_ROWS + self.extra

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width); of another shape (values, 1, 1)."""
        return self.shape if len(self.shape) == 3 else (self.neurons, 1, 1)

    def row(self) -> int:
        """How far apart rows of an image are, in float32."""
        return (self.border[1] + self.image[2] + self.border[3]) * TILE_ROWS

    def plane(self) -> int:
        """How far apart channels are, in float32."""
        return (self.border[0] + self.image[1] + self.border[2]) * self.row()

    def first(self) -> int:
        """Where the first value is, in float32 from the slot's place on."""
        return self.border[0] * self.row() + self.border[1] * TILE_ROWS


# What a step is given: a slot becomes the offset of its first value, a function is asked when all borders are known.
Cell = Slot | int | Callable[[], int]


@dataclass(slots=True, eq=False)
class _Pool:
    """Arrays of one dtype, put end to end."""

    dtype: Any
    parts: list[NDArray[Any]] = field(default_factory=list)
    length: int = 0

    def add(self, array: NDArray[Any]) -> int:
        """Where the array begins."""
        start = self.length
        padded = np.zeros(-(-array.size // _APART) * _APART, self.dtype)
        padded[: array.size] = array.ravel()
        self.parts.append(padded)
        self.length += padded.size
        return start

    def joined(self) -> NDArray[Any]:
        return aligned(np.concatenate([np.empty(0, self.dtype), *self.parts]))


class Builder:
    """A network on its way to being packed: layers add steps to it, one after another.

    dtype, scale  of the rows; stored values are multiplied by scale
    rows          the source of a layer that reads the data itself
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, scale: float) -> None:
        self.dtype, self.scale = dtype, scale
        self.rows = Slot(shape)
        self._lanes: Slot | None = None
        self._planes = _Pool(np.int8)
        self._weights, self._factors, self._inputs = (
            _Pool(kind) for kind in (np.float32, np.float64, np.int32)
        )
        self._steps: list[tuple[Operation, tuple[Cell, ...]]] = []
        self._marks: Slot | None = None
        self._ints = _LINE

    def slot(self, *shape: int, padded: int = 0) -> Slot:
        """A place for values of this shape, with room for `padded` neurons or planes if a step writes more."""
        return Slot(shape, padded)

    def image(self, source: Slot, *border: int) -> Slot:
        """The source as an image that has at least this border: (top, left, bottom, right)."""
        slot = self._loaded(source)
        wanted = border or (0, 0, 0, 0)
        if slot.flat and any(wanted):
            slot = self.copy(slot)
        most = tuple(max(pair) for pair in zip(slot.border, wanted, strict=True))
        slot.border = most  # type: ignore[assignment]
        return slot

    def flat(self, source: Slot, *shape: int) -> Slot:
        """The source as values that lie one after another, of its own or another shape."""
        slot = self._loaded(source)
        if any(slot.border):
            slot = self.copy(slot)
        slot.flat = True
        return Slot(shape, flat=True, of=slot.of or slot) if shape and shape != slot.shape else slot

    def _loaded(self, source: Slot) -> Slot:
        """The source, or, if that is the data itself, a place to which a first step brings it."""
        if source is not self.rows:
            return source
        if self._lanes is None:
            from streameval.kernels.images import LOAD

            slot = self._lanes = Slot(source.shape, extra=LANES)
            channels, height, width = slot.image if len(slot.shape) == 3 else (1, 1, slot.neurons)
            marks = (self.marks(),) if self.dtype == "float32" else ()
            self.add(
                LOAD[self.dtype], self.rows, slot,
                0, 0, slot.row, slot.plane, channels, height, width,
                self.factors(np.array([self.scale])), *marks,
            )  # fmt: skip
        return self._lanes

    def copy(self, source: Slot) -> Slot:
        """The same values at another place."""
        from streameval.kernels.images import COPY

        slot = self._loaded(source)
        target = Slot(slot.shape)
        return self.add(COPY, slot, target, *between(slot, target))

    def marks(self) -> Slot:
        """A place for one number a row: 0, or NaN for a row that has no meaning. It spoils the outputs."""
        self._marks = self.slot(1)
        return self._marks

    def add(
        self,
        operation: Operation,
        source: Slot,
        target: Slot,
        *numbers: Cell,
        temporary: Slot | None = None,
    ) -> Slot:
        """Add a step, and return its target. A slot among its `numbers` becomes an offset."""
        self._steps.append((operation, (source, target, temporary or self.rows, *numbers)))
        return target

    def integers(self, shared: int, own: int) -> int:
        """Where a step keeps so many int32 of its own, after the first `shared` ones that all steps work in."""
        start = max(self._ints, shared)
        self._ints = start + -(-own // _LINE) * _LINE
        return start

    def weights(self, array: NDArray[np.float32]) -> int:
        """Keep float32 numbers; return their offset in `Net.weights`."""
        return self._weights.add(array)

    def factors(self, array: NDArray[np.float64]) -> int:
        """Keep float64 numbers; return their offset in `Net.factors`."""
        return self._factors.add(array)

    def planes(self, array: NDArray[Any]) -> int:
        """Keep digits of weights, all int8 or all int16; return their offset in `Net.planes`."""
        self._planes.dtype = array.dtype
        return self._planes.add(array)

    def offsets(self, floats: NDArray[np.int64]) -> int:
        """Keep a list of places in a source, in float32 from its first window on; return its offset in `Net.inputs`."""
        return self._inputs.add(floats.astype(np.int32))

    def finish(self, result: Slot) -> Packed:
        """The packed network whose outputs are in this slot."""
        outputs = self.flat(result)
        if self._marks is not None:
            self.add(SPOIL, self._marks, outputs)
        self._steps = self._with_borders()
        operations = self._operations()
        offsets, floats = plan([*(cells for _, cells in self._steps), (outputs,)], self.rows)
        if 4 * floats > _MOST_BYTES:
            raise ModelError(
                f"the values of {TILE_ROWS} rows between the layers take {4 * floats / 2**20:,.0f} MiB for "
                f"each thread; expected at most {_MOST_BYTES // 2**20:,}. Let another compute an ONNX file of it: "
                "--with onnxruntime."
            )
        program = np.zeros((len(self._steps) + 1, COLUMNS), np.int64)
        for row, (operation, cells) in zip(program, self._steps, strict=False):
            row[0] = operations.index(operation)
            row[1 : 1 + len(cells)] = [
                (offsets.get(cell.of or cell, 0) + cell.first())
                if isinstance(cell, Slot)
                else cell
                if isinstance(cell, int | np.integer)
                else cell()
                for cell in cells
            ]
        program[-1, SOURCE], program[-1, OUTPUTS], program[-1, FEATURES] = (
            offsets[outputs.of or outputs], outputs.neurons, self.rows.neurons,
        )  # fmt: skip
        return Packed(
            features=self.rows.neurons,
            outputs=outputs.neurons,
            dtype=self.dtype,
            operations=operations,
            program=program,
            weights=self._weights.joined(),
            factors=self._factors.joined(),
            inputs=self._inputs.joined(),
            planes=self._planes.joined(),
            floats=floats,
            ints=self._ints,
        )

    def _with_borders(self) -> list[tuple[Operation, tuple[Cell, ...]]]:
        """The steps, and before the first that writes an image with a border one that writes the border."""
        from streameval.kernels.images import BORDER

        steps: list[tuple[Operation, tuple[Cell, ...]]] = []
        done: set[Slot] = set()
        for operation, cells in self._steps:
            target = cells[1]
            if isinstance(target, Slot) and target not in done and any(target.border):
                done.add(target)
                numbers = (*between(target, target), *target.border)
                steps.append((BORDER, (self.rows, target, self.rows, *numbers)))
            steps.append((operation, cells))
        return steps

    def _operations(self) -> tuple[Operation, ...]:
        """The usual ones, if they do; else just those that are used, each activation by itself."""
        usual = USUAL[self.dtype]
        if {operation for operation, _ in self._steps} <= {*usual}:
            return usual
        self._steps = [self._single(operation, cells) for operation, cells in self._steps]
        return tuple(
            sorted({operation for operation, _ in self._steps}, key=lambda operation: operation.name)
        )

    def _single(self, operation: Operation, cells: tuple[Cell, ...]) -> tuple[Operation, tuple[Cell, ...]]:
        if operation is not ACTIVATE:
            return operation, cells
        *places, neurons, number = cells
        name = ACTIVATIONS[int(number)]  # type: ignore[arg-type]
        parameter = self.weights(np.array([PARAMETERS.get(name, 0.0)], np.float32))
        return activation_operation(name), (*places, neurons, parameter, 1, 0, 1, 0)


def between(source: Slot, target: Slot) -> tuple[Cell, ...]:
    """The numbers that a step on images begins with, see `images`."""
    return (source.row, source.plane, target.row, target.plane, *target.image)


def plan(steps: Sequence[Sequence[Cell]], rows: Slot | None = None) -> tuple[dict[Slot, int], int]:
    """Offsets of slots in one array, in float32, and its length: no two overlap that are needed at the same time.

    `rows` has no place: it stands for the data, and for nothing.

    A slot is needed from the first step that names it to the last. The largest takes the lowest offset that is free
    all that time, then the next largest.
    """
    spans: dict[Slot, tuple[int, int]] = {}
    for number, cells in enumerate(steps):
        for cell in cells:
            if isinstance(cell, Slot) and cell is not rows:
                own = cell.of or cell
                spans[own] = spans.get(own, (number, 0))[0], number
    ends: dict[Slot, tuple[int, int]] = {}
    for slot in sorted(spans, key=lambda one: (-one.size, spans[one])):
        begin = 0
        for other_begin, other_end in sorted(
            ends[other] for other in ends if _overlap(spans[slot], spans[other])
        ):
            if begin + slot.size * TILE_ROWS <= other_begin:
                break
            begin = max(begin, other_end)
        ends[slot] = begin, begin + slot.size * TILE_ROWS
    return {slot: begin for slot, (begin, _) in ends.items()}, max(end for _, end in ends.values())


def _overlap(one: tuple[int, int], two: tuple[int, int]) -> bool:
    return one[0] <= two[1] and two[0] <= one[1]


def aligned(flat: NDArray[Any]) -> NDArray[Any]:
    """A copy that starts at a multiple of 64 bytes, as whole cache lines and tile registers want it."""
    room = np.empty(flat.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    out = room[start : start + flat.nbytes].view(flat.dtype)
    out[:] = flat
    return out
