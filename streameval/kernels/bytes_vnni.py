"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

Two rows at a time share the weights that are loaded; groups of four pixels that are zero in both are left out. First
the other groups of each pair are listed, with their pixels; then one block of lanes after another is summed for all
pairs, so that its weights stay in the first-level cache. See `byte_rows`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, FEATURES, LANES, STRIDE, SUMS, least_padding
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
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import broadcast, llvm_function

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows, twice: sums of two groups are kept apart, so that none waits for the one
# before. With the pixels and the weights they fill the 32 there are.
REGISTERS = (6, 5, 4, 2)
_APART = 2
# What lists may take beside the weights in the caches: the pairs of long rows are done a few at a time.
_LIST_BYTES = 2**17
# A pair has three lists: numbers of groups, pixels of the one row and of the other.
_LISTS = 3
_PAIRS = TILE_ROWS // 2

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_I32X16 = ir.VectorType(_I32, 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    groups, lanes, block, room = step[FEATURES] // 4, step[LANES], step[BLOCK], step[STRIDE]
    values, offsets, ints = rows.values, rows.offsets, space.ints
    # In `ints`: how many are listed of each pair, -1 for all; all groups; the lists of each pair.
    every, lists, apart = _PAIRS, _PAIRS + room, _LISTS * room
    rows_at_once = 2 * _together(room)
    everything = False
    for first in range(0, tile.count, rows_at_once):
        last = min(first + rows_at_once, tile.count)
        for i in range(first, last, 2):
            pair = (i - first) // 2
            a = (values, offsets[tile.first + i])
            b = (values, offsets[tile.first + min(i + 1, tile.count - 1)])
            place = (ints, lists + pair * apart, room)
            if everything:
                ints[pair] = -1
                copy_pixels(a, b, groups, place)
                continue
            listed = list_groups(a, b, groups, 4 * block, place)
            ints[pair] = listed
            # Where hardly anything is zero the list costs more than it saves: take all, to the end of this tile.
            everything = 8 * listed > 7 * groups
            if everything:
                for g in range(room):
                    ints[every + g] = 4 * block * g if g < groups else 0
        for j in range(0, lanes, block):
            planes = (net.planes, 4 * groups * j)
            for i in range(first, last, 2):
                pair = (i - first) // 2
                at = lists + pair * apart
                numbers, count = (at, np.int64(ints[pair])) if ints[pair] >= 0 else (every, groups)
                sums = (ints, step[SUMS] + i * lanes + j, lanes)
                byte_block(block // 16, (ints, numbers, count), (ints, at + room, room), planes, sums)
    return 0


def working(groups: int) -> tuple[int, int]:
    """Room for a list, and how many int32 the lists of a tile take."""
    room = -(-(groups + 16) // 16) * 16
    return room, _PAIRS + (1 + _LISTS * together(room)) * room


def together(room: int) -> int:
    """How many pairs are listed at once, whose lists take so much room."""
    return max(1, min(_PAIRS, _LIST_BYTES // (4 * _LISTS * room)))


_together = device(together)


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
def byte_block(typing: Any, registers: Any, groups: Any, pixels: Any, planes: Any, sums: Any) -> Any:
    """Write the int32 sums of groups of four pixels, times int8 weights, for two rows: exact.

        sums_a[l] = sum_i sum_(q < 4) bytes(pixels_a[i])[q] * planes[groups[i], l, q]            (and b likewise)

    registers: one of REGISTERS; 16 lanes each · groups: (int32 array, offset, count), where in the planes each begins ·
    pixels: (int32 array, offset of row a, offset from there to row b), four uint8 each; the lists end with a zero, so
    that they may be read two at a time · planes: (int8 array, offset), 4 * l + q in a group · sums: (int32 array,
    offset of row a, offset from there to row b). Needs AVX512-VNNI: `vpdpbusd` multiplies and adds four at once. Two
    rows share every load of weights.
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        list_, pixel, weights, out = (place_pointer(context, b, kinds[k], arguments[k]) for k in range(1, 5))
        count, between, apart = (integer_item(context, b, kinds[k], arguments[k], 2) for k in (1, 2, 4))
        rows = (pixel, b.gep(pixel, [between]))
        dot = llvm_function(b, "llvm.x86.avx512.vpdpbusd.512", _I32X16, [_I32X16] * 3)
        steps = b.udiv(b.add(count, _I64(_APART - 1)), _I64(_APART))

        def body(size: int, step: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            result: list[ir.Value] = []
            for part in range(_APART):
                i = b.add(b.mul(step, _I64(_APART)), _I64(part))
                at = b.gep(weights, [b.zext(b.load(b.gep(list_, [i])), _I64)])
                pair = [broadcast(b, b.load(b.gep(row, [i])), _I32X16) for row in rows]
                for k in range(size):
                    w = emit_load(b, b.gep(at, [_I64(64 * k)]), _I32X16, 4)
                    result += [b.call(dot, [carried[len(result) + row], pair[row], w]) for row in range(2)]
            return result

        def case(size: int) -> None:
            zero = ir.Constant(_I32X16, None)
            first = [zero] * (2 * size * _APART)
            totals = emit_loop(b, steps, first, functools.partial(body, size), unroll=False)
            for row, place in enumerate((out, b.gep(out, [apart]))):
                for k in range(size):
                    parts = totals[2 * k + row :: 2 * size]
                    emit_store(b, functools.reduce(b.add, parts), b.gep(place, [_I64(16 * k)]), 4)

        emit_switch(b, arguments[0], {size: functools.partial(case, size) for size in REGISTERS})
        return context.get_dummy_value()

    return types.void(types.int64, groups, pixels, planes, sums), emit


@intrinsic
def copy_pixels(typing: Any, a: Any, b: Any, count: Any, lists: Any) -> Any:
    """Write the pixels of both rows, groups of four, as `list_groups` writes those of some groups."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, count_ = signature.args, arguments[2]
        out = place_pointer(context, builder, kinds[3], arguments[3])
        room = integer_item(context, builder, kinds[3], arguments[3], 2)
        for row in range(2):
            source = place_pointer(context, builder, kinds[row], arguments[row])
            target = builder.gep(out, [builder.mul(room, _I64(row + 1))])
            emit_store(builder, _I32(0), builder.gep(target, [count_]), 4)
            cgutils.raw_memcpy(builder, target, source, builder.mul(count_, _I64(4)), 1)
        return context.get_dummy_value()

    return types.void(a, b, types.int64, lists), emit


@intrinsic
def list_groups(typing: Any, a: Any, b: Any, count: Any, stride: Any, lists: Any) -> Any:
    """List the groups of four pixels that are not all zero in both rows: their numbers and pixels. Return how many.

    rows a and b: (uint8 array, offset), `count` groups each · lists: (int32 array, offset of the numbers, offset from
    there to the pixels of row a, and from there to those of row b), with room for count + 16 in each; after the last
    one comes a zero. Numbers are written times `stride`. Compare, compress, count the bits: sixteen groups a step.
    Needs AVX-512.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, count_, stride_ = signature.args, arguments[2], builder.trunc(arguments[3], _I32)
        rows = [
            builder.bitcast(place_pointer(context, builder, kinds[k], arguments[k]), _I32.as_pointer())
            for k in range(2)
        ]
        numbers = place_pointer(context, builder, kinds[4], arguments[4])
        room = integer_item(context, builder, kinds[4], arguments[4], 2)
        lists_ = [builder.gep(numbers, [builder.mul(room, _I64(k))]) for k in range(_LISTS)]
        mask_type = ir.VectorType(_I1, 16)
        compress = llvm_function(
            builder, "llvm.x86.avx512.mask.compress.v16i32", _I32X16, [_I32X16, _I32X16, mask_type]
        )
        numbers_ = ir.Constant(_I32X16, [_I32(k) for k in range(16)])
        steps = builder.mul(numbers_, broadcast(builder, stride_, _I32X16))
        zero = ir.Constant(_I32X16, None)

        def add(first: ir.Value, seen: list[ir.Value], listed: ir.Value) -> ir.Value:
            start = builder.mul(builder.trunc(first, _I32), stride_)
            number = builder.add(broadcast(builder, start, _I32X16), steps)
            hit = builder.icmp_unsigned("!=", builder.or_(*seen), zero)
            for list_, values in zip(lists_, (number, *seen), strict=True):
                packed = builder.call(compress, [values, zero, hit])
                emit_store(builder, packed, builder.gep(list_, [listed]), 4)
            bits = builder.zext(builder.bitcast(hit, ir.IntType(16)), _I64)
            more = builder.call(llvm_function(builder, "llvm.ctpop.i64", _I64, [_I64]), [bits])
            return builder.add(listed, more)

        def whole(step: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            first = builder.mul(step, _I64(16))
            seen = [emit_load(builder, builder.gep(row, [first]), _I32X16, 1) for row in rows]
            return [add(first, seen, carried[0])]

        def rest(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            left = broadcast(builder, builder.trunc(builder.and_(count_, _I64(15)), _I32), _I32X16)
            inside = builder.icmp_signed("<", numbers_, left)
            first = builder.and_(count_, _I64(-16))
            seen = [emit_masked_load(builder, builder.gep(row, [first]), _I32X16, inside) for row in rows]
            return [add(first, seen, carried[0])]

        # Of rows that are not in the cache yet a masked load takes five times as long as a whole one on Zen 5.
        listed = emit_loop(builder, builder.lshr(count_, _I64(4)), [_I64(0)], whole)
        some = builder.zext(builder.icmp_unsigned("!=", builder.and_(count_, _I64(15)), _I64(0)), _I64)
        listed = emit_loop(builder, some, listed, rest)[0]
        for list_ in lists_:
            emit_store(builder, _I32(0), builder.gep(list_, [listed]), 4)
        return listed

    n = types.int64
    return n(a, b, n, n, lists), emit
