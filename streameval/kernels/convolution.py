"""Convolutions on a tile, in the order of their sums: rows in the lanes, a window's inputs by a list of offsets.

Every sum starts at the bias and adds channel by channel, row by row of the window, one fma each. Nothing is blocked for
caches: a window's values serve 8 to 12 outputs from registers, for two vectors of rows.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.compiling import device
from streameval.kernels.dense import MOST_VECTORS
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.host import TILE_ROWS, wide_registers
from streameval.kernels.images import HEIGHT, PLANES, REST, T_PLANE, T_ROW, WIDTH
from streameval.kernels.lanes import broadcast, emit_fma, load_f32, store
from streameval.kernels.pooling import larger
from streameval.kernels.program import SOURCE, TARGET, TEMPORARY, Operation

# Outputs whose sums are in registers at once, as in `dense`; a layer uses the size that pads it least.
CONV_BLOCKS = (12, 10, 8, 6, 4) if wide_registers() else (6, 5, 4)

# The columns after those of an image: numbers in a window, where the list of their offsets is, how far windows are
# apart, outputs of a group (a multiple of the block), how far apart groups are in source and target; numbers' places;
# where the first window begins, from the first value of the source on.
(
    TAPS, LIST, STEP_X, STEP_Y, PADDED, BLOCK, GROUPS, S_GROUP, T_GROUP, WEIGHTS, BIASES, FLOOR, START,
) = range(REST, REST + 13)  # fmt: skip

_I64 = ir.IntType(64)
_F32X16 = ir.VectorType(ir.FloatType(), 16)


@device
def _run(step, net, rows, space, tile):
    """target[o, y, x] = max(floor, bias[o] + sum_k source[window(y, x)[k]] weights[k, o])"""
    taps, block, padded = step[TAPS], step[BLOCK], step[PADDED]
    vectors = (tile.count + 15) // 16
    at_once = min(vectors, MOST_VECTORS)
    floor = net.weights[step[FLOOR]]
    for group in range(step[GROUPS]):
        source = step[SOURCE] + step[START] + group * step[S_GROUP]
        target = step[TARGET] + group * step[T_GROUP]
        for y in range(step[HEIGHT]):
            for j in range(0, padded, block):
                number = group * padded + j
                for r in range(0, 16 * vectors, 16 * at_once):
                    convolve_row(
                        (at_once, block),
                        (space.floats, source + y * step[STEP_Y] + r),
                        (net.inputs, step[LIST], taps),
                        (net.weights, step[WEIGHTS] + number * taps),
                        (net.weights, step[BIASES] + number),
                        (space.floats, target + j * step[T_PLANE] + y * step[T_ROW] + r),
                        (step[WIDTH], step[STEP_X], step[T_PLANE]),
                        floor,
                    )
    return 0


@device
def _run_pooled(step, net, rows, space, tile):
    """target[o, y, x] = the largest of four such sums: two lines of a block lie in the cache until they are one."""
    floats, taps, block, width = space.floats, step[TAPS], step[BLOCK], step[WIDTH]
    vectors = (tile.count + 15) // 16
    at_once = min(vectors, MOST_VECTORS)
    floor = net.weights[step[FLOOR]]
    line = 2 * width * TILE_ROWS
    source = step[SOURCE] + step[START]
    for y in range(step[HEIGHT]):
        for j in range(0, step[PADDED], block):
            for i in range(2):
                for r in range(0, 16 * vectors, 16 * at_once):
                    convolve_row(
                        (at_once, block),
                        (floats, source + (2 * y + i) * step[STEP_Y] + r),
                        (net.inputs, step[LIST], taps),
                        (net.weights, step[WEIGHTS] + j * taps),
                        (net.weights, step[BIASES] + j),
                        (floats, step[TEMPORARY] + i * line + r),
                        (2 * width, step[STEP_X], 2 * line),
                        floor,
                    )
            for k in range(min(block, step[PLANES] - j)):
                lines = step[TEMPORARY] + k * 2 * line
                to = step[TARGET] + (j + k) * step[T_PLANE] + y * step[T_ROW]
                for x in range(width):
                    for r in range(0, 16 * vectors, 16):
                        at = lines + 2 * x * TILE_ROWS + r
                        upper = larger(load_f32(floats, at), load_f32(floats, at + TILE_ROWS))
                        lower = larger(load_f32(floats, at + line), load_f32(floats, at + line + TILE_ROWS))
                        store(floats, to + x * TILE_ROWS + r, larger(upper, lower))
    return 0


CONV = Operation("conv", _run)
# For one group. The columns PLANES, HEIGHT and WIDTH are those of what is written.
CONV_POOL = Operation("conv_pool", _run_pooled)


@intrinsic
def convolve_row(
    typing: Any,
    size: Any,
    rows: Any,
    inputs: Any,
    weights: Any,
    biases: Any,
    out: Any,
    steps: Any,
    floor: Any,
) -> Any:
    """A row of places of one block of outputs: all sums of a place in registers from the bias to the last input.

        out[j plane + x TILE_ROWS + r] = max(floor, biases[j] + sum_k rows[x step + inputs[k] + r] * weights[k, j])

    size: (vectors, outputs), up to MOST_VECTORS of 16 rows and one of CONV_BLOCKS · rows, weights, biases, out:
    (float32 array, offset), weights [k][outputs] · inputs: (int32 array, offset, count) · steps: (places, step, plane)
    floor: float32, 0 or minus infinity; NaN is kept
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        row, list_, weight, bias, to = (
            place_pointer(context, b, kinds[k], arguments[k]) for k in range(1, 6)
        )
        count = integer_item(context, b, kinds[2], arguments[2], 2)
        vectors, outputs = (integer_item(context, b, kinds[0], arguments[0], k) for k in range(2))
        places, step, plane = (integer_item(context, b, kinds[6], arguments[6], k) for k in range(3))
        least = broadcast(b, arguments[7], _F32X16)

        def add(v: int, n: int, at: ir.Value, k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            row_k = b.gep(at, [b.zext(b.load(b.gep(list_, [k])), _I64)])
            weight_k = b.gep(weight, [b.mul(k, _I64(n))])
            x = [emit_load(b, b.gep(row_k, [_I64(16 * i)]), _F32X16, 4) for i in range(v)]
            sums = []
            for j in range(n):
                w = broadcast(b, b.load(b.gep(weight_k, [_I64(j)])), _F32X16)
                sums += [emit_fma(b, x[i], w, carried[j * v + i]) for i in range(v)]
            return sums

        def place(v: int, n: int, x: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            at, out_x = b.gep(row, [b.mul(x, step)]), b.gep(to, [b.mul(x, _I64(TILE_ROWS))])
            start = [
                broadcast(b, b.load(b.gep(bias, [_I64(j)])), _F32X16) for j in range(n) for _ in range(v)
            ]
            sums = emit_loop(b, count, start, functools.partial(add, v, n, at))
            for j in range(n):
                out_j = b.gep(out_x, [b.mul(plane, _I64(j))])
                for i in range(v):
                    total = sums[j * v + i]
                    kept = b.select(b.fcmp_ordered("<", total, least), least, total)
                    emit_store(b, kept, b.gep(out_j, [_I64(16 * i)]), 4)
            return carried

        def case(v: int, n: int) -> None:
            emit_loop(b, places, [], functools.partial(place, v, n))

        sizes = [(v, n) for v in range(1, MOST_VECTORS + 1) for n in CONV_BLOCKS]
        key = b.add(b.mul(vectors, _I64(64)), outputs)
        emit_switch(b, key, {64 * v + n: functools.partial(case, v, n) for v, n in sizes})
        return context.get_dummy_value()

    return types.void(size, rows, inputs, weights, biases, out, steps, types.float32), emit
