"""Where a program's values lie: nothing that is still needed is written over, and what is free is used again."""

from __future__ import annotations

import numpy as np
import pytest
import small_networks as small
from hypothesis import given
from hypothesis import strategies as st

from streameval.kernels.host import TILE_ROWS
from streameval.kernels.packing import Slot, pack, plan
from streameval.kernels.running import Scratch
from streameval.layers import Dense


def run_with_owners(steps: list[list[Slot]], offsets: dict[Slot, int], length: int) -> None:
    """Play the steps: each writes its last slot whole, after finding the others as they were written."""
    owner: list[Slot | None] = [None] * (length // TILE_ROWS)
    for *sources, target in steps:
        for slot in sources:
            begin = offsets[slot] // TILE_ROWS
            assert set(owner[begin : begin + slot.size]) == {slot}
        begin = offsets[target] // TILE_ROWS
        owner[begin : begin + target.size] = [target] * target.size
        for slot in sources:
            begin = offsets[slot] // TILE_ROWS
            assert set(owner[begin : begin + slot.size]) == {slot}


@given(st.data())
def test_a_value_stays_until_the_last_step_that_reads_it(data: st.DataObject) -> None:
    """Each step reads some of the slots that were written before, near or far back."""
    slots = [Slot((size,), size) for size in data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=12))]
    steps = [[slots[0]]]
    for k in range(1, len(slots)):
        sources = data.draw(st.lists(st.integers(0, k - 1), min_size=1, max_size=3, unique=True))
        steps.append([*(slots[i] for i in sources), slots[k]])
    offsets, length = plan(steps)
    assert all(offset % TILE_ROWS == 0 for offset in offsets.values())
    assert length <= sum(slot.size for slot in slots) * TILE_ROWS
    run_with_owners(steps, offsets, length)


def test_a_chain_takes_two_places_and_a_value_that_is_kept_a_third() -> None:
    a, b, c, d = (Slot((8,), 8) for _ in range(4))
    assert plan([[a], [a, b], [b, c], [c, d]])[1] == 2 * 8 * TILE_ROWS
    offsets, length = plan([[a], [a, b], [b, c], [a, c, d]])
    assert length == 3 * 8 * TILE_ROWS
    assert offsets[d] == offsets[b]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_packed_network_knows_its_bytes_and_what_a_thread_works_in(dtype: type) -> None:
    layers = [Dense(*layer) for layer in small.network([40, 30, 50, 7], ["relu", "tanh"])]
    packed = pack(layers, dtype=dtype, scale=1.0)
    assert (packed.features, packed.outputs) == (40, 7)
    arrays = (packed.program, packed.weights, packed.factors, packed.inputs, packed.planes)
    assert packed.nbytes == sum(array.nbytes for array in arrays)
    one, three = Scratch.of(packed, 1), Scratch.of(packed, 3)
    assert three.nbytes == 3 * one.nbytes
    # Two layers of up to 50 neurons and their padding are alive at a time, or a layer and the rows before it.
    assert one.floats.size <= (64 + 64 + 1) * TILE_ROWS
