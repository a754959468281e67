"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

See `bytes_pairs` for how rows are taken, and `byte_rows` for what comes out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.byte_rows import least_padding
from streameval.kernels.bytes_pairs import make_byte_block, make_sum_tile, pack, working
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_masked_load,
    emit_store,
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

_I1, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 16, 32, 64))
_I32X16 = ir.VectorType(_I32, 16)


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(16 * registers for registers in REGISTERS), PLANES * outputs)


def _emit_dot(b: ir.IRBuilder, totals: ir.Value, weights: ir.Value, pixels: ir.Value) -> ir.Value:
    """`vpdpbusd`, which takes unsigned bytes first."""
    dot = llvm_function(b, "llvm.x86.avx512.vpdpbusd.512", _I32X16, [_I32X16] * 3)
    return b.call(dot, [totals, pixels, weights])


@intrinsic
def list_groups(typing: Any, a: Any, b: Any, count: Any, lists: Any) -> Any:
    """See `bytes_pairs`. Compare, compress, count the bits: sixteen groups a step. Needs AVX-512."""

    def emit(context: Any, b_: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, count_ = signature.args, arguments[2]
        rows = [
            b_.bitcast(place_pointer(context, b_, kinds[k], arguments[k]), _I32.as_pointer())
            for k in range(2)
        ]
        start = place_pointer(context, b_, kinds[3], arguments[3])
        room = integer_item(context, b_, kinds[3], arguments[3], 2)
        places = [b_.gep(start, [b_.mul(room, _I64(k))]) for k in range(3)]
        mask = ir.VectorType(_I1, 16)
        compress = llvm_function(
            b_, "llvm.x86.avx512.mask.compress.v16i32", _I32X16, [_I32X16, _I32X16, mask]
        )
        population = llvm_function(b_, "llvm.ctpop.i16", _I16, [_I16])
        numbers, zero = ir.Constant(_I32X16, [_I32(k) for k in range(16)]), ir.Constant(_I32X16, None)

        def add(first: ir.Value, seen: list[ir.Value], listed: list[ir.Value]) -> list[ir.Value]:
            """List sixteen groups; listed: how many each list has."""
            in_a, in_b = (b_.icmp_unsigned("!=", one, zero) for one in seen)
            hits = (b_.and_(in_a, in_b), b_.and_(in_a, b_.not_(in_b)), b_.and_(in_b, b_.not_(in_a)))
            number = b_.add(broadcast(b_, b_.trunc(first, _I32), _I32X16), numbers)
            more = []
            for place, at, hit in zip(places, listed, hits, strict=True):
                emit_store(b_, b_.call(compress, [number, zero, hit]), b_.gep(place, [at]), 4)
                more.append(b_.add(at, b_.zext(b_.call(population, [b_.bitcast(hit, _I16)]), _I64)))
            return more

        def whole(step: ir.Value, listed: list[ir.Value]) -> list[ir.Value]:
            first = b_.mul(step, _I64(16))
            return add(first, [emit_load(b_, b_.gep(row, [first]), _I32X16, 1) for row in rows], listed)

        def rest(_: ir.Value, listed: list[ir.Value]) -> list[ir.Value]:
            first, left = b_.and_(count_, _I64(-16)), b_.trunc(b_.and_(count_, _I64(15)), _I32)
            inside = b_.icmp_signed("<", numbers, broadcast(b_, left, _I32X16))
            seen = [emit_masked_load(b_, b_.gep(row, [first]), _I32X16, inside) for row in rows]
            return add(first, seen, listed)

        # Of rows that are not in the cache yet a masked load takes five times as long as a whole one on Zen 5.
        listed = emit_loop(b_, b_.lshr(count_, _I64(4)), [_I64(0)] * 3, whole)
        some = b_.zext(b_.icmp_unsigned("!=", b_.and_(count_, _I64(15)), _I64(0)), _I64)
        listed = emit_loop(b_, some, listed, rest)
        return context.make_tuple(b_, signature.return_type, listed)

    n = types.int64
    return types.UniTuple(n, 3)(a, b, n, lists), emit


byte_block = make_byte_block(REGISTERS, _I32X16, _APART, _emit_dot)
sum_tile = make_sum_tile(list_groups, byte_block, 16, _APART)
