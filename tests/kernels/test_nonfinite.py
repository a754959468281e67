"""What is not finite stays so, and stays in its own row."""

from __future__ import annotations

import numpy as np
import pytest
import small_networks as small
from running_kernels import run

EPSILONS = [1e-7, 0.0, 1e-3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 11, 12, 15, 16, 44])
@pytest.mark.parametrize("eps", EPSILONS)
def test_a_feature_that_is_not_finite_makes_the_loss_of_its_row_nan_and_of_no_other(
    bad: float, column: int, eps: float
) -> None:
    layers = small.network([45, 20, 5], ["sigmoid"], seed=2)
    layers[0].weight[column] = 0.0  # even where no weight lets it through
    x, t = small.floats(50, 45), small.labels(50, 5)
    whole = run(layers, x, t, eps=eps)
    for row in (0, 17, 49):
        spoilt = x.copy()
        spoilt[row, column] = bad
        found = run(layers, spoilt, t, eps=eps)
        others = np.arange(50) != row
        assert np.isnan(found.loss[row])
        assert found.at(others).bits() == whole.at(others).bits()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("is_bytes", [True, False])
@pytest.mark.parametrize("eps", EPSILONS)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("output", [0, 3])
def test_weights_that_are_not_finite_make_every_loss_not_finite(
    layer: int, output: int, bad: float, is_bytes: bool, eps: float
) -> None:
    layers = small.network([20, 8, 5], ["softplus"], seed=2)
    layers[layer].weight[2, output] = bad
    x = small.pixels("dense", 30, 20) if is_bytes else np.abs(small.floats(30, 20))
    assert not np.isfinite(run(layers, x, small.labels(30, 5), eps=eps).loss).any()


def test_a_pixel_of_zero_times_an_infinite_weight_is_nan_as_in_float64() -> None:
    layers = small.network([20, 4], [], seed=2)
    layers[0].weight[5] = np.inf
    x = small.pixels("dense", 20, 20)
    x[:, 5] = 0
    assert np.isnan(run(layers, x, small.labels(20, 4), eps=0.0).loss).all()
