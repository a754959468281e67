"""Quantiles, bands and the worst rows: ranks by exact fractions, coverage on skew losses and on ties."""

from __future__ import annotations

import math
from fractions import Fraction

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streameval.errors import DataError, UsageError
from streameval.statistics.quantiles import (
    distribution_band,
    order_statistics,
    quantile_interval,
    quantile_ranks,
    rank_of,
)
from streameval.statistics.running_band import running_band, running_reach
from streameval.statistics.worst import worst

R = 16.0


def skewed(rng, size):
    """Half a percent of rows at 8 to 16 nats, the others small, many of them equal."""
    values = np.round(rng.exponential(0.1, size), 2)
    heavy = rng.random(size) < 0.005
    values[heavy] = rng.uniform(8, 16, heavy.sum())
    return values


@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e-300, -1e-300]), min_size=1, max_size=60),
    st.data(),
)
def test_order_statistics_are_those_of_sorting(values, data):
    ranks = data.draw(st.lists(st.integers(1, len(values)), min_size=1, max_size=4))
    assert order_statistics(np.array(values), ranks) == [sorted(values)[rank - 1] for rank in ranks]


def test_order_statistics_of_more_rows_than_a_piece():
    values = np.random.default_rng(0).normal(size=150_000)
    ranks = [1, 75_000, 149_999, 150_000]
    assert order_statistics(values, ranks) == np.sort(values)[np.array(ranks) - 1].tolist()


@pytest.mark.parametrize("population", [None, 40, 200])
@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(9, 10), Fraction(1, 40)])
@pytest.mark.parametrize("n", [1, 7, 39])
def test_ranks_are_those_of_exact_fractions(n, share, population):
    expected = naive.quantile_ranks(n, share, Fraction(1, 10), population)
    assert quantile_ranks(n, float(share), level=0.9, population=population) == expected


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.996])
def test_quantile_intervals_hold_as_often_as_they_say(share, replace):
    """1,000 samples of 300 of 4,000 skew losses with ties: at least 95 % less 4 standard errors."""
    rng = np.random.default_rng(1)
    losses = skewed(rng, 4000)
    truth = np.sort(losses)[math.ceil(share * 4000) - 1]
    held = 0
    for _ in range(1000):
        drawn = losses[rng.integers(0, 4000, 300) if replace else rng.permutation(4000)[:300]]
        low, high = quantile_ranks(300, share, population=None if replace else 4000)
        ordered = np.concatenate([[-math.inf], np.sort(drawn), [math.inf]])
        held += ordered[low] <= truth <= ordered[high]
    assert held / 1000 >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 1000)
    found = quantile_interval(drawn, share, population=None if replace else 4000)
    assert (found.low, found.high) == (ordered[low], ordered[high])


def test_a_share_of_rows_is_not_one_row_more_by_rounding():
    assert 0.07 * 100 > 7
    assert [rank_of(share, 100) for share in (0.07, 0.14, 0.28, 0.55, 0.001, 0.999)] == [
        7,
        14,
        28,
        55,
        1,
        100,
    ]


def test_all_rows_give_the_quantile_itself():
    losses = skewed(np.random.default_rng(2), 500)
    found = quantile_interval(losses, 0.9, population=500)
    assert found.low == found.high == np.sort(losses)[449]


@pytest.mark.parametrize("looks", [None, (100, 200, 400, 800)])
def test_bands_hold_for_all_losses_together_and_at_all_looks(looks):
    """1,000 samples, at 90 %: shares at every loss at once; with several looks, at all of them; 4 standard errors."""
    rng = np.random.default_rng(3)
    losses = np.sort(skewed(rng, 5000))
    truth = np.searchsorted(losses, losses, side="right") / 5000
    held = 0
    for _ in range(1000):
        drawn = losses[rng.integers(0, 5000, 800)]
        inside = True
        for k, rows in enumerate(looks or (800,), start=1):
            band = distribution_band(drawn[:rows], level=0.9, look=None if looks is None else k)
            seen = np.searchsorted(band.losses, losses, side="right") / rows
            inside &= bool((np.abs(seen - truth) <= band.reach).all())
        held += inside
    assert held / 1000 >= 0.9 - 4 * math.sqrt(0.09 / 1000)
    low, high = band.quantile(0.5)
    assert band.share(low)[1] >= 0.5 - 1e-9
    assert band.share(high)[0] <= 0.5 + band.reach
    assert band.quantile(0.9999)[1] == math.inf
    assert band.share(-1.0) == (0.0, band.reach)


@pytest.mark.parametrize(("rows", "first", "level"), [(1000, 100, 0.95), (50, 50, 0.9), (10**6, 32, 0.99)])
def test_the_reach_of_the_running_band_is_that_of_plain_formulas(rows, first, level):
    expected = naive.running_reach(rows, first, 1 - level)
    assert running_reach(rows, first=first, level=level) == pytest.approx(expected, rel=1e-4)


