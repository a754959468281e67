"""What the engines that sum byte rows in integers agree on: the columns of a step, and the shape of the sums.

Knows columns. Each engine (`bytes_amx`, `bytes_vnni`, `bytes_avx2`, `bytes_neon`) gives the same integers for the same
weights:

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

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from streameval.kernels.emitting import emit_load
from streameval.kernels.lanes import element_pointer
from streameval.kernels.program import OWN

FEATURES, OUTPUTS, WIDTH, LANES, BLOCK, INTEGERS, SKIP, STRIDE, SUMS, DIGITS, WEIGHTS, FACTORS = range(
    OWN, OWN + 12
)


def least_padding(sizes: tuple[int, ...], outputs: int) -> tuple[int, int]:
    """(lanes, size): the size whose multiple exceeds `outputs` least, the first of equals."""
    size = min(sizes, key=lambda one: -(-outputs // one) * one)
    return -(-outputs // size) * size, size


@intrinsic
def word_at(typing: Any, values: Any, at: Any) -> Any:
    """Four bytes from values[at] on, as one int32."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return emit_load(
            builder, element_pointer(context, builder, signature.args[0], *arguments), ir.IntType(32), 1
        )

    return types.int32(values, types.int64), emit
