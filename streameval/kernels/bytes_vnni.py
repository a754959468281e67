"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

Two rows at a time share the weights that are loaded; groups of four pixels that are zero in both are left out.
See `byte_rows`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, FEATURES, LANES, SUMS, least_padding
from streameval.kernels.compiling import device
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_masked_load,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.lanes import broadcast, element_pointer, llvm_function

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows: with the pixels and the weights they fill the 32 there are.
REGISTERS = (12, 10, 8, 4)

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_I32X16 = ir.VectorType(_I32, 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    groups, lanes, block = step[FEATURES] // 4, step[LANES], step[BLOCK]
    values, offsets, ints = rows.values, rows.offsets, space.ints
    everything = False
    for i in range(0, tile.count, 2):
        a = (values, offsets[tile.first + i])
        b = (values, offsets[tile.first + min(i + 1, tile.count - 1)])
        listed = groups
        if not everything:
            listed = list_groups(a, b, groups, ints)
            # Where hardly anything is zero the list costs more than it saves: take all, to the end of this tile.
            everything = 8 * listed > 7 * groups
            if everything:
                listed = groups
                for g in range(groups):
                    ints[g] = g
        to = step[SUMS] + i * lanes
        for j in range(0, lanes, block):
            sums = (ints, to + j, lanes)
            byte_block(block // 16, a, b, (ints, 0, listed), (net.planes, 4 * j, 4 * lanes), sums)
    return 0


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(16 * registers for registers in REGISTERS), PLANES * outputs)


def pack(digits: NDArray[np.int32], lanes: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [group][lane][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int8)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 4, lanes).transpose(0, 2, 1)).ravel()


@intrinsic
def byte_block(typing: Any, registers: Any, a: Any, b: Any, groups: Any, planes: Any, sums: Any) -> Any:
    """Write the int32 sums of groups of four pixels, times int8 weights, for two rows: exact.

        sums_a[l] = sum_i sum_(q < 4) a[4 groups[i] + q] * planes[groups[i], l, q]        (and b likewise)

    registers: one of REGISTERS; 16 lanes each · rows a and b: (uint8 array, offset) · groups: (int32 array, offset,
    count) · planes: (int8 array, offset, stride of a group), 4 * l + q in a group · sums: (int32 array, offset of
    row a, offset from there to row b). Needs AVX512-VNNI: `vpdpbusd` multiplies and adds four at once. Two rows share
    every load of weights.
    """

    def emit(context: Any, b_: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        rows = [
            b_.bitcast(place_pointer(context, b_, kinds[k], arguments[k]), _I32.as_pointer()) for k in (1, 2)
        ]
        list_, weights, out = (place_pointer(context, b_, kinds[k], arguments[k]) for k in (3, 4, 5))
        count, stride, apart = (integer_item(context, b_, kinds[k], arguments[k], 2) for k in (3, 4, 5))
        dot = llvm_function(b_, "llvm.x86.avx512.vpdpbusd.512", _I32X16, [_I32X16] * 3)

        def body(size: int, i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            group = b_.zext(b_.load(b_.gep(list_, [i])), _I64)
            pixels = [broadcast(b_, emit_load(b_, b_.gep(row, [group]), _I32, 1), _I32X16) for row in rows]
            at = b_.gep(weights, [b_.mul(group, stride)])
            result = []
            for k in range(size):
                w = emit_load(b_, b_.gep(at, [_I64(64 * k)]), _I32X16, 4)
                result += [b_.call(dot, [carried[2 * k + row], pixels[row], w]) for row in range(2)]
            return result

        def case(size: int) -> None:
            zero = ir.Constant(_I32X16, None)
            totals = emit_loop(b_, count, [zero] * (2 * size), functools.partial(body, size))
            for row, place in enumerate((out, b_.gep(out, [apart]))):
                for k in range(size):
                    emit_store(b_, totals[2 * k + row], b_.gep(place, [_I64(16 * k)]), 4)

        emit_switch(b_, arguments[0], {size: functools.partial(case, size) for size in REGISTERS})
        return context.get_dummy_value()

    return types.void(types.int64, a, b, groups, planes, sums), emit


@intrinsic
def list_groups(typing: Any, a: Any, b: Any, count: Any, groups: Any) -> Any:
    """Write the numbers of the groups of four pixels that are not all zero in both rows; return how many.

    rows a and b: (uint8 array, offset), `count` groups each · groups int32, room for count + 16.
    Compare, compress, count the bits: sixteen groups a step. Needs AVX-512.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        _, _, count_, groups_ = arguments
        rows = [
            builder.bitcast(
                place_pointer(context, builder, signature.args[k], arguments[k]), _I32.as_pointer()
            )
            for k in range(2)
        ]
        out = element_pointer(context, builder, signature.args[3], groups_, _I64(0))
        mask_type = ir.VectorType(_I1, 16)
        compress = llvm_function(
            builder, "llvm.x86.avx512.mask.compress.v16i32", _I32X16, [_I32X16, _I32X16, mask_type]
        )
        steps = ir.Constant(_I32X16, [_I32(k) for k in range(16)])
        zero = ir.Constant(_I32X16, None)

        def body(step: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first = builder.mul(step, _I64(16))
            number = builder.add(broadcast(builder, builder.trunc(first, _I32), _I32X16), steps)
            inside = builder.icmp_signed(
                "<", number, broadcast(builder, builder.trunc(count_, _I32), _I32X16)
            )
            seen = [emit_masked_load(builder, builder.gep(row, [first]), _I32X16, inside) for row in rows]
            hit = builder.icmp_unsigned("!=", builder.or_(*seen), zero)
            packed = builder.call(compress, [number, zero, hit])
            emit_store(builder, packed, builder.gep(out, [carried[0]]), 4)
            bits = builder.zext(builder.bitcast(hit, ir.IntType(16)), _I64)
            listed = builder.call(llvm_function(builder, "llvm.ctpop.i64", _I64, [_I64]), [bits])
            return [builder.add(carried[0], listed)]

        steps_needed = builder.lshr(builder.add(count_, _I64(15)), _I64(4))
        return emit_loop(builder, steps_needed, [_I64(0)], body)[0]

    n = types.int64
    return n(a, b, n, groups), emit
