"""A loss that the kernels know nothing of: squared error for real-valued targets, one value with a tile function."""

from __future__ import annotations

import functools
from collections.abc import Callable

import naive
import numpy as np
import pytest
import small_networks as small
from running_kernels import run

from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS

LAYERS = small.network([45, 33, 5], ["tanh"], seed=3)


class SquaredError:
    """weight * sum_k (z_k - t_k)**2"""

    kernel = "outsiders-error"

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def parameters(self) -> np.ndarray:
        return np.array([self.weight])

    def tile(self) -> Callable[..., None]:
        return _tile()


@functools.cache
def _tile() -> Callable[..., None]:
    @device
    def squared_error(outputs, targets, tile, doubles, results):
        for i in range(tile.count):
            total = 0.0
            for k in range(outputs.count):
                gap = outputs.values[outputs.at + k * TILE_ROWS + i] - targets.rows[tile.first + i, k]
                total += gap * gap
            results.losses[tile.first + i] = targets.parameters[0] * total

    return squared_error


def rows(kind: str, n: int) -> tuple[np.ndarray, float]:
    return (small.pixels("mixed", n, 45), 1 / 255) if kind == "bytes" else (small.floats(n, 45), 1.0)


@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_squared_error_is_its_twin_however_rows_are_cut_and_predicts_nothing(kind: str) -> None:
    x, scale = rows(kind, 97)
    t = np.random.default_rng(2).normal(size=(97, 5))
    whole = run(LAYERS, x, t, loss=SquaredError(0.5), scale=scale)
    exact = 0.5 * ((naive.logits(LAYERS, x * scale) - t) ** 2).sum(axis=1)
    assert np.abs(whole.loss - exact).max() < 2e-5
    assert (whole.predicted == 77).all(), "left as they were"
    for chunk, threads in ((1, 1), (33, 2), (64, 2)):
        cut = run(LAYERS, x, t, loss=SquaredError(0.5), scale=scale, chunk=chunk, threads=threads)
        assert cut.bits() == whole.bits()
    twice = run(LAYERS, x, t, loss=SquaredError(1.0), scale=scale)
    assert np.array_equal(twice.loss, 2.0 * whole.loss)


def test_a_row_that_is_not_finite_has_a_loss_of_nan_by_any_loss() -> None:
    x, _ = rows("floats", 40)
    x[7, 3] = np.inf
    losses = run(LAYERS, x, np.zeros((40, 5)), loss=SquaredError(1.0)).loss
    assert np.flatnonzero(np.isnan(losses)).tolist() == [7]


def test_code_from_outside_the_package_is_not_kept_on_disk() -> None:
    """The cache knows the package's version alone: another's code may change under the same name."""
    from streameval.kernels import caching, forward
    from streameval.kernels.packing import USUAL
    from streameval.losses import CrossEntropy

    usual = USUAL["uint8"]
    assert forward._name("uint8", usual, "outsiders-error", _tile()) == ""
    kept = forward._name("uint8", usual, "cross-entropy", CrossEntropy().tile())
    assert kept == "forward-uint8-dense_bytes-dense-activate-cross-entropy"
    many = forward._name("uint8", usual * 9, "cross-entropy", CrossEntropy().tile())
    assert len(many) < 200
    assert many != forward._name("uint8", usual * 10, "cross-entropy", CrossEntropy().tile())
    run(LAYERS, rows("bytes", 3)[0], np.zeros(3, int))
    folder = caching.cache_folder()
    assert folder is not None
    assert list(folder.glob(f"{kept}*.nbi"))
    assert not list(folder.glob("*outsiders*"))
