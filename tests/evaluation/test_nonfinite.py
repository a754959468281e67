"""Rows whose features are not finite: named and refused, or left out and counted; never a number."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import small_networks as small

import streameval as se
from streameval.errors import DataError

ROWS, BAD = 300, [17, 100, 101]


@pytest.fixture(scope="module")
def model() -> se.Mlp:
    layers = small.network([20, 12, 5], ["sigmoid"], seed=3)
    return se.Mlp([se.Layer(*layer) for layer in layers])


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    x = small.floats(ROWS, 20)
    x[BAD, [0, 7, 19]] = [np.nan, np.inf, -np.inf]
    return x, small.labels(ROWS, 5)


@pytest.mark.parametrize("eps", [1e-7, 0.0])
def test_the_first_row_that_is_not_finite_is_named(model: se.Mlp, data: Any, eps: float) -> None:
    for run in (se.evaluate, se.per_sample_losses, lambda *a, **k: list(se.stream(*a, **k))):
        with pytest.raises(DataError, match=r"row 17: .*NaN or infinite.*3 such rows.*allow_nonfinite"):
            run(model, data, eps=eps)
        with pytest.raises(DataError, match=r"row 101: "):
            run(model, data, rows=[3, 101, 4, 17], eps=eps, chunk_rows=1)
    with pytest.raises(DataError, match=r"row (17|100|101): "):
        se.minibatch(model, data, size=ROWS, replace=False, eps=eps)


@pytest.mark.parametrize("eps", [1e-7, 0.0])
@pytest.mark.parametrize("chunk_rows", [1, 48, 4096])
def test_rows_that_are_not_finite_are_left_out_and_counted_if_allowed(
    model: se.Mlp, data: Any, eps: float, chunk_rows: int
) -> None:
    report = se.evaluate(model, data, eps=eps, chunk_rows=chunk_rows, allow_nonfinite=True)
    good = np.setdiff1d(np.arange(ROWS), BAD)
    expected = se.evaluate(model, data, rows=good, eps=eps).state
    assert report.state == dataclasses.replace(expected, sums=dataclasses.replace(expected.sums, left_out=3))
    assert (report.rows, report.to_dict()["left_out"]) == (ROWS - 3, 3)


@pytest.mark.parametrize("eps", [1e-7, 0.0])
def test_a_network_whose_logits_overflow_is_told(eps: float) -> None:
    model = se.Mlp([se.Layer(np.full((4, 3), 1e38), np.zeros(3), "identity")])
    with pytest.raises(DataError, match=r"row 0: features, logits or targets are NaN or infinite"):
        se.evaluate(model, (np.full((5, 4), 3.0, np.float32), np.zeros(5, np.int64)), eps=eps)
    with pytest.raises(DataError, match=r"row 0: features, logits or targets are NaN or infinite"):
        se.evaluate(model, (np.full((5, 4), 255, np.uint8), np.zeros(5, np.int64)), eps=eps)