def test_the_reach_of_the_running_band_is_that_of_the_authors():
    """The number in the tests of their own program, and the closed form in their paper, which is rounded upward."""
    assert running_reach(1000, first=100) == pytest.approx(0.08204769, rel=1e-5)
    rounded = 0.85 * math.sqrt((math.log(math.log(math.e * 10)) + 0.8 * math.log(1612 / 0.05)) / 1000)
    assert 0.98 * rounded < running_reach(1000, first=100) <= rounded


def test_the_running_band_holds_after_every_row_where_that_of_one_look_does_not():
    """1,000 samples, looked at after every row from 50 to 2,000, at 90 %; 4 standard errors. Losses with ties, so that
    every share can be counted after every row."""
    rng, looks = np.random.default_rng(6), np.arange(50, 2001)
    levels = np.array([0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 8.0, 16.0])
    chances = np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.045, 0.005])
    truth = np.cumsum(chances)
    reach = np.array([running_reach(rows, first=50, level=0.9) for rows in looks])
    fixed = np.sqrt(math.log(2 / 0.1) / (2 * looks))
    missed = np.zeros(2)
    for _ in range(1000):
        drawn = rng.choice(len(levels), 2000, p=chances)
        seen = np.cumsum(drawn[:, None] <= np.arange(len(levels)), axis=0)[49:] / looks[:, None]
        far = np.abs(seen - truth).max(axis=1)
        missed += [(far > reach).any(), (far > fixed).any()]
    band = running_band(levels[drawn], first=50, level=0.9)
    assert (band.reach, band.level, len(band.losses)) == (reach[-1], 0.9, 2000)
    assert missed[0] / 1000 <= 0.1 + 4 * math.sqrt(0.09 / 1000)
    assert missed[1] / 1000 > 0.2


@pytest.mark.parametrize(
    ("size", "share"), [(100, Fraction(1, 10)), (777, Fraction(1, 100)), (50, Fraction(1, 3))]
)
def test_the_worst_rows_cost_what_sorting_says(size, share):
    losses = np.random.default_rng(4).exponential(size=size).round(1)
    found = worst(losses, float(share), bounds=(0.0, R))
    expected = naive.worst_mean(losses.tolist(), share)
    assert found.mean == pytest.approx(float(expected), rel=1e-9)
    assert found.part == pytest.approx(float(expected * share * size) / losses.sum(), rel=1e-9)


@pytest.mark.parametrize("size", [60, 300])
def test_the_worst_of_further_data_lies_where_it_is_said(size):
    """100 samples each, of a population where 0.5 % of rows hold most of the loss: misses in at most 5 %."""
    rng = np.random.default_rng(5)
    many = skewed(rng, 400_000)
    share = 0.01
    top = np.sort(many)[-int(share * len(many)) :]
    mean, part = top.mean(), top.sum() / many.sum()
    missed = np.zeros(2)
    for seed in range(100):
        found = worst(rng.choice(many, size), share, bounds=(0.0, R), seed=seed)
        missed += (mean not in found.mean_interval, part not in found.part_interval)
    assert (missed / 100 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 100)).all()


def test_the_worst_percent_of_mnist_carries_23_percent(mnist_dir):
    found = worst(naive.mnist_losses(mnist_dir), bounds=(0.0, -math.log(1e-7)))
    assert found.part == pytest.approx(0.23, abs=0.001)
    assert 0.15 < found.part_interval.low < found.part < found.part_interval.high < 0.27


def test_losses_a_rounding_over_their_bound_have_a_worst_share():
    """Zero-one losses that went through float32: what passes as a loss within bounds passes in the tail as well."""
    losses = np.concatenate([np.zeros(900), np.ones(98), np.full(2, 1.0000001)])
    found = worst(losses, bounds=(0.0, 1.0))
    assert found.mean_interval.high == 1.0
    with pytest.raises(DataError, match="outside the bounds"):
        worst(losses + 0.1, bounds=(0.0, 1.0))


def test_what_has_no_tail_is_refused():
    with pytest.raises(UsageError, match="share 1"):
        quantile_interval(np.ones(3), 1.0)
    with pytest.raises(UsageError, match="3 losses of 2 rows"):
        quantile_interval(np.ones(3), 0.5, population=2)
    with pytest.raises(DataError, match="losses, row 1"):
        order_statistics(np.array([1.0, math.nan]), [1])
    with pytest.raises(UsageError, match="look 0"):
        distribution_band(np.ones(3), look=0)
    with pytest.raises(UsageError, match="the band begins at first=4"):
        running_band(np.ones(3), first=4)
    with pytest.raises(DataError, match="losses, row 1"):
        running_band(np.array([1.0, math.nan]), first=1)
    with pytest.raises(UsageError, match="needs bounds"):
        worst(np.ones(3), bounds=None)
    with pytest.raises(UsageError, match="share 0"):
        worst(np.ones(3), 0.0, bounds=(0.0, 1.0))
    assert worst(np.ones(1), bounds=(0.0, 2.0)).mean_interval.high == 2.0
    assert worst(np.zeros(100), bounds=(0.0, 2.0)).part == 0.01
