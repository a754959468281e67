"""Integer sums of byte rows, two rows at a time: they share the weights that are loaded.

Groups of four pixels that are zero are left out: of each pair of rows three lists are made, of the groups that are not
zero in both, in the first only, in the second only. Then one block of lanes after another is summed for all pairs, so
that its weights stay in the first-level cache. The instructions that list and multiply are an engine's: see
`bytes_vnni` and `bytes_neon`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.byte_rows import BLOCK, DIGITS, FEATURES, LANES, STRIDE, SUMS
from streameval.kernels.compiling import device
from streameval.kernels.emitting import (
    emit_load,
    emit_loop,
    emit_store,
    emit_switch,
    integer_item,
    place_pointer,
)
from streameval.kernels.host import TILE_ROWS, batch_tiles
from streameval.kernels.lanes import broadcast
from streameval.kernels.prefetch import emit_hint, hint_step

_PAIRS = batch_tiles() * TILE_ROWS // 2
# Lists of a pair: of both rows, of the first only, of the second only; the number of a list, and its rows.
_List = tuple[int, tuple[int, ...]]
_BOTH, _FIRST, _SECOND = (0, (0, 1)), (1, (0,)), (2, (1,))
# A note has where the lists of a pair are, and how many groups are in each.
_LISTS, _NOTE = 3, 4
# Lists are written in vectors: so many numbers may follow the last one.
ROOM = 32

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class Instructions:
    """What an engine computes with.

    vector     a register of int32
    registers  how many may hold the sums of a row
    number     the type of the number of a group in a list: there are less than 2**16
    emit_dot   (builder, totals, weights, pixels) -> totals plus products of bytes added in fours, all as `vector`
    list_groups(a, b, count, (ints, at, room)) -> (both, first, second)
        Write the numbers of the groups of four pixels that are not all zero in both rows, in a only, in b only, and
        return how many these are. a, b: (uint8 array, offset), `count` groups each · the lists lie one after another
        from ints[at] on, and each may use its room: count + ROOM numbers
    """

    vector: ir.VectorType
    registers: tuple[int, ...]
    number: ir.IntType
    emit_dot: Callable[[ir.IRBuilder, ir.Value, ir.Value, ir.Value], ir.Value]
    list_groups: Any


def make_sum_tile(engine: Instructions) -> Any:
    """The `sum_tile` of an engine, see `byte_rows`."""
    list_groups, list_all, byte_block = engine.list_groups, _make_list_all(engine), make_byte_block(engine)
    register_lanes, numbers = engine.vector.count, 32 // engine.number.width

    @device
    def sum_tile(step, net, rows, space, tile):
        """See `byte_rows`."""
        if tile.before > 0:
            return 0
        groups, lanes, block, room = step[FEATURES] // 4, step[LANES], step[BLOCK], step[STRIDE]
        offsets, ints = rows.offsets, space.ints
        # In `ints`: a note of each pair, its lists, and a list of all groups.
        lists, every = _NOTE * _PAIRS, _NOTE * _PAIRS + _LISTS * _PAIRS * room // numbers
        everything, steps = False, 0
        count = tile.count + tile.after
        for pair in range((count + 1) // 2):
            a = offsets[tile.first + 2 * pair]
            b = offsets[tile.first + min(2 * pair + 1, count - 1)]
            at, both, first, second = every, groups, 0, 0
            if not everything:
                at = lists + _LISTS * pair * room // numbers
                both, first, second = list_groups(
                    (rows.values, a), (rows.values, b), groups, (ints, at, room)
                )
                # Where hardly anything is zero the lists cost more than they save: take all, to the end of these rows.
                everything = 4 * (2 * both + first + second) > 7 * groups
                if everything:
                    at, both, first, second = every, groups, 0, 0
                    list_all(groups, (ints, every))
            note = _NOTE * pair
            ints[note], ints[note + 1], ints[note + 2], ints[note + 3] = at, both, first, second
            steps += both
        hint, asked = hint_step(tile.size, steps * (lanes // block)), 0
        for j in range(0, lanes, block):
            planes = (net.planes, step[DIGITS] + 4 * groups * j, 4 * block)
            for pair in range((count + 1) // 2):
                a = rows.address + offsets[tile.first + 2 * pair]
                b = rows.address + offsets[tile.first + min(2 * pair + 1, count - 1)]
                note = _NOTE * pair
                at, both = np.int64(ints[note]), np.int64(ints[note + 1])
                byte_block(
                    block // register_lanes,
                    (a, b),
                    (ints, at, room, both, np.int64(ints[note + 2]), np.int64(ints[note + 3])),
                    planes,
                    (ints, step[SUMS] + 2 * pair * lanes + j, lanes),
                    (tile.early + asked, hint),
                )
                asked += both * hint
        return min(tile.size, asked)

    return sum_tile


def make_byte_block(engine: Instructions) -> Any:
    """The intrinsic `byte_block(registers, rows, lists, planes, sums, early)`.

        sums_a[l] = sum_i sum_(q < 4) a[4 groups[i] + q] * planes[groups[i], l, q]            (and b likewise)

    registers: of sums of a row, one of the engine's · rows: the addresses of a and b · lists: (int32 array, offset,
    room, both, first, second), see `Instructions` · planes: (int8 array, offset, stride of a group), 4 * l + q in a
    group · sums: (int32 array, offset of row a, offset from there to row b) · early: (address, step); with the k-th
    group of both rows the memory at address + k * step is asked for, see `prefetch`
    """

    @intrinsic
    def byte_block(
        typing: Any, registers: Any, rows: Any, lists: Any, planes: Any, sums: Any, early: Any
    ) -> Any:
        def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            block = _Block(engine, context, b, signature.args, arguments)
            sizes = {size: functools.partial(block.emit, size) for size in engine.registers}
            emit_switch(b, arguments[0], sizes)
            return context.get_dummy_value()

        return types.void(types.int64, rows, lists, planes, sums, early), emit

    return byte_block


class _Block:
    """Emits the sums of a pair of rows over one block of lanes: see `make_byte_block` for the arguments."""

    def __init__(
        self, engine: Instructions, context: Any, builder: ir.IRBuilder, kinds: Any, arguments: Any
    ) -> None:
        def item(argument: int, number: int) -> ir.Value:
            return integer_item(context, builder, kinds[argument], arguments[argument], number)

        self._engine, self._builder = engine, builder
        self._rows = [builder.inttoptr(item(1, k), _I32.as_pointer()) for k in range(2)]
        lists, self._weights, self._sums = (
            place_pointer(context, builder, kinds[k], arguments[k]) for k in (2, 3, 4)
        )
        self._numbers = builder.bitcast(lists, engine.number.as_pointer())
        self._room, *self._counts = (item(2, k) for k in range(2, 6))
        self._stride, self._next_row = (item(k, 2) for k in (3, 4))
        self._address, self._hint = (item(5, k) for k in range(2))

    def emit(self, size: int) -> None:
        """Sums in `size` registers for each row.

        A group of one row alone takes as many weights as one of both rows, for half the products: as long as there are
        groups of all lists one of each is taken, so that the weights come as fast as they are multiplied.
        """
        b, lanes, (both, first, second) = self._builder, self._engine.vector.count, self._counts
        alone = _least(b, first, second)
        every = _least(b, alone, both)
        sums = [ir.Constant(self._engine.vector, None)] * (2 * size)
        sums = self._add_groups(_I64(0), every, (_FIRST, _SECOND, _BOTH), sums)
        sums = self._add_groups(every, alone, (_FIRST, _SECOND), sums)
        sums = self._add_groups(alone, first, (_FIRST,), sums)
        sums = self._add_groups(alone, second, (_SECOND,), sums)
        sums = self._add_groups(every, both, (_BOTH,), sums)
        for row, place in enumerate((self._sums, b.gep(self._sums, [self._next_row]))):
            for k in range(size):
                emit_store(b, sums[row * size + k], b.gep(place, [_I64(lanes * k)]), 4)

    def _add_groups(
        self, start: ir.Value, stop: ir.Value, lists: tuple[_List, ...], sums: list[ir.Value]
    ) -> list[ir.Value]:
        """Add the groups from `start` to `stop` of each of these lists to the sums of row a, and then of row b."""
        b = self._builder

        def add_one_of_each(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            at = b.add(start, i)
            for one in lists:
                carried = self._add(at, one, carried)
            return carried

        return emit_loop(b, b.sub(stop, start), sums, add_one_of_each, unroll=False)

    def _add(self, at: ir.Value, one: _List, sums: list[ir.Value]) -> list[ir.Value]:
        """Add the group at a place of a list to the sums of its rows."""
        b, vector, size, (number, rows) = self._builder, self._engine.vector, len(sums) // 2, one
        if one is _BOTH:
            emit_hint(b, b.add(self._address, b.mul(at, self._hint)))
        place = b.gep(self._numbers, [b.add(at, b.mul(self._room, _I64(number)))])
        group = b.zext(b.load(place), _I64)
        weights = b.gep(self._weights, [b.mul(group, self._stride)])
        loaded = [emit_load(b, b.gep(weights, [_I64(4 * vector.count * k)]), vector, 4) for k in range(size)]
        totals = list(sums)
        for row in rows:
            pixels = broadcast(b, emit_load(b, b.gep(self._rows[row], [group]), _I32, 1), vector)
            for k, weight in enumerate(loaded, start=row * size):
                totals[k] = self._engine.emit_dot(b, totals[k], weight, pixels)
        return totals


def _least(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def _make_list_all(engine: Instructions) -> Any:
    @intrinsic
    def list_all(typing: Any, count: Any, numbers: Any) -> Any:
        """Write the numbers from 0 to count - 1; numbers: (int32 array, offset)."""

        def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            place = place_pointer(context, b, signature.args[1], arguments[1])
            first = b.bitcast(place, engine.number.as_pointer())

            def write(i: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                b.store(b.trunc(i, engine.number), b.gep(first, [i]))
                return []

            emit_loop(b, arguments[0], [], write)
            return context.get_dummy_value()

        return types.void(types.int64, numbers), emit

    return list_all


def working(groups: int) -> tuple[int, int]:
    """Room for a list, in numbers, and how many int32 the lists of a batch take at most."""
    room = -(-(groups + ROOM) // 16) * 16
    return room, _NOTE * _PAIRS + (_LISTS * _PAIRS + 1) * room


def pack(digits: NDArray[np.int32], lanes: int, block: int) -> NDArray[np.int8]:
    """(groups * 4, PLANES * outputs) as [lanes / block][group][block][4], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int8)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 4, lanes // block, block).transpose(2, 0, 3, 1)).ravel()
