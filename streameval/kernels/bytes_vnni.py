"""Integer sums of byte rows by AVX512-VNNI: 64 products of bytes, added in fours, in one instruction.

Two rows at a time share the weights that are loaded; groups of four pixels that are zero in both are left out.
See `byte_rows`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.blocks import list_groups, make_byte_block
from streameval.kernels.byte_rows import BLOCK, FEATURES, LANES, SUMS, least_padding
from streameval.kernels.compiling import device

BASE, PLANES = 256, 3
MOST_PIXELS = 2**31 // (255 * 128) - 64
# Registers of sums for each of the two rows: with the pixels and the weights they fill the 32 there are.
_A, _B, _C, _D = _REGISTERS = (12, 10, 8, 4)
_block_a, _block_b, _block_c, _block_d = (make_byte_block(registers) for registers in _REGISTERS)


@device
def sum_tile(values, offsets, first, count, net, planes, ints, early, size):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    groups, lanes, block = net[FEATURES] // 4, net[LANES], net[BLOCK]
    everything = False
    for i in range(0, count, 2):
        a = offsets[first + i]
        b = offsets[first + min(i + 1, count - 1)]
        found = groups
        if not everything:
            found = list_groups(values, a, b, groups, ints)
            # Where hardly anything is zero the list costs more than it saves: take all, to the end of this tile.
            everything = 8 * found > 7 * groups
            if everything:
                found = groups
                for g in range(groups):
                    ints[g] = g
        to_a, to_b = net[SUMS] + i * lanes, net[SUMS] + (i + 1) * lanes
        for at in range(0, lanes, block):
            if block == 16 * _A:
                _block_a(values, a, b, ints, found, planes, 4 * at, 4 * lanes, ints, to_a + at, to_b + at)
            elif block == 16 * _B:
                _block_b(values, a, b, ints, found, planes, 4 * at, 4 * lanes, ints, to_a + at, to_b + at)
            elif block == 16 * _C:
                _block_c(values, a, b, ints, found, planes, 4 * at, 4 * lanes, ints, to_a + at, to_b + at)
            else:
                _block_d(values, a, b, ints, found, planes, 4 * at, 4 * lanes, ints, to_a + at, to_b + at)
    return 0


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(16 * registers for registers in _REGISTERS), PLANES * outputs)


def pack(digits: NDArray[np.int32], lanes: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [group][lane][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int8)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 4, lanes).transpose(0, 2, 1)).ravel()
