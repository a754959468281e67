"""Rows turned into lanes, and the counter that threads take tiles from."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.emitting import emit_masked_load, emit_store, place_pointer
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import broadcast, element_pointer

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_F32X16, _I32X16 = ir.VectorType(ir.FloatType(), 16), ir.VectorType(_I32, 16)
_U8X16 = ir.VectorType(ir.IntType(8), 16)


@intrinsic
def transpose_rows(typing: Any, values: Any, offsets: Any, column: Any, limit: Any, out: Any) -> Any:
    """Turn sixteen rows into lanes: out[c * TILE_ROWS + r] = values[offsets[r] + column + c], c, r < 16.

    values float32 or uint8 · offsets: (int64 array, the first one's place) · out: (float32 array, offset) · columns at
    and past `limit` are not read and come out as zero.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds, (values_, offsets_, column_, limit_, out_) = signature.args, arguments
        kind = _U8X16 if values.dtype == types.uint8 else _F32X16
        numbers = ir.Constant(_I32X16, [_I32(k) for k in range(16)])
        room = builder.trunc(builder.sub(limit_, column_), _I32)
        inside = builder.icmp_signed("<", numbers, broadcast(builder, room, _I32X16))
        first = place_pointer(context, builder, kinds[1], offsets_)
        rows = []
        for r in range(16):
            at = builder.add(builder.load(builder.gep(first, [_I64(r)])), column_)
            source = element_pointer(context, builder, kinds[0], values_, at)
            row = emit_masked_load(builder, source, kind, inside)
            rows.append(row if kind is _F32X16 else builder.uitofp(row, _F32X16))
        target = place_pointer(context, builder, kinds[4], out_)
        for c, lane in enumerate(_transposed(builder, rows)):
            emit_store(builder, lane, builder.gep(target, [_I64(c * TILE_ROWS)]), 4)
        return context.get_dummy_value()

    n = types.int64
    return types.void(values, offsets, n, n, out), emit


@intrinsic
def align_stack(typing: Any) -> Any:
    """Let the stack of the function that calls this begin at a multiple of 64 bytes.

    LLVM keeps registers there that it has no room for, and would have them cross two cache lines each: 5 % of a pass.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        attributes = builder.function.attributes
        # llvmlite writes the alignment only where there is another attribute, as true of what Numba compiles as this.
        attributes.add("nounwind")
        attributes.alignstack = 64
        return context.get_dummy_value()

    return types.void(), emit


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
