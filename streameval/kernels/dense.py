"""Dense float32 layers on a tile: rows in the lanes, inputs in one fixed order.

A tile is float32 [neuron][row], TILE_ROWS rows side by side, so that a vector holds one value of sixteen rows
and ragged widths waste nothing. Every sum starts at the bias and adds its inputs in order, one fma each.
"""

from __future__ import annotations

from streameval.kernels.blocks import make_dense_block
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, wide_registers
from streameval.kernels.lanes import splat_f32, store

# Outputs whose sums are in registers at once, for 2 vectors of rows (24 of 32 registers) or, where a vector
# takes two registers, for 1 (12 of 16). A layer uses the size that pads it least.
BLOCKS = (12, 10, 8, 4) if wide_registers() else (6, 5, 4, 1)
_A, _B, _C, _D = BLOCKS
_WHOLE_TILE = wide_registers()

_tile_a, _tile_b, _tile_c, _tile_d = (make_dense_block(2, outputs) for outputs in BLOCKS)
_lane_a, _lane_b, _lane_c, _lane_d = (make_dense_block(1, outputs) for outputs in BLOCKS)


@device
def fill_bias(biases, start, outputs, sums, to):
    """sums[j, :] = biases[start + j] for j < outputs, all rows of the tile."""
    for j in range(outputs):
        value = splat_f32(biases[start + j])
        for r in range(0, TILE_ROWS, 16):
            store(sums, to + j * TILE_ROWS + r, value)


@device
def add_dense(rows, at, inputs, weights, start, outputs, block, sums, to, vectors, early, step):
    """sums[j, r] += sum_k rows[k, r] weights[k, j] for `vectors` * 16 rows; `outputs` a multiple of `block`.

    weights are packed block by block: [outputs / block][inputs][block]. Meanwhile the memory from address `early` on
    is asked for, `step` bytes for each input of each block: see `ahead`.
    """
    if _WHOLE_TILE and vectors == 2:
        for j in range(0, outputs, block):
            place = to + j * TILE_ROWS
            if block == _A:
                _tile_a(
                    rows,
                    at,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            elif block == _B:
                _tile_b(
                    rows,
                    at,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            elif block == _C:
                _tile_c(
                    rows,
                    at,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            else:
                _tile_d(
                    rows,
                    at,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
        return
    for j in range(0, outputs, block):
        for r in range(0, 16 * vectors, 16):
            place = to + j * TILE_ROWS + r
            if block == _A:
                _lane_a(
                    rows,
                    at + r,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            elif block == _B:
                _lane_b(
                    rows,
                    at + r,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            elif block == _C:
                _lane_c(
                    rows,
                    at + r,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
            else:
                _lane_d(
                    rows,
                    at + r,
                    TILE_ROWS,
                    inputs,
                    weights,
                    start + j * inputs,
                    sums,
                    place,
                    early + j // block * inputs * step,
                    step,
                )
