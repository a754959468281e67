"""The first layer for float32 rows: dense, from rows that are turned into lanes a stretch of inputs at a time.

A feature that is not finite makes its row's loss NaN, whatever the weights: the mark of a row is 0, or NaN.
"""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.dense import BIASES, BLOCK, INPUTS, PADDED, WEIGHTS, add_dense
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import fma, load_f32, splat_f32, store
from streameval.kernels.program import OWN, SOURCE, TARGET, TEMPORARY, Operation
from streameval.kernels.rows import transpose_rows

# Inputs that are turned into lanes at a time: 512 x 32 rows are 64 KiB.
INPUT_BLOCK = 512

# The columns of a step: those of a dense layer, and where the marks go.
MARKS = OWN + 5


@device
def _run(step, net, rows, space, tile):
    """The sums of the layer, and marks[r] = sum_k 0 * x[r, k]: 0 for finite rows, NaN for others."""
    floats, lanes, marks = space.floats, step[TEMPORARY], step[MARKS]
    inputs, block, vectors = step[INPUTS], step[BLOCK], (tile.count + 15) // 16
    for i in range(TILE_ROWS):
        # Lanes past the last row repeat it; nobody reads what they give.
        space.places[i] = rows.offsets[tile.first + min(i, tile.count - 1)]
        floats[marks + i] = 0.0
    _fill_bias(net.weights, step[BIASES], step[PADDED], floats, step[TARGET])
    for k in range(0, inputs, INPUT_BLOCK):
        size = min(INPUT_BLOCK, inputs - k)
        for r in range(0, 16 * vectors, 16):
            for c in range(0, size, 16):
                out = (floats, lanes + c * TILE_ROWS + r)
                transpose_rows(rows.values, (space.places, r), k + c, inputs, out)
            mark = load_f32(floats, marks + r)
            for c in range(size):
                mark = fma(load_f32(floats, lanes + c * TILE_ROWS + r), 0.0, mark)
            store(floats, marks + r, mark)
        for j in range(0, step[PADDED], block):
            add_dense(
                (floats, lanes),
                size,
                (net.weights, step[WEIGHTS] + j * inputs + k * block),
                (block, block),
                (floats, step[TARGET] + j * TILE_ROWS),
                None,
                vectors,
                (tile.early, 0),
            )
    return 0


DENSE_ROWS = Operation("dense_rows", _run)


@device
def _fill_bias(biases, start, outputs, sums, to):
    """sums[j, :] = biases[start + j] for j < outputs, all rows of the tile."""
    for j in range(outputs):
        value = splat_f32(biases[start + j])
        for r in range(0, TILE_ROWS, 16):
            store(sums, to + j * TILE_ROWS + r, value)


@device
def _spoil(step, net, rows, space, tile):
    """target[0] += source[0]: a mark that is NaN makes the first output NaN."""
    for r in range(0, TILE_ROWS, 16):
        at = step[TARGET] + r
        store(space.floats, at, load_f32(space.floats, at) + load_f32(space.floats, step[SOURCE] + r))
    return 0


SPOIL = Operation("spoil", _spoil)
