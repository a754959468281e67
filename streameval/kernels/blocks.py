"""The inner loops, written as vector instructions: each keeps its sums in registers from start to end.

LLVM's loop vectoriser guards against overlapping arrays, and the guards cost more than these loops do; an
intrinsic has none. Each function here is a whole loop; `tests/naive.py` says in NumPy what each one computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.ahead import emit_hint
from streameval.kernels.lanes import broadcast, element_pointer, emit_fma, llvm_function

_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_F32 = ir.FloatType()
_F32X16 = ir.VectorType(_F32, 16)
_I32X16 = ir.VectorType(_I32, 16)


def make_dense_block(vectors: int, outputs: int) -> Callable[..., None]:
    """Build the loop that adds one block of a dense layer to its sums, 16 * `vectors` rows at a time.

        sums[j, r] += sum_k rows[k, r] * weights[k, j]        in the order of k, one fma each

    rows at `rows[at + k * row_stride + r]` · weights at `weights[start + k * outputs + j]` ·
    sums at `sums[to + j * row_stride + r]`, j < outputs. Meanwhile the memory at address `early + k * step` is asked
    for: see `ahead`.
    """

    @intrinsic
    def dense_block(
        typing: Any,
        rows: Any,
        at: Any,
        row_stride: Any,
        count: Any,
        weights: Any,
        start: Any,
        sums: Any,
        to: Any,
        early: Any,
        step: Any,
    ) -> Any:
        def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            rows_, at_, stride, count_, weights_, start_, sums_, to_, early_, step_ = arguments
            row = element_pointer(context, b, signature.args[0], rows_, at_)
            weight = element_pointer(context, b, signature.args[4], weights_, start_)
            sums_at = element_pointer(context, b, signature.args[6], sums_, to_)
            places = [
                b.gep(b.gep(sums_at, [b.mul(stride, _I64(j))]), [_I64(16 * v)])
                for j in range(outputs)
                for v in range(vectors)
            ]
            totals = [emit_load(b, place, _F32X16, 4) for place in places]

            def body(k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                emit_hint(b, b.add(early_, b.mul(k, step_)))
                row_k = b.gep(row, [b.mul(k, stride)])
                weight_k = b.gep(weight, [b.mul(k, _I64(outputs))])
                x = [emit_load(b, b.gep(row_k, [_I64(16 * v)]), _F32X16, 4) for v in range(vectors)]
                result = []
                for j in range(outputs):
                    w = broadcast(b, b.load(b.gep(weight_k, [_I64(j)])), _F32X16)
                    result += [emit_fma(b, x[v], w, carried[j * vectors + v]) for v in range(vectors)]
                return result

            for place, total in zip(places, emit_loop(b, count_, totals, body), strict=True):
                emit_store(b, total, place, 4)
            return context.get_dummy_value()

        number = types.int64
        return types.void(rows, number, number, number, weights, number, sums, number, number, number), emit

    return dense_block


def make_byte_block(registers: int) -> Callable[..., None]:
    """Build the loop that adds groups of four pixels, times int8 weights, to exact int32 sums of two rows.

        sums_a[l] += sum_i sum_(q < 4) a[4 groups[i] + q] * planes[groups[i], l, q]        (and b likewise)

    rows a and b in `values` at `a`, `b`, uint8 · `groups[list : list + count]` int32 · planes int8 at
    `planes[start + 4 * stride * group + 4 * lane]` · sums int32 at `to_a`, `to_b`, 16 * `registers` lanes.
    Needs AVX512-VNNI: `vpdpbusd` multiplies and adds four at once. Two rows share every load of weights.
    """

    @intrinsic
    def byte_block(
        typing: Any,
        values: Any,
        a: Any,
        b: Any,
        groups: Any,
        count: Any,
        planes: Any,
        start: Any,
        stride: Any,
        sums: Any,
        to_a: Any,
        to_b: Any,
    ) -> Any:
        def emit(context: Any, b_: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            values_, a_, other, groups_, count_, planes_, start_, stride_, sums_, to_a_, to_b_ = arguments
            rows = [
                b_.bitcast(element_pointer(context, b_, signature.args[0], values_, at), _I32.as_pointer())
                for at in (a_, other)
            ]
            list_ = element_pointer(context, b_, signature.args[3], groups_, _I64(0))
            weights = element_pointer(context, b_, signature.args[5], planes_, start_)
            dot = llvm_function(b_, "llvm.x86.avx512.vpdpbusd.512", _I32X16, [_I32X16] * 3)
            zero = ir.Constant(_I32X16, None)

            def body(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                group = b_.zext(b_.load(b_.gep(list_, [i])), _I64)
                pixels = [
                    broadcast(b_, emit_load(b_, b_.gep(row, [group]), _I32, 1), _I32X16) for row in rows
                ]
                at = b_.gep(weights, [b_.mul(group, stride_)])
                result = []
                for k in range(registers):
                    w = emit_load(b_, b_.gep(at, [_I64(64 * k)]), _I32X16, 4)
                    result += [b_.call(dot, [carried[2 * k + row], pixels[row], w]) for row in range(2)]
                return result

            totals = emit_loop(b_, count_, [zero] * (2 * registers), body)
            for row, to in enumerate((to_a_, to_b_)):
                place = element_pointer(context, b_, signature.args[8], sums_, to)
                for k in range(registers):
                    emit_store(b_, totals[2 * k + row], b_.gep(place, [_I64(16 * k)]), 4)
            return context.get_dummy_value()

        n = types.int64
        return types.void(values, n, n, groups, n, planes, n, n, sums, n, n), emit

    return byte_block


@intrinsic
def list_groups(typing: Any, values: Any, a: Any, b: Any, count: Any, groups: Any) -> Any:
    """Write the numbers of the groups of four pixels that are not all zero in both rows; return how many.

    rows a and b in `values` at `a`, `b`, uint8, `count` groups each · groups int32, room for count + 16.
    Compare, compress, count the bits: sixteen groups a step. Needs AVX-512.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values_, a_, b_, count_, groups_ = arguments
        rows = [
            builder.bitcast(
                element_pointer(context, builder, signature.args[0], values_, at), _I32.as_pointer()
            )
            for at in (a_, b_)
        ]
        out = element_pointer(context, builder, signature.args[4], groups_, _I64(0))
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
            seen = [_masked_load(builder, builder.gep(row, [first]), _I32X16, inside) for row in rows]
            hit = builder.icmp_unsigned("!=", builder.or_(*seen), zero)
            packed = builder.call(compress, [number, zero, hit])
            emit_store(builder, packed, builder.gep(out, [carried[0]]), 4)
            bits = builder.zext(builder.bitcast(hit, ir.IntType(16)), _I64)
            found = builder.call(llvm_function(builder, "llvm.ctpop.i64", _I64, [_I64]), [bits])
            return [builder.add(carried[0], found)]

        steps_needed = builder.lshr(builder.add(count_, _I64(15)), _I64(4))
        return emit_loop(builder, steps_needed, [_I64(0)], body)[0]

    n = types.int64
    return n(values, n, n, n, groups), emit


