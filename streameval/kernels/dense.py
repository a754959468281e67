"""Dense float32 layers on a tile: rows in the lanes, inputs in one fixed order.

A tile is float32 [neuron][row], TILE_ROWS rows side by side, so that a vector holds one value of sixteen rows
and ragged widths waste nothing. Every sum starts at the bias and adds its inputs in order, one fma each.
"""

from __future__ import annotations

from streameval.kernels.blocks import make_dense_block
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, wide_registers
from streameval.kernels.lanes import splat_f32, store

# Outputs whose sums are in registers at once, for 3 vectors of rows (24 of 32 registers) or, where a vector
# takes two registers, for 1 (12 of 16). A layer uses the size that pads it least.
BLOCKS = (8, 5, 4) if wide_registers() else (6, 5, 4)
_LARGE, _MEDIUM, _SMALL = BLOCKS
_WHOLE_TILE = wide_registers()

_tile_large, _tile_medium, _tile_small = (make_dense_block(3, outputs) for outputs in BLOCKS)
_lane_large, _lane_medium, _lane_small = (make_dense_block(1, outputs) for outputs in BLOCKS)


@device
def fill_bias(biases, start, outputs, sums, to):
    """sums[j, :] = biases[start + j] for j < outputs, all rows of the tile."""
    for j in range(outputs):
        value = splat_f32(biases[start + j])
        for r in range(0, TILE_ROWS, 16):
            store(sums, to + j * TILE_ROWS + r, value)


@device
def add_dense(rows, at, inputs, weights, start, outputs, block, sums, to, vectors):
    """sums[j, r] += sum_k rows[k, r] weights[k, j] for `vectors` * 16 rows; `outputs` a multiple of `block`.

    weights are packed block by block: [outputs / block][inputs][block].
    """
    if _WHOLE_TILE and vectors == 3:
        for j in range(0, outputs, block):
            place = to + j * TILE_ROWS
            if block == _LARGE:
                _tile_large(rows, at, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
            elif block == _MEDIUM:
                _tile_medium(rows, at, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
            else:
                _tile_small(rows, at, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
        return
    for j in range(0, outputs, block):
        for r in range(0, 16 * vectors, 16):
            place = to + j * TILE_ROWS + r
            if block == _LARGE:
                _lane_large(rows, at + r, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
            elif block == _MEDIUM:
                _lane_medium(rows, at + r, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
            else:
                _lane_small(rows, at + r, TILE_ROWS, inputs, weights, start + j * inputs, sums, place)
