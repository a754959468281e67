"""The forward pass and the loss of many rows: the two functions Python calls, for uint8 and float32 rows.

Threads take tiles of rows from a counter; a tile goes through all layers while it is in the cache, and no
(rows x features) float matrix ever exists. A row's results depend on that row alone.
"""

from __future__ import annotations

import numba
import numpy as np

from streameval.kernels.activations import activate
from streameval.kernels.ahead import hint_step, tile_after
from streameval.kernels.blocks import next_number, transpose_rows
from streameval.kernels.compiling import device, kernel, shared
from streameval.kernels.dense import add_dense, fill_bias
from streameval.kernels.first_layer import first_layer_bytes
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import fma, load_f32, pointer, store
from streameval.kernels.losses import cross_entropy_tile

# The columns of the table of layers.
INPUTS, OUTPUTS, PADDED, BLOCK, ACTIVATION, WEIGHTS, BIASES = range(7)
# Inputs of a float32 layer that are turned into lanes at a time: 512 x 48 rows are 96 KiB.
INPUT_BLOCK = 512


@kernel(parallel=True)
def forward_bytes(
    address, size, offsets, labels, soft, eps, layers, weights, first, planes, first_weights, scales,
    work, doubles, ints, places, counter, loss, predicted, probabilities,
):  # fmt: skip
    """Write loss, predicted class and probabilities of the uint8 rows at `offsets`.

    address, size: where the values lie, uint8, and how many; the caller keeps them alive · offsets (n,) int64 ·
    labels (n,) int64 or soft (n, classes) float64, the other one empty · layers int64, the columns above, and
    first, planes, first_weights, scales: see `packing` · work float32, doubles float64, ints int32, places int64:
    scratch, a row for each thread · counter (1,) int64, zero · loss (n,) float64 · predicted (n,) int64 ·
    probabilities (n, classes) float32, or (0, 0) if not wanted
    """
    # An address, since a read-only array would cost 10 microseconds a call to find its type.
    values = numba.carray(pointer(address), size, np.uint8)
    if work.shape[0] == 1:
        _tiles_of_bytes(
            values, address, offsets, labels, soft, eps, layers, weights, first, planes, first_weights, scales,
            work[0], doubles[0], ints[0], places[0], counter, loss, predicted, probabilities,
        )  # fmt: skip
        return
    for thread in numba.prange(work.shape[0]):
        _tiles_of_bytes(
            values, address, offsets, labels, soft, eps, layers, weights, first, planes, first_weights, scales,
            work[thread], doubles[thread], ints[thread], places[thread], counter, loss, predicted, probabilities,
        )  # fmt: skip


@kernel(parallel=True)
def forward_floats(
    address, size, offsets, labels, soft, eps, layers, weights,
    work, doubles, places, counter, loss, predicted, probabilities,
):  # fmt: skip
    """Write loss, predicted class and probabilities of the float32 rows at `offsets`; NaN is the loss of a row
    with a feature that is not finite. Arguments as in `forward_bytes`; the values are float32.
    """
    values = numba.carray(pointer(address), size, np.float32)
    if work.shape[0] == 1:
        _tiles_of_floats(
            values, address, offsets, labels, soft, eps, layers, weights,
            work[0], doubles[0], places[0], counter, loss, predicted, probabilities,
        )  # fmt: skip
        return
    for thread in numba.prange(work.shape[0]):
        _tiles_of_floats(
            values, address, offsets, labels, soft, eps, layers, weights,
            work[thread], doubles[thread], places[thread], counter, loss, predicted, probabilities,
        )  # fmt: skip


