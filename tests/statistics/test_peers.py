"""The anytime-valid formulas against an independent package, `ville`, on draws with replacement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streameval.kernels.betting import TRUNCATION, betting_limits
from streameval.kernels.statistics_predictable import LARGEST, predictable_onward
from streameval.statistics.intervals import interval
from streameval.statistics.intervals.asymptotic import TUNED_FOR, margin

ville = pytest.importorskip("ville", reason="the independent package is not installed: pip install ville")

ROWS = 2000


@pytest.fixture(scope="module")
def x():
    return np.minimum(np.random.default_rng(0).exponential(0.1, ROWS), 1.0)


def test_the_asymptotic_sequence_is_theirs_at_the_same_tuning(x):
    theirs = ville.AsymptoticCS(alpha=0.05, t_opt=TUNED_FOR)
    tuned = -2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))
    # Their search for the narrowest at 500 finds what our formula gives, to a per cent of width.
    wide = np.sqrt((ROWS + theirs.rho_) * np.log((ROWS + theirs.rho_) / (theirs.rho_ * 0.05**2))) / ROWS
    assert margin(float(ROWS), 0.95) == pytest.approx(wide, rel=0.01)
    theirs.rho_ = TUNED_FOR / tuned
    _, low, high = theirs._process(x)
    for n in (200, 1000, ROWS):
        ours = interval(x[:n], "asymptotic")
        assert (ours.low, ours.high) == pytest.approx((low[n - 1], high[n - 1]), rel=1e-9)


def test_capital_with_their_bets_leaves_their_interval(x):
    """They search a grid of 20,000 means and widen to the next point, so ours lies inside, by two steps at most."""
    theirs = ville.BettingCS(alpha=0.05, c=TRUNCATION, grid=20_000, intersect=False)
    _, low, high = theirs._process(x)
    i = np.arange(1, ROWS + 1)
    mu = (0.5 + np.cumsum(x)) / (i + 1)
    variance = (0.25 + np.cumsum((x - mu) ** 2)) / (i + 1)
    before = np.concatenate([[0.25], variance[:-1]])
    bets = np.sqrt(2 * math.log(2 / 0.05) / (before * i * np.log1p(i)))
    for n in (50, 500, ROWS):
        ends = np.empty(2)
        betting_limits(x, bets, n, 0, math.log(2 / 0.05), 0.0, 1.0, ends)
        assert ends[0] == pytest.approx(low[n - 1], abs=1.2e-4)
        assert ends[1] == pytest.approx(high[n - 1], abs=1.2e-4)


def test_the_predictable_bound_with_one_bet_is_theirs(x):
    """With every bet at its limit both are the same sums; what differs otherwise is how bets are chosen."""
    theirs = ville.EmpiricalBernsteinCS(alpha=0.05, c=LARGEST, intersect=False)
    ends = np.empty((ROWS, 2))
    predictable_onward(x, 0, 1e9, False, 0.25, math.log(2 / 0.05), np.zeros(7), ends)
    mean_before = np.concatenate([[0.5], (np.cumsum(x) / np.arange(1, ROWS + 1))[:-1]])
    spent = np.cumsum((x - mean_before) ** 2) * (-math.log1p(-LARGEST) - LARGEST)
    total = LARGEST * np.arange(1, ROWS + 1)
    expected = (LARGEST * np.cumsum(x) - spent - math.log(2 / 0.05)) / total
    assert ends[:, 0] == pytest.approx(np.maximum(expected, 0.0), abs=1e-12)
    _, low, high = theirs._process(x)
    for n in (500, ROWS):
        ours = interval(x[:n], "predictable", bounds=(0.0, 1.0))
        assert ours.high - ours.low < 1.05 * (high[n - 1] - low[n - 1])
