"""Integer sums of byte rows by AMX: sixteen rows x sixteen lanes x 64 bytes in one instruction.

Knows tile registers. Zero pixels are multiplied too: leaving them out would cost more. See `byte_rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import DIGITS, FEATURES, LANES, STRIDE, SUMS
from streameval.kernels.compiling import device
from streameval.kernels.emitting import emit_loop, integer_item, place_pointer
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import llvm_function
from streameval.kernels.prefetch import emit_hint, hint_step

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_POINTER = _I8.as_pointer()
# A tile register: sixteen rows of 64 bytes. Rows that do not start at a multiple of 64 load 20 times slower.
_TILE_BYTES = 1024
# 2 x 2 tiles of sums, two of rows and two of weights are all eight registers: four loads feed four products.
_BLOCK_LANES = 32
# What is asked for in each step, which takes 64 cycles; more of it would hold up the loads.
_HINTS = 3
_SUMS, _ROWS, _WEIGHTS = (0, 1, 2, 3), (4, 5), (6, 7)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Rows are copied to where the tile registers can load them from.

    Of what is needed next half is asked for: the weights come by the same few buffers.
    """
    stride, ints = step[STRIDE], space.ints
    for i in range(tile.count):
        row = (rows.values, rows.offsets[tile.first + i])
        copy_row(row, 4 * (step[FEATURES] // 4), (ints, i * stride))
    hints = step[LANES] // _BLOCK_LANES * (stride // 16) * _HINTS
    hint = hint_step(tile.size // 2, hints)
    planes, sums = (net.planes, step[DIGITS]), (ints, step[SUMS])
    tile_block((ints, 0), stride, planes, step[LANES], sums, (tile.early, hint))
    return min(tile.size, hints * hint)


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return -(-PLANES * outputs // _BLOCK_LANES) * _BLOCK_LANES, _BLOCK_LANES


def working(groups: int) -> tuple[int, int]:
    """Words of a row as the tile registers want it, and of those of a tile."""
    stride = -(-groups // 16) * 16
    return stride, TILE_ROWS * stride


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [lane / 16][group / 16][group % 16][lane % 16][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((-(-pixels // 64) * 64, lanes), np.int8)
    full[:pixels, : digits.shape[1]] = digits
    shaped = full.reshape(-1, 16, 4, lanes // 16, 16)
    return np.ascontiguousarray(shaped.transpose(3, 0, 1, 4, 2)).ravel()


@intrinsic
def tile_block(typing: Any, rows: Any, stride: Any, planes: Any, lanes: Any, sums: Any, early: Any) -> Any:
    """Multiply 32 rows of bytes with int8 weights into int32 sums.

        sums[r, l] = sum_k rows[r, k] * planes[k, l]

    rows, planes, sums: (array, offset) · rows uint8, in int32 words, `stride` words a row, a multiple of 16 · planes
    int8 [lanes / 16][k / 64][16][16][4], zero for the padding of a row · sums int32, `lanes` a row · early:
    (address, hint); the memory from the address on is asked for, `_HINTS` times `hint` bytes in each step of 64
    bytes: see `prefetch`. Needs AMX-INT8, and the permission `host` asks for.
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        _, stride_, _, lanes_, _, hints_ = arguments
        row, weights, out = (
            b.bitcast(place_pointer(context, b, signature.args[k], arguments[k]), _POINTER) for k in (0, 2, 4)
        )
        early_, hint_ = (integer_item(context, b, signature.args[5], hints_, k) for k in range(2))
        row_bytes, out_bytes = b.shl(stride_, _I64(2)), b.shl(lanes_, _I64(2))
        steps, columns = b.lshr(stride_, _I64(4)), b.lshr(lanes_, _I64(5))
        load = llvm_function(b, "llvm.x86.tileloadd64", ir.VoidType(), [_I8, _POINTER, _I64])
        save = llvm_function(b, "llvm.x86.tilestored64", ir.VoidType(), [_I8, _POINTER, _I64])
        zero = llvm_function(b, "llvm.x86.tilezero", ir.VoidType(), [_I8])
        # The first factor is unsigned, the second signed.
        multiply = llvm_function(b, "llvm.x86.tdpbusd", ir.VoidType(), [_I8, _I8, _I8])
        _configure(b)

        def column(n: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            for register in _SUMS:
                b.call(zero, [_I8(register)])

            def step(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                number = b.mul(b.add(b.mul(n, steps), k), _I64(_HINTS))
                for i in range(_HINTS):
                    emit_hint(b, b.add(early_, b.mul(b.add(number, _I64(i)), hint_)))
                for half, register in enumerate(_ROWS):
                    start = b.add(b.mul(row_bytes, _I64(16 * half)), b.mul(k, _I64(64)))
                    b.call(load, [_I8(register), b.gep(row, [start]), row_bytes])
                for half, register in enumerate(_WEIGHTS):
                    tile = b.add(b.mul(b.add(b.mul(n, _I64(2)), _I64(half)), steps), k)
                    b.call(load, [_I8(register), b.gep(weights, [b.mul(tile, _I64(_TILE_BYTES))]), _I64(64)])
                for register in _SUMS:
                    b.call(multiply, [_I8(register), _I8(_ROWS[register // 2]), _I8(_WEIGHTS[register % 2])])
                return []

            emit_loop(b, steps, [], step)
            for register in _SUMS:
                start = b.add(
                    b.mul(out_bytes, _I64(16 * (register // 2))),
                    b.add(b.mul(n, _I64(128)), _I64(64 * (register % 2))),
                )
                b.call(save, [_I8(register), b.gep(out, [start]), out_bytes])
            return []

        emit_loop(b, columns, [], column)
        b.call(llvm_function(b, "llvm.x86.tilerelease", ir.VoidType(), []), [])
        return context.get_dummy_value()

    n = types.int64
    return types.void(rows, n, planes, n, sums, early), emit


@intrinsic
def copy_row(typing: Any, row: Any, count: Any, words: Any) -> Any:
    """Copy `count` bytes; row: (uint8 array, offset) · words: (int32 array, offset)."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        source = place_pointer(context, builder, signature.args[0], arguments[0])
        target = place_pointer(context, builder, signature.args[2], arguments[2])
        cgutils.raw_memcpy(builder, target, source, arguments[1], 1)
        return context.get_dummy_value()

    return types.void(row, types.int64, words), emit


def _configure(builder: ir.IRBuilder) -> None:
    """Palette 1, all eight tile registers sixteen rows of 64 bytes."""
    content = bytes([1] + [0] * 15) + bytes([64, 0] * 8) + bytes(16) + bytes([16] * 8) + bytes(8)
    stored = cgutils.global_constant(
        builder.module, "streameval_tile_config", ir.Constant(ir.ArrayType(_I8, 64), bytearray(content))
    )
    load = llvm_function(builder, "llvm.x86.ldtilecfg", ir.VoidType(), [_POINTER])
    builder.call(load, [builder.bitcast(stored, _POINTER)])