@shared
def _tiles_of_bytes(
    values, address, offsets, labels, soft, eps, layers, weights, first, planes, first_weights, scales,
    work, doubles, ints, places, counter, loss, predicted, probabilities,
):  # fmt: skip
    """What one thread does: take tiles until none is left."""
    half, n = work.shape[0] // 2, offsets.shape[0]
    start = next_number(counter) * TILE_ROWS
    while start < n:
        # The number is taken early, so that the rows can be asked for early.
        after = next_number(counter) * TILE_ROWS
        early, size = tile_after(address, offsets, after, start, layers[0, INPUTS], 1)
        count = min(TILE_ROWS, n - start)
        asked = first_layer_bytes(
            values,
            offsets,
            start,
            count,
            first,
            planes,
            first_weights,
            scales,
            work,
            half,
            ints,
            places,
            work,
            0,
            early,
            size,
        )
        activate(work, 0, layers[0, OUTPUTS] * TILE_ROWS, layers[0, ACTIVATION])
        at = _further_layers(layers, weights, work, half, (count + 15) // 16, early + asked, size - asked)
        classes = layers[-1, OUTPUTS]
        cross_entropy_tile(
            work, at, classes, labels, soft, eps, start, count, doubles, loss, predicted, probabilities
        )
        start = after


@shared
def _tiles_of_floats(
    values, address, offsets, labels, soft, eps, layers, weights,
    work, doubles, places, counter, loss, predicted, probabilities,
):  # fmt: skip
    half, n = work.shape[0] // 2, offsets.shape[0]
    marks = half - TILE_ROWS
    start = next_number(counter) * TILE_ROWS
    while start < n:
        after = next_number(counter) * TILE_ROWS
        early, size = tile_after(address, offsets, after, start, layers[0, INPUTS], 4)
        count = min(TILE_ROWS, n - start)
        vectors = (count + 15) // 16
        for i in range(TILE_ROWS):
            # Lanes past the last row repeat it; nobody reads what they give.
            places[i] = offsets[start + min(i, count - 1)]
            work[marks + i] = 0.0
        _first_layer_floats(values, places, layers, weights, work, half, marks, vectors)
        activate(work, 0, layers[0, OUTPUTS] * TILE_ROWS, layers[0, ACTIVATION])
        at = _further_layers(layers, weights, work, half, vectors, early, size)
        for r in range(0, TILE_ROWS, 16):
            store(work, at + r, load_f32(work, at + r) + load_f32(work, marks + r))
        classes = layers[-1, OUTPUTS]
        cross_entropy_tile(
            work, at, classes, labels, soft, eps, start, count, doubles, loss, predicted, probabilities
        )
        start = after


@device
def _first_layer_floats(values, places, layers, weights, work, half, marks, vectors):
    """The sums of the first layer, and 0 in `marks` for finite rows, NaN for others: x * 0 says which."""
    inputs, block = layers[0, INPUTS], layers[0, BLOCK]
    fill_bias(weights, layers[0, BIASES], layers[0, PADDED], work, 0)
    for k in range(0, inputs, INPUT_BLOCK):
        size = min(INPUT_BLOCK, inputs - k)
        for r in range(0, 16 * vectors, 16):
            for c in range(0, size, 16):
                transpose_rows(values, places, r, k + c, inputs, work, half + c * TILE_ROWS + r, TILE_ROWS)
            mark = load_f32(work, marks + r)
            for c in range(size):
                mark = fma(load_f32(work, half + c * TILE_ROWS + r), 0.0, mark)
            store(work, marks + r, mark)
        for j in range(0, layers[0, PADDED], block):
            at = layers[0, WEIGHTS] + j * inputs + k * block
            add_dense(work, half, size, weights, at, block, block, work, j * TILE_ROWS, vectors, 0, 0)


@device
def _further_layers(layers, weights, work, half, vectors, early, size):
    """All layers after the first, to and fro between the two halves of `work`; returns where the logits are.

    The first of them asks for the `size` bytes at address `early`.
    """
    at, other = 0, half
    for i in range(1, layers.shape[0]):
        padded = layers[i, PADDED]
        fill_bias(weights, layers[i, BIASES], padded, work, other)
        add_dense(
            work,
            at,
            layers[i, INPUTS],
            weights,
            layers[i, WEIGHTS],
            padded,
            layers[i, BLOCK],
            work,
            other,
            vectors,
            early,
            hint_step(size, padded // layers[i, BLOCK] * layers[i, INPUTS]) if i == 1 else 0,
        )
        activate(work, other, other + layers[i, OUTPUTS] * TILE_ROWS, layers[i, ACTIVATION])
        at, other = other, at
    return at
