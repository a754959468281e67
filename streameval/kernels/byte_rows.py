"""What the engines that sum byte rows in integers agree on: the columns of a step, and the shape of the sums.

Knows columns. Each engine (`bytes_amx`, `bytes_vnni`, `bytes_avx2`) gives, for the same weights, the same integers:

    sum_tile(step, net, rows, space, tile) -> bytes
        the sums of the tile's rows and of those after it, as int32 from `space.ints[step[SUMS]]` on, step[LANES] apart:
        PLANES digits of the weights, each OUTPUTS lanes, lowest first; nothing where they came with a tile before.
        Returns what was asked for early, as operations do
    layout(outputs) -> (lanes, block)        lanes of a row of sums, and what the engine calls a block
    working(groups) -> (stride, ints)        step[STRIDE], and how many of the first of `space.ints` it works in
    pack(digits, lanes, block) -> planes     int32 (4 * groups, PLANES * outputs) in the engine's order, kept from
                                             `net.planes[step[DIGITS]]` on
    BASE, PLANES, MOST_PIXELS                digits are balanced, base BASE; rows up to MOST_PIXELS fit into int32
"""

from __future__ import annotations

from streameval.kernels.program import OWN

FEATURES, OUTPUTS, WIDTH, LANES, BLOCK, INTEGERS, SKIP, STRIDE, SUMS, DIGITS, WEIGHTS, FACTORS = range(
    OWN, OWN + 12
)


def least_padding(sizes: tuple[int, ...], outputs: int) -> tuple[int, int]:
    """(lanes, size): the size whose multiple exceeds `outputs` least, the largest of equals."""
    size = min(sizes, key=lambda one: (-(-outputs // one) * one, -one))
    return -(-outputs // size) * size, size
