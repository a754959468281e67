"""The bound of what float32 costs holds for every row, whatever the sizes of weights and logits; and is not empty."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import naive
import numpy as np
import pytest

import streameval as se
from streameval.errors import CheckError
from streameval.layers.rounding import STEEP
from streameval.losses import CrossEntropy
from streameval.scoring import make_scorer
from streameval.scoring.rounding import ROWS, Rounding, measure

ACTIVATIONS = [name for name in STEEP if name != "identity"]
GAINS = (0.05, 1.0, 30.0, 300.0, 1e3, 1e5)


def case(activation: str, gain: float, dtype: str, seed: int = 0) -> tuple[list[Any], Any, Any]:
    """Layers 24-20-15-7 whose weights are `gain` times those that keep sums near 1, rows and labels."""
    draws = np.random.default_rng(seed)
    sizes = (24, 20, 15, 7)
    layers = [
        (
            (draws.normal(size=(a, b)) * gain / np.sqrt(a)).astype("f4"),
            draws.normal(size=b).astype("f4"),
            activation if b != sizes[-1] else "identity",
        )
        for a, b in pairwise(sizes)
    ]
    x = draws.integers(0, 256, (ROWS, 24), dtype=np.uint8)
    return (
        layers,
        x if dtype == "uint8" else draws.normal(size=x.shape).astype("f4"),
        draws.integers(0, 7, ROWS),
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_every_row_is_within_the_bound(activation: str, dtype: str) -> None:
    """Rows against an independent float64 twin; a bound that every doubling of the last layer doubles."""
    logits = 0.0
    for gain in GAINS:
        layers, x, t = case(activation, gain, dtype)
        model, source = se.Mlp([se.Layer(*one) for one in layers]), se.open((x, t))
        for eps in (0.0, 1e-7, 1e-300):
            found = measure(model, source, CrossEntropy(eps=eps))
            assert found is not None
            assert (found.rows, found.bound is None) == (ROWS, False)
            ours = make_scorer(model, source, CrossEntropy(eps=eps)).score(source.take(np.arange(ROWS))).loss
            wanted = naive.losses(layers, x * source.scale if dtype == "uint8" else x, t, eps)
            assert np.abs(ours - wanted).max() <= found.bound  # type: ignore[operator]
            assert found.largest == pytest.approx(np.abs(ours - wanted).max(), rel=1e-3, abs=1e-9)
        logits = max(logits, float(np.abs(naive.logits(layers, x / 255 if dtype == "uint8" else x)).max()))
    if activation == "relu":
        assert logits > 1e7


def test_the_bound_is_proportional_to_the_last_layer_and_says_something() -> None:
    layers, x, t = case("sigmoid", 1.0, "uint8")
    weight, bias, name = layers[-1]
    bounds = []
    for factor in (1.0, 2.0, 4.0):
        last = [*layers[:-1], ((weight * factor).astype("f4"), (bias * factor).astype("f4"), name)]
        found = measure(se.Mlp([se.Layer(*one) for one in last]), se.open((x, t)), CrossEntropy(eps=0.0))
        assert found is not None
        assert found.bound is not None
        bounds.append(found.bound)
    assert bounds[1] / bounds[0] == pytest.approx(2.0, rel=1e-6)
    assert bounds[2] / bounds[0] == pytest.approx(4.0, rel=1e-6)
    assert bounds[0] < 1e-4


def test_large_weights_cost_more_than_the_usual_bound_and_the_report_says_so() -> None:
    """What a promise of 2e-5 for every row would have hidden."""
    layers, x, t = case("relu", 30.0, "float32")
    model = se.Mlp([se.Layer(*one) for one in layers])
    report = se.evaluate(model, (x, t), eps=0.0)
    said = report.to_dict()["rounding"]
    assert said["largest"] > 1e-3
    assert said["bound"] > said["largest"]
    assert se.verify(report.to_dict(), model, (x, t)).whole


def test_what_rounding_is_said_to_cost_is_compared() -> None:
    from lies import altered, lies

    layers, x, t = case("sigmoid", 1.0, "uint8")
    model = se.Mlp([se.Layer(*one) for one in layers])
    report = se.evaluate(model, (x, t)).to_dict()
    for name in ("rows", "bound"):
        for lie in lies(report["rounding"][name]):
            if isinstance(lie, float) and lie == pytest.approx(report["rounding"][name], rel=1e-3):
                continue
            with pytest.raises(CheckError):
                se.verify(altered(report, ("rounding", name), lie), model, (x, t))
    with pytest.raises(CheckError):
        se.verify(altered(report, ("rounding", "largest"), 1e-3), model, (x, t))


def test_soft_targets_count_with_their_weights() -> None:
    layers, x, _ = case("tanh", 30.0, "float32")
    t = np.random.default_rng(1).dirichlet(np.ones(7), ROWS)
    found = measure(se.Mlp([se.Layer(*one) for one in layers]), se.open((x, t)), CrossEntropy(eps=0.0))
    assert found is not None
    assert found.bound is not None
    assert 0.0 < found.largest <= found.bound


def test_where_nothing_is_known_nothing_is_said() -> None:
    _, x, t = case("sigmoid", 1.0, "uint8")
    weight = np.zeros((24, 200_000), "f4")
    large = se.Mlp(
        [se.Layer(weight, weight[0], "relu"), se.Layer(weight.T[:, :7], weight[0, :7], "identity")]
    )
    assert measure(large, se.open((x, t)), CrossEntropy()) is None
    with pytest.raises(ValueError, match="rounding of"):
        Rounding.from_dict({"rows": 0, "largest": 0.0, "bound": None})