@intrinsic
def transpose_rows(
    typing: Any,
    values: Any,
    offsets: Any,
    first: Any,
    column: Any,
    limit: Any,
    out: Any,
    to: Any,
    stride: Any,
) -> Any:
    """Turn sixteen rows into lanes: out[to + c * stride + r] = values[offsets[first + r] + column + c], c, r < 16.

    values float32 · columns at and past `limit` are not read and come out as zero.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values_, offsets_, first_, column_, limit_, out_, to_, stride_ = arguments
        numbers = ir.Constant(_I32X16, [_I32(k) for k in range(16)])
        room = builder.trunc(builder.sub(limit_, column_), _I32)
        inside = builder.icmp_signed("<", numbers, broadcast(builder, room, _I32X16))
        rows = []
        for r in range(16):
            place = element_pointer(
                context, builder, signature.args[1], offsets_, builder.add(first_, _I64(r))
            )
            at = builder.add(builder.load(place), column_)
            source = element_pointer(context, builder, signature.args[0], values_, at)
            rows.append(_masked_load(builder, source, _F32X16, inside))
        target = element_pointer(context, builder, signature.args[5], out_, to_)
        for c, lane in enumerate(_transposed(builder, rows)):
            emit_store(builder, lane, builder.gep(target, [builder.mul(stride_, _I64(c))]), 4)
        return context.get_dummy_value()

    n = types.int64
    return types.void(values, offsets, n, n, n, out, n, n), emit


@intrinsic
def next_number(typing: Any, counter: Any) -> Any:
    """Take the next number from counter[0], each thread another one."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        place = element_pointer(context, builder, signature.args[0], arguments[0], _I64(0))
        return builder.atomic_rmw("add", place, _I64(1), "monotonic")

    return types.int64(counter), emit


def _transposed(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Sixteen vectors as columns: four rounds, each exchanging halves of pairs at distance 8, 4, 2, 1."""
    for distance in (8, 4, 2, 1):
        low = [k if not k & distance else (k - distance) + 16 for k in range(16)]
        high = [k + distance if not k & distance else k + 16 for k in range(16)]
        mixed = list(rows)
        for r in range(16):
            if not r & distance:
                pair = rows[r], rows[r + distance]
                mixed[r] = builder.shuffle_vector(*pair, ir.Constant(_I32X16, [_I32(k) for k in low]))
                mixed[r + distance] = builder.shuffle_vector(
                    *pair, ir.Constant(_I32X16, [_I32(k) for k in high])
                )
        rows = mixed
    return rows


def emit_loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    start: list[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Emit `for i in range(count)` around `body(i, carried) -> carried`; return what it carried out."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_I64)
    carried = [builder.phi(value.type) for value in start]
    i.add_incoming(_I64(0), before)
    for phi, value in zip(carried, start, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
    builder.position_at_end(inside)
    results = body(i, list(carried))
    i.add_incoming(builder.add(i, _I64(1)), builder.block)
    for phi, value in zip(carried, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return list(carried)


def emit_load(builder: ir.IRBuilder, place: ir.Value, kind: ir.Type, align: int) -> ir.Value:
    """Emit a load of `kind` from an address that is a multiple of `align`."""
    value = builder.load(builder.bitcast(place, kind.as_pointer()))
    value.align = align
    return value


def emit_store(builder: ir.IRBuilder, value: ir.Value, place: ir.Value, align: int) -> None:
    """Emit a store to an address that is a multiple of `align`."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer())).align = align


def _masked_load(builder: ir.IRBuilder, place: ir.Value, kind: ir.VectorType, mask: ir.Value) -> ir.Value:
    """Load where the mask holds, zero elsewhere; what is masked off is not touched."""
    name = {_F32X16: "v16f32", _I32X16: "v16i32"}[kind]
    pointer = kind.as_pointer()
    load = llvm_function(
        builder, f"llvm.masked.load.{name}.p0", kind, [pointer, _I32, ir.VectorType(_I1, 16), kind]
    )
    return builder.call(load, [builder.bitcast(place, pointer), _I32(1), mask, ir.Constant(kind, None)])
