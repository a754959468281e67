"""Where byte rows lie in memory changes no bit: at any address, side by side or apart, in batches and the rest."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_networks as small
from numpy.typing import NDArray

import streameval as se
from streameval.kernels import bytes_amx
from streameval.kernels.packing import pack
from streameval.kernels.program import Rows
from streameval.kernels.running import Forward, Scratch
from streameval.losses import CrossEntropy

# Two batches of the largest that an engine takes, and some rows more.
ROWS = 2 * 128 + 37
# Rows that begin at one, two, four, eight and 64 places of a line.
FEATURES = [64, 96, 784, 72, 203]


def model(features: int) -> se.Mlp:
    rng = np.random.default_rng(features)
    weight = rng.normal(size=(features, 21), scale=2.0 / np.sqrt(features)).astype(np.float32)
    head = rng.normal(size=(21, 10)).astype(np.float32)
    zeros = np.zeros(21, np.float32), np.zeros(10, np.float32)
    return se.Mlp([se.Layer(weight, zeros[0], "tanh"), se.Layer(head, zeros[1], "identity")])


def moved(x: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """The same rows, `by` bytes after a line's start, the bytes around them not zero."""
    room = np.full(x.size + 3 * 64, 255, np.uint8)
    start = -room.ctypes.data % 64 + by
    place = room[start : start + x.size].reshape(x.shape)
    place[:] = x
    return place


@pytest.mark.parametrize("features", FEATURES)
def test_losses_are_the_same_bits_wherever_the_rows_begin(features: int) -> None:
    x, t = small.pixels("mixed", ROWS, features), small.labels(ROWS, 10)
    network = model(features)
    expected = se.per_sample_losses(network, (moved(x, 0), t), eps=0.0)
    assert expected == pytest.approx(naive.cross_entropy(network.reference(x * (1 / 255)), t, 0.0), abs=2e-5)
    for by in (1, 2, 4, 16, 36, 48, 60, 63):
        found = se.per_sample_losses(network, (moved(x, by), t), eps=0.0)
        assert found.tobytes() == expected.tobytes(), by


@pytest.mark.parametrize("features", FEATURES)
def test_losses_are_the_same_bits_in_any_order(features: int) -> None:
    """Though the first and the last row of a batch are as far apart as if all lay side by side."""
    x, t = moved(small.pixels("mixed", ROWS, features), 0), small.labels(ROWS, 10)
    packed = pack(list(model(features).layers), dtype=np.uint8, scale=1 / 255)
    loss = CrossEntropy()
    forward = Forward(packed, Scratch.of(packed, 1), loss)

    def losses(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        found, predicted = np.empty(ROWS), np.empty(ROWS, np.int64)
        forward(x.reshape(-1), rows * features, t[rows], found, predicted)
        return found

    order = np.arange(ROWS)
    expected = losses(order)
    swapped = order.copy()
    swapped[[3, 40]] = order[[40, 3]]
    for rows in (swapped, order[::-1].copy(), np.random.default_rng(0).permutation(ROWS)):
        assert losses(rows).tobytes() == expected[rows].tobytes()


@pytest.mark.parametrize(
    ("features", "address", "apart"),
    [(64, 0, 1), (96, 0, 2), (784, 0, 4), (784, 16, 4), (784, 4, 4), (784, 2, 0), (72, 0, 0), (203, 0, 0)],
)
def test_which_rows_tile_registers_take_as_they_lie(features: int, address: int, apart: int) -> None:
    offsets = np.arange(bytes_amx._BATCH + 1) * features
    rows = Rows(np.empty(0, np.uint8), address, offsets)
    assert bytes_amx.rows_apart.py_func(rows, 1, bytes_amx._BATCH, features) == apart
    assert bytes_amx.rows_apart.py_func(rows, 1, bytes_amx._BATCH - 1, features) == 0
    offsets[[5, 7]] = offsets[[7, 5]]
    assert bytes_amx.rows_apart.py_func(rows, 1, bytes_amx._BATCH, features) == 0
