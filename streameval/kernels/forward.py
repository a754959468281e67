"""The forward pass and the loss of many rows: one compiled function for each kind of rows, operations and loss.

Threads take tiles of rows from a counter; a tile goes through the whole program while it is in the cache, and no
(rows x features) float matrix ever exists. A row's results depend on that row alone.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from streameval.kernels.compiling import kernel, shared
from streameval.kernels.drawing import LABEL_BYTES, LABELS, gather, summarise
from streameval.kernels.host import TILE_ROWS, batch_tiles
from streameval.kernels.lanes import pointer
from streameval.kernels.prefetch import tile_after
from streameval.kernels.program import (
    FEATURES,
    OUTPUTS,
    SOURCE,
    Net,
    Operation,
    Outputs,
    Results,
    Rows,
    Space,
    Targets,
    Tile,
    link,
)
from streameval.kernels.rows import align_stack, next_number

_BATCH_ROWS = batch_tiles() * TILE_ROWS
# File systems take names of 255 bytes, of which Numba wants some.
_LONGEST_NAME = 150


@functools.cache
def make_forward(
    dtype: str, operations: tuple[Operation, ...], loss: str, write_losses: Any
) -> Callable[..., None]:
    """The kernel for rows of this dtype, programs of these operations, and a loss: its name and its tile function."""
    element = np.dtype(dtype).type
    run = link(operations)
    name = _name(dtype, operations, loss, write_losses)

    def run_tiles(net, rows, space, targets, results, counter):
        """What one thread does: take tiles, some at a time, until none is left."""
        align_stack()
        n, last = rows.offsets.shape[0], net.program.shape[0] - 1
        features = net.program[last, FEATURES]
        outputs = Outputs(space.floats, net.program[last, SOURCE], net.program[last, OUTPUTS])
        start = next_number(counter) * _BATCH_ROWS
        while start < n:
            # The number is taken early, so that the rows can be asked for early.
            next_start, stop = next_number(counter) * _BATCH_ROWS, min(start + _BATCH_ROWS, n)
            for first in range(start, stop, TILE_ROWS):
                before, count = first - start, min(TILE_ROWS, stop - first)
                early, size = tile_after(
                    rows.address, rows.offsets, next_start + before, first, features, rows.values.itemsize
                )
                for i in range(last):
                    tile = Tile(first, count, early, size, before, stop - first - count)
                    asked = run(net.program[i], net, rows, space, tile)
                    early, size = early + asked, size - asked
                tile = Tile(first, count, early, size, before, stop - first - count)
                write_losses(outputs, targets, tile, space.doubles, results)
            start = next_start

    # Two kernels from the disk may have been compiled in two processes that counted their functions alike: without a
    # name of its own, one of them would run the other's tiles.
    run_tiles.__qualname__ = f"run_tiles {name}"
    run_tiles = shared(run_tiles)

    @kernel(parallel=True, name=name)
    def forward(
        address, size, offsets, labels, rows_of_targets, parameters, program, weights, factors, inputs, planes,
        floats, doubles, ints, places, counter, losses, predicted, probabilities, spec, bases, drawn, summary,
    ):  # fmt: skip
        # A mini-batch, where one is asked for.
        if spec.shape[0]:
            stored = numba.carray(pointer(np.int64(spec[LABELS])), np.int64(spec[LABEL_BYTES]), np.uint8)
            if not gather(spec, bases, stored, drawn, offsets, labels):
                return
        # An address, since a read-only array would cost 10 microseconds a call to find its type.
        rows = Rows(numba.carray(pointer(address), size, element), address, offsets)
        net = Net(program, weights, factors, inputs, planes)
        targets = Targets(labels, rows_of_targets, parameters)
        results = Results(losses, predicted, probabilities)
        if floats.shape[0] == 1:
            space = Space(floats[0], doubles[0], ints[0], places[0])
            run_tiles(net, rows, space, targets, results, counter)
            if spec.shape[0]:
                summarise(losses, labels, predicted, summary)
            return
        for thread in numba.prange(floats.shape[0]):
            mine = Space(floats[thread], doubles[thread], ints[thread], places[thread])
            run_tiles(net, rows, mine, targets, results, counter)

    return forward


def _name(dtype: str, operations: tuple[Operation, ...], loss: str, write_losses: Any) -> str:
    """The name on disk; none where a part comes from outside the package, whose version then says nothing about it."""
    functions = [*(operation.run for operation in operations), write_losses]
    if not all(function.py_func.__module__.startswith("streameval.") for function in functions):
        return ""
    parts = "-".join(operation.name for operation in operations)
    if len(parts) > _LONGEST_NAME:
        parts = hashlib.sha256(parts.encode()).hexdigest()
    return f"forward-{dtype}-{parts}-{loss}"
