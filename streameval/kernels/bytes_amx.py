"""Integer sums of byte rows by AMX: sixteen rows x sixteen lanes x 64 bytes in one instruction.

A tile register takes its rows quickly from memory only where each starts at a multiple of 64 bytes. Of rows that lie
side by side all, every second or every fourth start at one place in a line of 64 bytes, for many sizes of rows: those
are taken as they lie, from the starts of their lines on, and the bytes before them meet weights that are zero. Other
rows are copied first. Zero pixels are multiplied too: leaving them out would cost more. See `byte_rows`.
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
from streameval.kernels.host import TILE_ROWS, batch_tiles
from streameval.kernels.lanes import llvm_function
from streameval.kernels.prefetch import LINE_BYTES, emit_hint, hint_step

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64

_I8, _I32, _I64 = (ir.IntType(bits) for bits in (8, 32, 64))
_POINTER = _I8.as_pointer()
# A tile register: sixteen rows of 64 bytes.
_REGISTER_BYTES = 1024
# 2 x 2 registers of sums, two of rows and two of weights are all eight: four loads feed four products.
_PART, _BLOCK_LANES = 32, 32
_SUMS, _ROWS, _WEIGHTS = (0, 1, 2, 3), (4, 5), (6, 7)
_BATCH = batch_tiles() * TILE_ROWS
_LINE_GROUPS = LINE_BYTES // 4


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`. Of the next tile half is asked for: the weights come by the same few buffers."""
    if tile.before > 0:
        return 0
    features, lanes, stride, sums = step[FEATURES], step[LANES], step[STRIDE], step[SUMS]
    groups, count = features // 4, tile.count + tile.after
    apart = rows_apart(rows, tile.first, count, features)
    if apart == 0:
        for i in range(count):
            copy_row((rows.values, rows.offsets[tile.first + i]), 4 * groups, (space.ints, i * stride))
    parts, asked = (count + _PART - 1) // _PART, 0
    hint = hint_step(tile.size // 2, parts * (lanes // _BLOCK_LANES) * (stride // _LINE_GROUPS))
    configure_tiles()
    for j in range(0, lanes, _BLOCK_LANES):
        for part in range(parts):
            if apart == 0:
                first, next_row = part * _PART, 1
                start, row_bytes = address_of((space.ints, first * stride)), 4 * stride
            else:
                # Of a batch of 128: the rows of one, two or four places in a line, each by 32.
                first, next_row = part % apart + part // apart * _PART * apart, apart
                start, row_bytes = rows.address + rows.offsets[tile.first + first], apart * features
            before = start % LINE_BYTES
            steps = (before + 4 * groups + LINE_BYTES - 1) // LINE_BYTES
            planes = step[DIGITS] + weights_of_lanes(groups, j) + LINE_BYTES * (_LINE_GROUPS - before // 4)
            sum_part(
                steps,
                (start - before, row_bytes),
                (net.planes, planes, weights_of_lanes(groups, 16)),
                (space.ints, sums + first * lanes + j, next_row * lanes),
                (tile.early + asked, hint),
            )
            asked += steps * hint
    release_tiles()
    return min(tile.size, asked)


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return -(-PLANES * outputs // _BLOCK_LANES) * _BLOCK_LANES, _BLOCK_LANES


def working(groups: int) -> tuple[int, int]:
    """Words of a row as the tile registers want it, and of those of a batch."""
    stride = -(-groups // _LINE_GROUPS) * _LINE_GROUPS
    return stride, _BATCH * stride


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [lane / 16][16 + groups + 16][lane % 16][4], zeros for padding."""
    groups = len(digits) // 4
    padded = np.zeros((4 * groups, lanes), np.int8)
    padded[:, : digits.shape[1]] = digits
    full = np.zeros((lanes // 16, groups + 2 * _LINE_GROUPS, 16, 4), np.int8)
    blocks = padded.reshape(groups, 4, lanes // 16, 16)
    full[:, _LINE_GROUPS : _LINE_GROUPS + groups] = blocks.transpose(2, 0, 3, 1)
    return full.ravel()


@device
def weights_of_lanes(groups, lanes):
    """Bytes of the weights of so many lanes, a multiple of sixteen."""
    return lanes // 16 * (groups + 2 * _LINE_GROUPS) * LINE_BYTES


@device
def rows_apart(rows, first, count, features):
    """Which of the rows begins at the same place in a line as the first, where the rows of a batch lie side by side.

    0 where they do not, where the batch is not full, and where that would be none of the first four.
    """
    offsets, start = rows.offsets, rows.offsets[first]
    if count < _BATCH or (rows.address + start) % 4 != 0:
        return 0
    for i in range(count):
        if offsets[first + i] != start + i * features:
            return 0
    for apart in (1, 2, 4):
        if apart * features % LINE_BYTES == 0:
            return apart
    return 0


@intrinsic
def sum_part(typing: Any, steps: Any, rows: Any, planes: Any, sums: Any, early: Any) -> Any:
    """Multiply 32 rows of bytes with int8 weights into the int32 sums of 32 lanes.

        sums[r, l] = sum_k rows[r, k] * planes[k, l]

    steps: how many times 64 bytes · rows: (address, bytes from one to the next), multiples of 64 · planes: (int8 array,
    offset, bytes from sixteen lanes to the next), [lane / 16][k / 4][lane % 16][k % 4] · sums: (int32 array, offset,
    lanes from one row to the next) · early: (address, step); in each of the steps the memory at address + k * step
    is asked for, see `prefetch`. Needs AMX-INT8, the permission `host` asks for, and `configure_tiles` before.
    """

    def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kinds = signature.args
        start, row_bytes, early_, hint = (
            integer_item(context, b, kinds[k], arguments[k], i) for k in (1, 4) for i in range(2)
        )
        weights, out = (
            b.bitcast(place_pointer(context, b, kinds[k], arguments[k]), _POINTER) for k in (2, 3)
        )
        next_lanes, next_sums = (integer_item(context, b, kinds[k], arguments[k], 2) for k in (2, 3))
        row, out_bytes = b.inttoptr(start, _POINTER), b.shl(next_sums, _I64(2))
        load, save, zero, multiply = (
            llvm_function(b, f"llvm.x86.{name}", ir.VoidType(), kind) for name, kind in _INSTRUCTIONS.items()
        )

        def step(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            emit_hint(b, b.add(early_, b.mul(k, hint)))
            for half, register in enumerate(_ROWS):
                at = b.add(b.mul(row_bytes, _I64(16 * half)), b.mul(k, _I64(LINE_BYTES)))
                b.call(load, [_I8(register), b.gep(row, [at]), row_bytes])
            for half, register in enumerate(_WEIGHTS):
                at = b.add(b.mul(next_lanes, _I64(half)), b.mul(k, _I64(_REGISTER_BYTES)))
                b.call(load, [_I8(register), b.gep(weights, [at]), _I64(LINE_BYTES)])
            for register in _SUMS:
                b.call(multiply, [_I8(register), _I8(_ROWS[register // 2]), _I8(_WEIGHTS[register % 2])])
            return []

        for register in _SUMS:
            b.call(zero, [_I8(register)])
        emit_loop(b, arguments[0], [], step)
        for register in _SUMS:
            at = b.add(b.mul(out_bytes, _I64(16 * (register // 2))), _I64(LINE_BYTES * (register % 2)))
            b.call(save, [_I8(register), b.gep(out, [at]), out_bytes])
        return context.get_dummy_value()

    return types.void(types.int64, rows, planes, sums, early), emit


# The first factor of a product is unsigned, the second signed.
_INSTRUCTIONS = {
    "tileloadd64": [_I8, _POINTER, _I64],
    "tilestored64": [_I8, _POINTER, _I64],
    "tilezero": [_I8],
    "tdpbusd": [_I8, _I8, _I8],
}


@intrinsic
def copy_row(typing: Any, row: Any, count: Any, words: Any) -> Any:
    """Copy `count` bytes; row: (uint8 array, offset) · words: (int32 array, offset)."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        source = place_pointer(context, builder, signature.args[0], arguments[0])
        target = place_pointer(context, builder, signature.args[2], arguments[2])
        cgutils.raw_memcpy(builder, target, source, arguments[1], 1)
        return context.get_dummy_value()

    return types.void(row, types.int64, words), emit


@intrinsic
def address_of(typing: Any, place: Any) -> Any:
    """Where a place, (array, offset), lies."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.ptrtoint(place_pointer(context, builder, signature.args[0], arguments[0]), _I64)

    return types.int64(place), emit


@intrinsic
def configure_tiles(typing: Any) -> Any:
    """Make all eight tile registers sixteen rows of 64 bytes: palette 1."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        content = bytes([1] + [0] * 15) + bytes([64, 0] * 8) + bytes(16) + bytes([16] * 8) + bytes(8)
        stored = cgutils.global_constant(
            builder.module, "streameval_tile_config", ir.Constant(ir.ArrayType(_I8, 64), bytearray(content))
        )
        load = llvm_function(builder, "llvm.x86.ldtilecfg", ir.VoidType(), [_POINTER])
        builder.call(load, [builder.bitcast(stored, _POINTER)])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def release_tiles(typing: Any) -> Any:
    """Forget what is in the tile registers, so that nothing has to be kept for them."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        builder.call(llvm_function(builder, "llvm.x86.tilerelease", ir.VoidType(), []), [])
        return context.get_dummy_value()

    return types.void(), emit
