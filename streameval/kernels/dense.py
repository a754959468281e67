"""Dense float32 layers on a tile: rows in the lanes, inputs in one fixed order.

Every sum starts at the bias and adds its inputs in order, one fma each.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.compiling import device
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.host import TILE_ROWS, wide_registers
from streameval.kernels.lanes import broadcast, emit_fma
from streameval.kernels.prefetch import emit_hint, hint_step
from streameval.kernels.program import OWN, SOURCE, TARGET, Operation

# Outputs whose sums are in registers at once, for 2 vectors of rows (24 of 32 registers) or, where a vector
# takes two registers, for 1 (12 of 16). A layer uses the size that pads it least.
BLOCKS = (12, 10, 8, 4) if wide_registers() else (6, 5, 4, 1)
MOST_VECTORS = TILE_ROWS // 16 if wide_registers() else 1

# The columns of a step: inputs; outputs, a multiple of the block; where weights and biases are.
INPUTS, PADDED, BLOCK, WEIGHTS, BIASES = range(OWN, OWN + 5)

_I64 = ir.IntType(64)
_F32X16 = ir.VectorType(ir.FloatType(), 16)


@device
def _run(step, net, rows, space, tile):
    """target[j] = bias[j] + sum_k source[k] weights[k, j]"""
    inputs, outputs, block = step[INPUTS], step[PADDED], step[BLOCK]
    hints = outputs // block * inputs
    hint = hint_step(tile.size, hints)
    add_dense(
        (space.floats, step[SOURCE]),
        inputs,
        (net.weights, step[WEIGHTS]),
        (outputs, block),
        (space.floats, step[TARGET]),
        (net.weights, step[BIASES]),
        (tile.count + 15) // 16,
        (tile.early, hint),
    )
    return min(tile.size, hints * hint)


DENSE = Operation("dense", _run)


@device
def add_dense(rows, inputs, weights, outputs, sums, biases, vectors, early):
    """Add a layer, block by block, to the biases, or sums, of `vectors` * 16 rows: see `dense_block`.

    outputs: (how many, block), a multiple of the block · weights are packed block by block:
    [outputs / block][inputs][block], and each block asks for the memory after that of the one before · biases: (float32
    array, offset), or None to go on from the sums
    """
    count, block = outputs
    at_once = min(vectors, MOST_VECTORS)
    for j in range(0, count, block):
        number = j * inputs
        for r in range(0, 16 * vectors, 16 * at_once):
            dense_block(
                (at_once, block, j),
                (rows[0], rows[1] + r),
                inputs,
                (weights[0], weights[1] + number),
                (sums[0], sums[1] + j * TILE_ROWS + r),
                biases,
                (early[0] + number // block * early[1], early[1]),
            )


@intrinsic
def dense_block(
    typing: Any, size: Any, rows: Any, inputs: Any, weights: Any, sums: Any, biases: Any, early: Any
) -> Any:
    """Compute one block of a dense layer: all sums in registers from the first input to the last.

        sums[j, r] = biases[first + j] + sum_k rows[inputs[k] + r] * weights[k, j]     in the order of k, one fma each

    size: (vectors, outputs, first), up to MOST_VECTORS of 16 rows and one of BLOCKS · rows, weights, sums: (float32
    array, offset), weights [k][outputs], sums TILE_ROWS apart · inputs: how many, TILE_ROWS apart, or a list of
    element offsets (int32 array, offset, count), as a window of a convolution has; a list costs a small layer 8 % ·
    biases: (float32 array, offset), or None to begin with what the sums are · early: (address, step); for each k the
    memory at address + k * step is asked for, see `prefetch`
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, (size_, _, inputs_, _, _, biases_, early_) = signature.args, arguments
        row, weight, sum_ = (place_pointer(context, b, kinds[k], arguments[k]) for k in (1, 3, 4))
        listed = isinstance(kinds[2], types.BaseTuple)
        list_ = place_pointer(context, b, kinds[2], inputs_) if listed else None
        count = integer_item(context, b, kinds[2], inputs_, 2) if listed else inputs_
        vectors, outputs, first = (integer_item(context, b, kinds[0], size_, k) for k in range(3))
        biases_of = None if kinds[5] is types.none else place_pointer(context, b, kinds[5], biases_)
        address, step = (integer_item(context, b, kinds[6], early_, k) for k in range(2))

        def body(v: int, n: int, k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            emit_hint(b, b.add(address, b.mul(k, step)))
            at = b.zext(b.load(b.gep(list_, [k])), _I64) if listed else b.mul(k, _I64(TILE_ROWS))
            row_k = b.gep(row, [at])
            weight_k = b.gep(weight, [b.mul(k, _I64(n))])
            x = [emit_load(b, b.gep(row_k, [_I64(16 * i)]), _F32X16, 4) for i in range(v)]
            sums = []
            for j in range(n):
                w = broadcast(b, b.load(b.gep(weight_k, [_I64(j)])), _F32X16)
                sums += [emit_fma(b, x[i], w, carried[j * v + i]) for i in range(v)]
            return sums

        def case(v: int, n: int) -> None:
            places = [b.gep(sum_, [_I64(TILE_ROWS * j + 16 * i)]) for j in range(n) for i in range(v)]
            if biases_of is None:
                totals = [emit_load(b, place, _F32X16, 4) for place in places]
            else:
                biases = [
                    broadcast(b, b.load(b.gep(biases_of, [b.add(first, _I64(j))])), _F32X16) for j in range(n)
                ]
                totals = [bias for bias in biases for _ in range(v)]
            for place, total in zip(
                places, emit_loop(b, count, totals, functools.partial(body, v, n)), strict=True
            ):
                emit_store(b, total, place, 4)

        sizes = [(v, n) for v in range(1, MOST_VECTORS + 1) for n in BLOCKS]
        key = b.add(b.mul(vectors, _I64(64)), outputs)
        emit_switch(b, key, {64 * v + n: functools.partial(case, v, n) for v, n in sizes})
        return context.get_dummy_value()

    return types.void(size, rows, inputs, weights, sums, biases, early), emit
