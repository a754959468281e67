"""What the kernels ask for early: exactly the rows of the tile that comes next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streameval.kernels import prefetch
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.prefetch import LINE_BYTES

ADDRESS, FEATURES = 1 << 40, 7

# What only kernels call cannot be called from Python once compiled: its Python text can.
hint_step, tile_after = prefetch.hint_step.py_func, prefetch.tile_after.py_func


@pytest.mark.parametrize("size", [1, 4])
def test_rows_side_by_side_are_asked_for_whole(size: int) -> None:
    """From the first byte of the tile's first row to the last one of its last, wherever the rows begin."""
    offsets = 100 + FEATURES * np.arange(3 * TILE_ROWS)
    for tile in (0, 1, 2):
        found = tile_after(ADDRESS, offsets, tile * TILE_ROWS, 0, FEATURES, size)
        begin = ADDRESS + size * (100 + FEATURES * TILE_ROWS * tile)
        assert found == (begin, size * FEATURES * TILE_ROWS)


@pytest.mark.parametrize("first", [TILE_ROWS, TILE_ROWS + 1, 2 * TILE_ROWS, 5 * TILE_ROWS])
def test_past_the_last_whole_tile_nothing_is(first: int) -> None:
    """Then the address is of the row at hand: memory that is there anyway."""
    offsets = FEATURES * np.arange(2 * TILE_ROWS - 1)
    assert tile_after(ADDRESS, offsets, first, 3, FEATURES, 1) == (ADDRESS + 3 * FEATURES, 0)


def test_rows_from_here_and_there_are_not() -> None:
    """Random rows, repeats and rows in reverse lie in no one stretch of memory."""
    draw = np.random.default_rng(0)
    for offsets in (
        FEATURES * draw.permutation(100 * TILE_ROWS),
        np.zeros(2 * TILE_ROWS, np.int64),
        FEATURES * np.arange(2 * TILE_ROWS)[::-1].copy(),
    ):
        assert tile_after(ADDRESS, offsets, TILE_ROWS, 0, FEATURES, 1) == (ADDRESS + offsets[0], 0)


@given(st.integers(0, 1 << 22), st.integers(0, 1 << 16))
def test_hints_cover_what_there_is_or_leave_no_line_out(size: int, times: int) -> None:
    """As far apart as a cache line at most, and no closer than it takes to reach the end."""
    step = hint_step(size, times)
    assert 0 <= step <= LINE_BYTES
    if times:
        assert step * times >= min(size, LINE_BYTES * times)
        assert step == 0 or (step - 1) * times < size
