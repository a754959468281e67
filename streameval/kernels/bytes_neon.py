"""Integer sums of byte rows by NEON's dot product: sixteen products of bytes, added in fours, in one instruction.

`udot` knows no signs, so 128 is added to every digit, and 128 times the sum of a row's pixels taken off its sums: one
lane more, whose weights are ones, has that. See `bytes_pairs` for how rows are taken, `byte_rows` for what comes out.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from streameval.kernels import bytes_pairs
from streameval.kernels.byte_rows import LANES, OUTPUTS, SUMS, least_padding, word_at
from streameval.kernels.bytes_pairs import Instructions, make_sum_tile, working
from streameval.kernels.compiling import device
from streameval.kernels.lanes import llvm_function

__all__ = ["BASE", "MOST_PIXELS", "PLANES", "layout", "pack", "sum_tile", "working"]

BASE, PLANES = 256, 3
# Sums of what 128 was added to may leave 32 bits; what remains when it is taken off does not.
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows: with the pixels and the weights they are at most the 32 there are.
REGISTERS = (10, 8, 4)
_REGISTER_LANES, _OFFSET = 4, 128

_I32 = ir.IntType(32)
_I32X4, _I8X16 = ir.VectorType(_I32, 4), ir.VectorType(ir.IntType(8), 16)


@device
def sum_tile(step, net, rows, space, tile):
    """See `byte_rows`."""
    asked = _sum_tile(step, net, rows, space, tile)
    lanes, ints = step[LANES], space.ints
    for i in range(tile.count):
        at = step[SUMS] + i * lanes
        total = _OFFSET * ints[at + PLANES * step[OUTPUTS]]
        for lane in range(lanes):
            ints[at + lane] -= total
    return asked


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    sizes = tuple(_REGISTER_LANES * registers for registers in REGISTERS)
    return least_padding(sizes, PLANES * outputs + 1)


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """See `bytes_pairs.pack`: digits plus 128, then a lane of ones."""
    ones = np.ones((len(digits), 1), np.int32)
    unsigned = np.concatenate([digits + _OFFSET, ones], axis=1).astype(np.uint8)
    return bytes_pairs.pack(unsigned.view(np.int8).astype(np.int32), lanes, block)


@device
def list_groups(a, b, count, lists):
    """See `bytes_pairs`."""
    (values, a_at), (_, b_at), (numbers, at, room) = a, b, lists
    both, first, second = 0, 0, 0
    for g in range(count):
        in_a, in_b = word_at(values, a_at + 4 * g) != 0, word_at(values, b_at + 4 * g) != 0
        numbers[at + both], numbers[at + room + first], numbers[at + 2 * room + second] = g, g, g
        both += in_a & in_b
        first += in_a & (not in_b)
        second += in_b & (not in_a)
    return both, first, second


def _emit_dot(b: ir.IRBuilder, totals: ir.Value, weights: ir.Value, pixels: ir.Value) -> ir.Value:
    """`udot`, modulo 2**32: needs the extension `dotprod`."""
    dot = llvm_function(b, "llvm.aarch64.neon.udot.v4i32.v16i8", _I32X4, [_I32X4, _I8X16, _I8X16])
    return b.call(dot, [totals, b.bitcast(weights, _I8X16), b.bitcast(pixels, _I8X16)])


_sum_tile = make_sum_tile(Instructions(_I32X4, REGISTERS, _I32, _emit_dot, list_groups))
