"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

Two rows at a time share the weights that are loaded; groups of four pixels that are zero in both are left out. First
the other groups of each pair are listed; then one block of lanes after another is summed for all pairs, so that its
weights stay in the first-level cache. See `byte_rows`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, DIGITS, FEATURES, LANES, STRIDE, SUMS, least_padding
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
from streameval.kernels.host import TILE_ROWS, batch_tiles
from streameval.kernels.lanes import broadcast, llvm_function

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows, twice: sums of two groups are kept apart, so that none waits for the one
# before. With the pixels and the weights they fill the 32 there are.
REGISTERS = (6, 5, 4, 2)
_APART = 2
_PAIRS = batch_tiles() * TILE_ROWS // 2

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_I32X16 = ir.VectorType(_I32, 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    if tile.before > 0:
        return 0
    groups, lanes, block, room = step[FEATURES] // 4, step[LANES], step[BLOCK], step[STRIDE]
    offsets, ints = rows.offsets, space.ints
    # In `ints`: how many are listed of each pair, the list of each pair, and one of all groups.
    every = _PAIRS + _PAIRS * room
    everything = False
    count = tile.count + tile.after
    for pair in range((count + 1) // 2):
        a = offsets[tile.first + 2 * pair]
        b = offsets[tile.first + min(2 * pair + 1, count - 1)]
        if everything:
            ints[pair] = -1
            continue
        found = list_groups((rows.values, a), (rows.values, b), groups, (ints, _PAIRS + pair * room))
        ints[pair] = found
        # Where hardly anything is zero the list costs more than it saves: take all, to the end of these rows.
        everything = 8 * found > 7 * groups
        if everything:
            for g in range(groups):
                ints[every + g] = g
    for j in range(0, lanes, block):
        planes = (net.planes, step[DIGITS] + 4 * groups * j, 4 * block)
        for pair in range((count + 1) // 2):
            a = rows.address + offsets[tile.first + 2 * pair]
            b = rows.address + offsets[tile.first + min(2 * pair + 1, count - 1)]
            at, listed = (_PAIRS + pair * room, np.int64(ints[pair])) if ints[pair] >= 0 else (every, groups)
            sums = (ints, step[SUMS] + 2 * pair * lanes + j, lanes)
            byte_block(block // 16, (a, b), (ints, at, listed), planes, sums)
    return 0


def working(groups: int) -> tuple[int, int]:
    """Room for a list, and how many int32 a tile's lists take."""
    room = -(-(groups + 16) // 16) * 16
    return room, _PAIRS + (_PAIRS + 1) * room


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(16 * registers for registers in REGISTERS), PLANES * outputs)


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [lanes / block][group][block][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int8)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 4, lanes // block, block).transpose(2, 0, 3, 1)).ravel()


@intrinsic
def byte_block(typing: Any, registers: Any, rows: Any, groups: Any, planes: Any, sums: Any) -> Any:
    """Write the int32 sums of groups of four pixels, times int8 weights, for two rows: exact.

        sums_a[l] = sum_i sum_(q < 4) a[4 groups[i] + q] * planes[groups[i], l, q]            (and b likewise)

    registers: one of REGISTERS; 16 lanes each · rows: the addresses of a and b · groups: (int32 array, offset, count) ·
    planes: (int8 array, offset, stride of a group), 4 * l + q in a group · sums: (int32 array, offset of row a, offset
    from there to row b). Needs AVX512-VNNI: `vpdpbusd` multiplies and adds four at once. Two rows share every load of
    weights.
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        rows = [
            b.inttoptr(integer_item(context, b, kinds[1], arguments[1], k), _I32.as_pointer())
            for k in range(2)
        ]
        list_, weights, out = (place_pointer(context, b, kinds[k], arguments[k]) for k in (2, 3, 4))
        count, stride, apart = (integer_item(context, b, kinds[k], arguments[k], 2) for k in (2, 3, 4))
        dot = llvm_function(b, "llvm.x86.avx512.vpdpbusd.512", _I32X16, [_I32X16] * 3)
        steps, left = b.udiv(count, _I64(_APART)), b.urem(count, _I64(_APART))

        def add(size: int, i: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            """Add one group to the sums of a and b by turns."""
            group = b.zext(b.load(b.gep(list_, [i])), _I64)
            at = b.gep(weights, [b.mul(group, stride)])
            pixels = [broadcast(b, emit_load(b, b.gep(row, [group]), _I32, 1), _I32X16) for row in rows]
            w = [emit_load(b, b.gep(at, [_I64(64 * k)]), _I32X16, 4) for k in range(size)]
            return [b.call(dot, [total, pixels[k % 2], w[k // 2]]) for k, total in enumerate(sums)]

        def several(size: int, step: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first, result = b.mul(step, _I64(_APART)), []
            for part in range(_APART):
                sums = carried[part * 2 * size : (part + 1) * 2 * size]
                result += add(size, b.add(first, _I64(part)), sums)
            return result

        def one(size: int, number: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            return add(size, b.add(b.mul(steps, _I64(_APART)), number), carried)

        def case(size: int) -> None:
            zeros = [ir.Constant(_I32X16, None)] * (2 * size * _APART)
            parts = emit_loop(b, steps, zeros, functools.partial(several, size), unroll=False)
            sums = [functools.reduce(b.add, parts[k :: 2 * size]) for k in range(2 * size)]
            sums = emit_loop(b, left, sums, functools.partial(one, size), unroll=False)
            for row, place in enumerate((out, b.gep(out, [apart]))):
                for k, total in enumerate(sums[row::2]):
                    emit_store(b, total, b.gep(place, [_I64(16 * k)]), 4)

        emit_switch(b, arguments[0], {size: functools.partial(case, size) for size in REGISTERS})
        return context.get_dummy_value()

    return types.void(types.int64, rows, groups, planes, sums), emit


@intrinsic
def list_groups(typing: Any, a: Any, b: Any, count: Any, groups: Any) -> Any:
    """Write the numbers of the groups of four pixels that are not all zero in both rows; return how many.

    One that is zero in both follows, and is counted, where it makes the number even and there is one.

    rows a and b: (uint8 array, offset), `count` groups each · groups: (int32 array, offset), room for count + 16.
    Compare, compress, count the bits: sixteen groups a step. Needs AVX-512.
    """

    def emit(context: Any, b_: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, count_ = signature.args, arguments[2]
        rows = [
            b_.bitcast(place_pointer(context, b_, kinds[k], arguments[k]), _I32.as_pointer())
            for k in range(2)
        ]
        list_ = place_pointer(context, b_, kinds[3], arguments[3])
        mask = ir.VectorType(_I1, 16)
        compress = llvm_function(
            b_, "llvm.x86.avx512.mask.compress.v16i32", _I32X16, [_I32X16, _I32X16, mask]
        )
        numbers, zero = ir.Constant(_I32X16, [_I32(k) for k in range(16)]), ir.Constant(_I32X16, None)

        def bits(lanes: ir.Value) -> ir.Value:
            return b_.zext(b_.bitcast(lanes, ir.IntType(16)), _I64)

        def add(
            first: ir.Value, seen: list[ir.Value], inside: ir.Value, carried: list[ir.Value]
        ) -> list[ir.Value]:
            """List sixteen groups; carried: how many are listed, and a group that is not, -1 for none."""
            listed, free = carried
            hit = b_.icmp_unsigned("!=", b_.or_(*seen), zero)
            number = b_.add(broadcast(b_, b_.trunc(first, _I32), _I32X16), numbers)
            emit_store(b_, b_.call(compress, [number, zero, hit]), b_.gep(list_, [listed]), 4)
            more = b_.call(llvm_function(b_, "llvm.ctpop.i64", _I64, [_I64]), [bits(hit)])
            missed = b_.xor(bits(hit), inside)
            lowest = b_.call(llvm_function(b_, "llvm.cttz.i64", _I64, [_I64, _I1]), [missed, _I1(0)])
            free = b_.select(b_.icmp_unsigned("!=", missed, _I64(0)), b_.add(first, lowest), free)
            return [b_.add(listed, more), free]

        def whole(step: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first = b_.mul(step, _I64(16))
            seen = [emit_load(b_, b_.gep(row, [first]), _I32X16, 1) for row in rows]
            return add(first, seen, _I64(0xFFFF), carried)

        def rest(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first, left = b_.and_(count_, _I64(-16)), b_.trunc(b_.and_(count_, _I64(15)), _I32)
            inside = b_.icmp_signed("<", numbers, broadcast(b_, left, _I32X16))
            seen = [emit_masked_load(b_, b_.gep(row, [first]), _I32X16, inside) for row in rows]
            return add(first, seen, bits(inside), carried)

        # Of rows that are not in the cache yet a masked load takes five times as long as a whole one on Zen 5.
        done = emit_loop(b_, b_.lshr(count_, _I64(4)), [_I64(0), _I64(-1)], whole)
        some = b_.zext(b_.icmp_unsigned("!=", b_.and_(count_, _I64(15)), _I64(0)), _I64)
        listed, free = emit_loop(b_, some, done, rest)
        emit_store(b_, b_.trunc(free, _I32), b_.gep(list_, [listed]), 4)
        odd = b_.and_(b_.trunc(listed, _I1), b_.icmp_signed(">=", free, _I64(0)))
        return b_.add(listed, b_.zext(odd, _I64))

    n = types.int64
    return n(a, b, n, groups), emit
