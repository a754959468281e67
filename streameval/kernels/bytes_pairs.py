"""Integer sums of byte rows, two rows at a time: they share the weights that are loaded.

Groups of four pixels that are zero in both are left out. First the other groups of each pair are listed; then one block
of lanes after another is summed for all pairs, so that its weights stay in the first-level cache. The instructions that
list and multiply are an engine's: see `bytes_vnni` and `bytes_neon`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, DIGITS, FEATURES, LANES, STRIDE, SUMS
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, batch_tiles

_PAIRS = batch_tiles() * TILE_ROWS // 2


def make_sum_tile(list_groups: Any, byte_block: Any, register_lanes: int) -> Any:
    """The `sum_tile` of an engine, see `byte_rows`, of what it works with:

    list_groups(a, b, count, groups) -> listed
        Write the numbers of those groups of four pixels that are not all zero in both rows, and maybe some more.
        a, b: (uint8 array, offset), `count` groups each · groups: (int32 array, offset), room for count + 16
    byte_block(registers, rows, groups, planes, sums)
        sums_a[l] = sum_i sum_(q < 4) a[4 groups[i] + q] * planes[groups[i], l, q]            (and b likewise)
        registers: of sums of a row, `register_lanes` each · rows: the addresses of a and b · groups: (int32 array,
        offset, count) · planes: (int8 array, offset, stride of a group), 4 * l + q in a group · sums: (int32 array,
        offset of row a, offset from there to row b)
    """

    @device
    def sum_tile(step, net, rows, space, tile):
        """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
        if tile.before > 0:
            return 0
        groups, lanes, block, room = step[FEATURES] // 4, step[LANES], step[BLOCK], step[STRIDE]
        offsets, ints = rows.offsets, space.ints
        # In `ints`: how many are listed of each pair, the list of each pair, and one of all groups.
        every = _PAIRS + _PAIRS * room
        everything = False
        count = tile.count + tile.after
        for pair in range((count + 1) // 2):
            a = offsets[tile.first + 2 * pair]
            b = offsets[tile.first + min(2 * pair + 1, count - 1)]
            if everything:
                ints[pair] = -1
                continue
            found = list_groups((rows.values, a), (rows.values, b), groups, (ints, _PAIRS + pair * room))
            ints[pair] = found
            # Where hardly anything is zero the list costs more than it saves: take all, to the end of these rows.
            everything = 8 * found > 7 * groups
            if everything:
                for g in range(groups):
                    ints[every + g] = g
        for j in range(0, lanes, block):
            planes = (net.planes, step[DIGITS] + 4 * groups * j, 4 * block)
            for pair in range((count + 1) // 2):
                a = rows.address + offsets[tile.first + 2 * pair]
                b = rows.address + offsets[tile.first + min(2 * pair + 1, count - 1)]
                at, listed = (
                    (_PAIRS + pair * room, np.int64(ints[pair])) if ints[pair] >= 0 else (every, groups)
                )
                sums = (ints, step[SUMS] + 2 * pair * lanes + j, lanes)
                byte_block(block // register_lanes, (a, b), (ints, at, listed), planes, sums)
        return 0

    return sum_tile


def working(groups: int) -> tuple[int, int]:
    """Room for a list, and how many int32 the lists of a batch take."""
    room = -(-(groups + 16) // 16) * 16
    return room, _PAIRS + (_PAIRS + 1) * room


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [lanes / block][group][block][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int8)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 4, lanes // block, block).transpose(2, 0, 3, 1)).ravel()
