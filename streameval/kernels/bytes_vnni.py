"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

See `bytes_pairs` for how rows are taken, and `byte_rows` for what comes out.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.byte_rows import least_padding
from streameval.kernels.bytes_pairs import Instructions, make_sum_tile, pack, working
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_masked_load,
    emit_store,
    integer_item,
    place_pointer,
)
from streameval.kernels.host import compresses_words
from streameval.kernels.lanes import broadcast, llvm_function

__all__ = ["BASE", "MOST_PIXELS", "PLANES", "layout", "pack", "sum_tile", "working"]

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows, the best first: the weights of more lanes leave the first-level cache
# sooner, and with fewer a product waits for the one before.
REGISTERS = (5, 4, 6, 2)

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
    """See `bytes_pairs`: compare, compress, count the bits. Needs AVX-512.

    32 groups a step where 16 bits can be compressed (VBMI2), else sixteen.
    """

    def emit(context: Any, b_: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, count_ = signature.args, arguments[2]
        rows = [
            b_.bitcast(place_pointer(context, b_, kinds[k], arguments[k]), _I32.as_pointer())
            for k in range(2)
        ]
        start = b_.bitcast(place_pointer(context, b_, kinds[3], arguments[3]), _I16.as_pointer())
        room = integer_item(context, b_, kinds[3], arguments[3], 2)
        places = [b_.gep(start, [b_.mul(room, _I64(k))]) for k in range(3)]
        size = 32 if compresses_words() else 16
        listed = _Listed(b_, size)

        def whole(step: ir.Value, counts: list[ir.Value]) -> list[ir.Value]:
            first = b_.mul(step, _I64(size))
            seen = [
                [emit_load(b_, b_.gep(row, [b_.add(first, _I64(k))]), _I32X16, 1) for k in range(0, size, 16)]
                for row in rows
            ]
            return listed.add(first, seen, places, counts)

        def rest(_: ir.Value, counts: list[ir.Value]) -> list[ir.Value]:
            first, left = b_.and_(count_, _I64(-size)), b_.trunc(b_.and_(count_, _I64(size - 1)), _I32)
            inside = [
                b_.icmp_signed("<", _numbers(_I32X16, k), broadcast(b_, left, _I32X16))
                for k in range(0, size, 16)
            ]
            seen = [
                [
                    emit_masked_load(b_, b_.gep(row, [b_.add(first, _I64(16 * k))]), _I32X16, mask)
                    for k, mask in enumerate(inside)
                ]
                for row in rows
            ]
            return listed.add(first, seen, places, counts)

        # Of rows that are not in the cache yet a masked load takes five times as long as a whole one on Zen 5.
        counts = emit_loop(b_, b_.udiv(count_, _I64(size)), [_I64(0)] * 3, whole)
        some = b_.zext(b_.icmp_unsigned("!=", b_.and_(count_, _I64(size - 1)), _I64(0)), _I64)
        counts = emit_loop(b_, some, counts, rest)
        return context.make_tuple(b_, signature.return_type, counts)

    n = types.int64
    return types.UniTuple(n, 3)(a, b, n, lists), emit


class _Listed:
    """Emits what lists `size` groups, 16 or 32."""

    def __init__(self, builder: ir.IRBuilder, size: int) -> None:
        self._builder, self._size = builder, size

    def add(
        self, first: ir.Value, seen: list[list[ir.Value]], places: list[ir.Value], counts: list[ir.Value]
    ) -> list[ir.Value]:
        """List the groups from `first` on that both rows of `seen` have, the first only, the second only."""
        b = self._builder
        in_a, in_b = (self._hits(row) for row in seen)
        hits = (b.and_(in_a, in_b), b.and_(in_a, b.not_(in_b)), b.and_(in_b, b.not_(in_a)))
        bits = ir.IntType(self._size)
        population = llvm_function(b, f"llvm.ctpop.i{self._size}", bits, [bits])
        more = []
        for place, at, hit in zip(places, counts, hits, strict=True):
            emit_store(b, self._compressed(first, hit), b.gep(place, [at]), 2)
            more.append(b.add(at, b.zext(b.call(population, [b.bitcast(hit, bits)]), _I64)))
        return more

    def _hits(self, groups: list[ir.Value]) -> ir.Value:
        """Which groups are not zero, as a mask."""
        b, zero = self._builder, ir.Constant(_I32X16, None)
        hits = [b.icmp_unsigned("!=", one, zero) for one in groups]
        if self._size == 16:
            return hits[0]
        return b.shuffle_vector(*hits, _numbers(ir.VectorType(_I32, 32)))

    def _compressed(self, first: ir.Value, hit: ir.Value) -> ir.Value:
        """The numbers of the groups that were hit, 16 bits each, and zeros."""
        b, short = self._builder, self._size == 32
        item, name = (_I16, "v32i16") if short else (_I32, "v16i32")
        vector, mask = ir.VectorType(item, self._size), ir.VectorType(_I1, self._size)
        compress = llvm_function(b, f"llvm.x86.avx512.mask.compress.{name}", vector, [vector, vector, mask])
        numbers = b.add(broadcast(b, b.trunc(first, item), vector), _numbers(vector))
        found = b.call(compress, [numbers, ir.Constant(vector, None), hit])
        return found if short else b.trunc(found, ir.VectorType(_I16, self._size))


def _numbers(vector: ir.VectorType, start: int = 0) -> ir.Constant:
    """start, start + 1, ..."""
    return ir.Constant(vector, [vector.element(start + k) for k in range(vector.count)])


INSTRUCTIONS = Instructions(_I32X16, REGISTERS, _I16, _emit_dot, list_groups)
sum_tile = make_sum_tile(INSTRUCTIONS)
