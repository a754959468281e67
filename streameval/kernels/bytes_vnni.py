"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

See `bytes_pairs` for how rows are taken, and `byte_rows` for what comes out.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.byte_rows import least_padding
from streameval.kernels.bytes_pairs import make_sum_tile, pack, working
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_masked_load,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.lanes import broadcast, llvm_function

__all__ = ["BASE", "MOST_PIXELS", "PLANES", "layout", "pack", "sum_tile", "working"]

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows, twice: sums of two groups are kept apart, so that none waits for the one
# before. With the pixels and the weights they fill the 32 there are.
REGISTERS = (6, 5, 4, 2)
_APART = 2

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_I32X16 = ir.VectorType(_I32, 16)


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(16 * registers for registers in REGISTERS), PLANES * outputs)


@intrinsic
def byte_block(typing: Any, registers: Any, rows: Any, groups: Any, planes: Any, sums: Any) -> Any:
    """See `bytes_pairs`; registers: one of REGISTERS. `vpdpbusd` multiplies and adds: needs AVX512-VNNI."""

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
    """See `bytes_pairs`. One that is zero in both follows where it makes the number even, and there is one.

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


sum_tile = make_sum_tile(list_groups, byte_block, 16)
