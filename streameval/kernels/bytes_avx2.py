"""Integer sums of byte rows by AVX2: sixteen products of 16-bit numbers, added in pairs, in one instruction.

Pixels are widened to 16 bits, weights are two 12-bit digits. One row at a time; groups of four pixels that are
zero are left out. See `byte_rows`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, DIGITS, FEATURES, LANES, SUMS, least_padding, word_at
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

BASE, PLANES = 4096, 2
MOST_PIXELS = 2**31 // (255 * 2048) - 4
# Registers of sums: with the pixels and a product they are the 16 there are.
REGISTERS = (13, 8, 4)

_I16, _I32, _I64 = (ir.IntType(bits) for bits in (16, 32, 64))
_I32X8 = ir.VectorType(_I32, 8)
_I16X16 = ir.VectorType(_I16, 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    groups, lanes, block = step[FEATURES] // 4, step[LANES], step[BLOCK]
    values, ints = rows.values, space.ints
    for i in range(tile.count):
        a = rows.offsets[tile.first + i]
        listed = 0
        for g in range(groups):
            ints[listed] = g
            listed += word_at(values, a + 4 * g) != 0
        to = step[SUMS] + i * lanes
        for j in range(0, lanes, block):
            planes = (net.planes, step[DIGITS] + 2 * j, 4 * lanes)
            word_block(block // 8, (values, a), (ints, 0, listed), planes, (ints, to + j))
    return 0


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(8 * registers for registers in REGISTERS), PLANES * outputs)


def working(groups: int) -> tuple[int, int]:
    """Room for a list of groups, twice: there is one list at a time."""
    return groups + 1, groups + 1


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int16]:
    """(groups * 4, PLANES * outputs) as [group][pair of pixels][lane][2], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int16)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 2, 2, lanes).transpose(0, 1, 3, 2)).ravel()


@intrinsic
def word_block(typing: Any, registers: Any, row: Any, groups: Any, planes: Any, sums: Any) -> Any:
    """Write the int32 sums of groups of four pixels, times 12-bit weights, for one row: exact.

        sums[l] = sum_i sum_(q < 4) row[4 groups[i] + q] * planes[groups[i], q, l]

    registers: one of REGISTERS; 8 lanes each · row: (uint8 array, offset) · groups: (int32 array, offset, count) ·
    planes: (int16 array, offset, stride of a group): pixels 0, 1 of lane l at 2 l, pixels 2, 3 half a stride further ·
    sums: (int32 array, offset). `vpmaddwd` multiplies sixteen and adds pairs.
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        pixels, list_, weights, out = (place_pointer(context, b, kinds[k], arguments[k]) for k in range(1, 5))
        words = b.bitcast(pixels, _I32.as_pointer())
        count, stride = (integer_item(context, b, kinds[k], arguments[k], 2) for k in (2, 3))
        half_stride = b.lshr(stride, _I64(1))
        add_pairs = llvm_function(b, "llvm.x86.avx2.pmadd.wd", _I32X8, [_I16X16, _I16X16])

        def body(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            group = b.zext(b.load(b.gep(list_, [i])), _I64)
            word = emit_load(b, b.gep(words, [group]), _I32, 1)
            place = b.gep(weights, [b.mul(group, stride)])
            for half in range(2):
                two = b.and_(b.lshr(word, _I32(16 * half)), _I32(0xFFFF))
                spread = b.or_(b.and_(two, _I32(0xFF)), b.shl(b.lshr(two, _I32(8)), _I32(16)))
                pair = b.bitcast(broadcast(b, spread, _I32X8), _I16X16)
                at = b.gep(place, [b.mul(half_stride, _I64(half))])
                weight = [emit_load(b, b.gep(at, [_I64(16 * k)]), _I16X16, 2) for k in range(len(carried))]
                carried = [
                    b.add(total, b.call(add_pairs, [pair, w]))
                    for total, w in zip(carried, weight, strict=True)
                ]
            return carried

        def case(size: int) -> None:
            totals = emit_loop(b, count, [ir.Constant(_I32X8, None)] * size, body)
            for k, total in enumerate(totals):
                emit_store(b, total, b.gep(out, [_I64(8 * k)]), 4)

        emit_switch(b, arguments[0], {size: functools.partial(case, size) for size in REGISTERS})
        return context.get_dummy_value()

    return types.void(types.int64, row, groups, planes, sums), emit
