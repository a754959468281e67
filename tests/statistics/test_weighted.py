"""Rows drawn by older losses: chances, exact expectations, bounds, coverage, and rows saved on MNIST."""

from __future__ import annotations

import math

import naive_statistics as naive
import numpy as np
import pytest

from streameval.errors import DataError, UsageError
from streameval.losses import CrossEntropy
from streameval.statistics.decided import decide
from streameval.statistics.difference import difference_until
from streameval.statistics.until import until
from streameval.statistics.weighted import UNIFORM, WeightedDraws, weighted_decide, weighted_until

BOUNDS = CrossEntropy(eps=1e-7).bounds
R = BOUNDS[1]


def population(rng, rows=2000):
    """Older losses, mostly small; new ones like them, but for a few rows that went from least to most or back."""
    old = rng.exponential(0.2, rows).clip(0, R)
    new = (old * rng.uniform(0.8, 1.2, rows)).clip(0, R)
    new[rng.random(rows) < 0.003] = R
    new[rng.random(rows) < 0.003] = 0.0
    return old, new


@pytest.mark.parametrize("uniform", [0.2, UNIFORM, 1.0])
@pytest.mark.parametrize("tuned", [0.0, 0.6, 1.0])
def test_the_expectation_over_the_chances_is_the_mean_and_no_value_passes_the_limits(uniform, tuned):
    """By the plain formula of the chances, over all rows: exact, not simulated."""
    old, new = population(np.random.default_rng(0))
    draws = WeightedDraws.of(old, bounds=BOUNDS, uniform=uniform)
    chances = naive.draw_chances(old.tolist(), BOUNDS[0], uniform)
    assert sum(chances) == pytest.approx(1.0, rel=1e-12)
    rows = np.arange(len(old))
    assert draws.weights(rows) == pytest.approx([1 / (len(old) * q) for q in chances], rel=1e-10)
    values = draws.values(rows, new, tuned) + tuned * old.mean()
    assert math.fsum(np.array(chances) * values) == pytest.approx(new.mean(), rel=1e-9)
    low, high = draws.loose_limits
    for extreme in BOUNDS:
        shifted = draws.values(rows, np.full(len(old), extreme), tuned) - (1 - tuned) * old.mean()
        assert low - 1e-9 <= shifted.min() <= shifted.max() <= high + 1e-9
        if tuned == 1.0:
            least, most = draws.limits
            assert least - 1e-9 <= shifted.min() <= shifted.max() <= most + 1e-9


def test_rows_come_as_often_as_their_chances_say_however_the_stream_is_cut():
    """200,000 draws of 50 rows: chi squared with 49 degrees of freedom, exceeded by chance in one of 10,000."""
    old = np.random.default_rng(1).exponential(size=50).clip(0, R)
    draws = WeightedDraws.of(old, bounds=BOUNDS, seed=4, uniform=0.3)
    rows = draws.take(0, 200_000)
    wanted = 200_000 * np.array(naive.draw_chances(old.tolist(), BOUNDS[0], 0.3))
    assert np.sum((np.bincount(rows, minlength=50) - wanted) ** 2 / wanted) < 96.7
    again = WeightedDraws.of(old, bounds=BOUNDS, seed=4, uniform=0.3)
    parts = [again.take(a, b) for a, b in ((0, 10), (10, 3000), (3000, 3001), (3001, 9000))]
    assert np.array_equal(np.concatenate(parts), rows[:9000])


def test_intervals_hold_and_signs_are_right_as_often_as_promised_on_skew_losses():
    """200 seeds each; 3 rows in 1,000 go from least to 16 nats: at most 5 % miss, at 4 standard errors."""
    old, new = population(np.random.default_rng(2))
    new = (new - (new - old).mean() - 0.01).clip(0, R)
    missed = wrong = 0
    for seed in range(200):
        draws = WeightedDraws.of(old, bounds=BOUNDS, seed=seed)
        found = weighted_until(lambda rows: new[rows], draws, half_width=0.08)
        missed += not found.low - 1e-9 <= new.mean() <= found.high + 1e-9
        sign, _ = weighted_decide(lambda rows: new[rows], draws)
        wrong += sign.sign != np.sign(new.mean() - old.mean())
    assert missed / 200 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 200)
    assert wrong / 200 <= 0.025 + 4 * math.sqrt(0.025 / 200)


def test_every_look_counts():
    """Equal means: the sign is decided at some look in at most 5 % of 400 streams, at 4 standard errors."""
    old, _ = population(np.random.default_rng(3), 1000)
    new = old[::-1].copy()
    decided = 0
    for seed in range(400):
        found, _ = weighted_decide(lambda rows: new[rows], WeightedDraws.of(old, bounds=BOUNDS, seed=seed))
        decided += found.stopped == "decided"
    assert decided / 400 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 400)


def test_what_is_not_known_in_as_many_draws_as_rows_is_read_and_exact():
    old, new = population(np.random.default_rng(4), 300)
    steps = []
    draws = WeightedDraws.of(old, bounds=BOUNDS)
    found = weighted_until(lambda rows: new[rows], draws, half_width=1e-5, on_step=steps.append)
    assert (found.stopped, found.low, found.high) == ("exhausted", found.loss, found.loss)
    assert found.loss == pytest.approx(new.mean(), rel=1e-12)
    assert steps[-1].loss == found.loss
    same, _ = weighted_decide(lambda rows: old[rows], draws)
    assert (same.stopped, same.sign) == ("exhausted", 0)


def test_older_losses_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="needs bounds"):
        WeightedDraws.of(np.ones(3), bounds=None)
    with pytest.raises(DataError, match="expected within"):
        WeightedDraws.of(np.array([1.0, 17.0]), bounds=BOUNDS)
    with pytest.raises(UsageError, match="uniform 0"):
        WeightedDraws.of(np.ones(3), bounds=BOUNDS, uniform=0.0)
    zero = WeightedDraws.of(np.zeros(10), bounds=(0.0, 1.0))
    assert (zero.weights(np.arange(10)) == 1.0 / UNIFORM).all() or (zero.weights(np.arange(10)) == 1.0).all()


def test_rows_to_a_hundredth_and_to_a_sign_on_mnist(mnist_dir):
    """Before: 22,923 rows of the new model alone, about 5,800 by uniform differences. Seeds fixed."""
    old, new = (naive.mnist_losses(mnist_dir, change) for change in ("none", "earlier"))
    read = lambda rows: new[rows]  # noqa: E731
    plain = until(read, 60_000, half_width=0.01, bounds=BOUNDS)
    uniform = difference_until(read, old, half_width=0.01, bounds=BOUNDS)
    weighted = weighted_until(read, WeightedDraws.of(old, bounds=BOUNDS), half_width=0.01)
    assert plain.rows_read > 20_000
    assert uniform.rows_read < 9_000
    assert weighted.rows_read < 0.85 * uniform.rows_read
    assert weighted.low <= new.mean() <= weighted.high
    gap = new - old
    bounds = (-float(old.max()), R - float(old.min()))
    slow, _ = decide(lambda rows: gap[rows], 60_000, bounds=bounds)
    fast, _ = weighted_decide(read, WeightedDraws.of(old, bounds=BOUNDS))
    assert (slow.sign, fast.sign) == (1, 1)
    assert fast.rows_read < 0.6 * slow.rows_read
