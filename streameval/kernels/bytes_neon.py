"""Integer sums of byte rows by NEON's dot product: sixteen products of bytes, added in fours, in one instruction.

`udot` knows no signs, so 128 is added to every digit, and 128 times the sum of a row's pixels taken off its sums: one
lane more, whose weights are ones, has that. See `bytes_pairs` for how rows are taken, `byte_rows` for what comes out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels import bytes_pairs
from streameval.kernels.byte_rows import LANES, OUTPUTS, SUMS, least_padding, word_at
from streameval.kernels.bytes_pairs import make_sum_tile, working
from streameval.kernels.compiling import device
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.lanes import broadcast, llvm_function

__all__ = ["BASE", "MOST_PIXELS", "PLANES", "layout", "pack", "sum_tile", "working"]

BASE, PLANES = 256, 3
# Sums of what 128 was added to may leave 32 bits; what remains when it is taken off does not.
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows: with the pixels and the weights they are at most the 32 there are.
REGISTERS = (10, 8, 4)
_REGISTER_LANES, _OFFSET = 4, 128

_I32, _I64 = (ir.IntType(bits) for bits in (32, 64))
_I32X4, _I8X16 = ir.VectorType(_I32, 4), ir.VectorType(ir.IntType(8), 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`."""
    asked = _sum_tile(step, net, rows, space, tile)
    lanes, ints = step[LANES], space.ints
    for i in range(tile.count):
        at = step[SUMS] + i * lanes
        total = _OFFSET * ints[at + PLANES * step[OUTPUTS]]
        for lane in range(lanes):
            ints[at + lane] -= total
    return asked


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    sizes = tuple(_REGISTER_LANES * registers for registers in REGISTERS)
    return least_padding(sizes, PLANES * outputs + 1)


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """See `bytes_pairs.pack`: digits plus 128, then a lane of ones."""
    ones = np.ones((len(digits), 1), np.int32)
    unsigned = np.concatenate([digits + _OFFSET, ones], axis=1).astype(np.uint8)
    return bytes_pairs.pack(unsigned.view(np.int8).astype(np.int32), lanes, block)


@device
def list_groups(a, b, count, groups):
    """See `bytes_pairs`."""
    (values, first), (_, second), (numbers, at) = a, b, groups
    listed = 0
    for g in range(count):
        numbers[at + listed] = g
        listed += (word_at(values, first + 4 * g) | word_at(values, second + 4 * g)) != 0
    return listed


@intrinsic
def byte_block(typing: Any, registers: Any, rows: Any, groups: Any, planes: Any, sums: Any) -> Any:
    """See `bytes_pairs`; registers: one of REGISTERS, modulo 2**32. Needs the extension `dotprod`."""

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        rows = [
            b.inttoptr(integer_item(context, b, kinds[1], arguments[1], k), _I32.as_pointer())
            for k in range(2)
        ]
        list_, weights, out = (place_pointer(context, b, kinds[k], arguments[k]) for k in (2, 3, 4))
        count, stride, apart = (integer_item(context, b, kinds[k], arguments[k], 2) for k in (2, 3, 4))
        dot = llvm_function(b, "llvm.aarch64.neon.udot.v4i32.v16i8", _I32X4, [_I32X4, _I8X16, _I8X16])

        def add(size: int, i: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            """Add one group to the sums of a and b by turns."""
            group = b.zext(b.load(b.gep(list_, [i])), _I64)
            at = b.gep(weights, [b.mul(group, stride)])
            words = [broadcast(b, emit_load(b, b.gep(row, [group]), _I32, 1), _I32X4) for row in rows]
            pixels = [b.bitcast(word, _I8X16) for word in words]
            w = [emit_load(b, b.gep(at, [_I64(16 * k)]), _I8X16, 1) for k in range(size)]
            return [b.call(dot, [total, w[k // 2], pixels[k % 2]]) for k, total in enumerate(sums)]

        def case(size: int) -> None:
            zeros = [ir.Constant(_I32X4, None)] * (2 * size)
            totals = emit_loop(b, count, zeros, functools.partial(add, size), unroll=False)
            for row, place in enumerate((out, b.gep(out, [apart]))):
                for k, total in enumerate(totals[row::2]):
                    emit_store(b, total, b.gep(place, [_I64(_REGISTER_LANES * k)]), 4)

        emit_switch(b, arguments[0], {size: functools.partial(case, size) for size in REGISTERS})
        return context.get_dummy_value()

    return types.void(types.int64, rows, groups, planes, sums), emit


_sum_tile = make_sum_tile(list_groups, byte_block, _REGISTER_LANES)
