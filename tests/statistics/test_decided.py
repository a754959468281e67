"""The sign of a mean at any look: the capital by plain loops, how often it is wrong, and what goes with it."""

from __future__ import annotations

import math

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streameval.errors import DataError, UsageError
from streameval.statistics.decided import SignTest, decide, evidence
from streameval.statistics.mcnemar import mcnemar, of_counts
from streameval.statistics.multiple import e_bh, holm
from streameval.statistics.power import power_of

BOUNDS = (-16.0, 16.0)


def fed(values, population, *cuts, bounds=BOUNDS):
    test = SignTest(population, bounds=bounds)
    for piece in np.split(np.asarray(values, float), cuts):
        test.feed(piece)
    return test


@pytest.mark.parametrize("population", [None, 60, 45])
def test_the_capital_is_that_of_plain_loops_however_it_is_fed(population):
    rng = np.random.default_rng(1)
    values = np.where(rng.random(45) < 0.1, rng.uniform(-14, 16, 45), rng.normal(0.3, 0.2, 45))
    path = naive.sign_capital(values.tolist(), BOUNDS, population)
    for test in (fed(values, population), fed(values, population, 7, 8, 30)):
        for rows in (1, 2, 20, 45):
            assert test.log_e(rows) == pytest.approx(math.log(sum(path[rows - 1]) / 2), rel=1e-9, abs=1e-12)
        assert test.p_value() == pytest.approx(min(1.0, 1 / max(sum(both) / 2 for both in path)), rel=1e-9)


def test_the_interval_ends_where_capital_against_its_ends_reaches_the_price():
    """Seen from outside: shifting all values by an end makes that end the 0 that is just not decided."""
    values = np.random.default_rng(3).normal(0.8, 0.5, 300)
    test = fed(values, None)
    low, high = test.ends()
    assert low < 0.8 < high
    assert (test.decided() is not None) == (low > 0)
    first = test.decided()
    assert first is not None
    assert test.ends(first)[0] >= -1e-9
    assert test.ends(first - 1)[0] <= 1e-9
    assert test.ends(level=0.99)[0] < low


def skewed(rng, rows):
    """Differences of two models that are equally good: most nearly 0, few rows of up to 16 nats either way."""
    values = rng.normal(0.0, 0.05, rows)
    heavy = rng.random(rows) < 0.005
    values[heavy] = rng.uniform(8, 16, heavy.sum()) * rng.choice([-1, 1], heavy.sum())
    return values - values.mean()


@pytest.mark.parametrize("kind", ["skewed", "accuracy", "all of a kind"])
def test_equal_models_are_told_apart_as_rarely_as_promised(kind):
    """1,000 orders of one population whose mean is exactly 0, every look counted: at most 5 % and 4 standard errors."""
    rng = np.random.default_rng(4)
    if kind == "skewed":
        values, bounds = skewed(rng, 4000), (-17.0, 17.0)
    elif kind == "accuracy":
        values, bounds = np.repeat([-1.0, 0.0, 1.0], [120, 3760, 120]), (-1.0, 1.0)
    else:
        values, bounds = np.repeat([-0.001, 2.0], [4000, 2]), (-17.0, 17.0)
    wrong = 0
    for _ in range(1000):
        test = fed(rng.permutation(values)[:3900], len(values), bounds=bounds)
        wrong += test.decided() is not None
    assert wrong / 1000 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 1000)


def test_a_wrong_sign_is_rarer_still_and_the_intervals_hold_at_the_look_where_it_stops():
    """500 orders of differences whose mean is just above 0: a wrong sign in at most 2.5 %, ends in at most 5 %."""
    rng = np.random.default_rng(5)
    values = skewed(rng, 4000) + 0.02
    wrong = missed = 0
    for seed in range(500):
        found, _ = decide(lambda rows: values[rows], len(values), seed=seed, bounds=(-17.0, 17.0))
        wrong += found.sign < 0
        missed += not found.low - 1e-9 <= values.mean() <= found.high + 1e-9
        if found.stopped == "exhausted":
            assert (found.low, found.high, found.sign) == (found.loss, found.loss, 1)
    assert wrong / 500 <= 0.025 + 4 * math.sqrt(0.025 / 500)
    assert missed / 500 <= 0.05 + 4 * math.sqrt(0.05 / 500)


def test_a_clear_difference_is_decided_from_few_rows():
    values = np.random.default_rng(6).normal(-1.0, 0.5, 10_000)
    found, _ = decide(lambda rows: values[rows], 10_000, bounds=BOUNDS)
    assert (found.sign, found.stopped) == (-1, "decided")
    assert found.high < 0
    assert found.rows_read < 200
    assert found.p_value <= 0.05
    assert found.e_value >= 20


def test_e_values_for_further_data_are_one_on_average_where_models_are_equal():
    """4,000 samples of 15 rows: the mean of e-values lies within 4 of its own standard errors of 1."""
    rng = np.random.default_rng(7)
    found = [evidence(rng.choice([-1.0, 0.0, 1.0], 15), seed=k, bounds=(-1.0, 1.0)) for k in range(4000)]
    e = np.array([one.e_value for one in found])
    assert e.mean() == pytest.approx(1.0, abs=4 * e.std() / math.sqrt(4000))
    assert np.mean([one.p_value <= 0.05 for one in found]) <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_evidence_in_pieces_is_that_of_one():
    values = np.random.default_rng(8).normal(0.01, 1.0, 70_000).clip(-16, 16)
    found = evidence(values, seed=3, bounds=BOUNDS)
    from streameval.statistics.samples import Permutation

    whole = fed(values[Permutation.of(70_000, seed=3).take(0, 70_000)], None)
    assert found.e_value == pytest.approx(whole.e_value(), rel=1e-9)
    assert found.p_value == pytest.approx(whole.p_value(), rel=1e-9)


def test_what_cannot_be_decided_is_refused():
    with pytest.raises(UsageError, match="needs bounds"):
        SignTest(10, bounds=None)
    with pytest.raises(UsageError, match="0 strictly between"):
        SignTest(10, bounds=(0.0, 1.0))
    with pytest.raises(UsageError, match="11 rows fed"):
        fed(np.zeros(11), 10)
    with pytest.raises(DataError, match="outside the bounds"):
        fed([17.0], 10)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.04, 0.3, 1.0]), min_size=1, max_size=6))
def test_holm_s_p_values_are_the_errors_at_which_claims_are_made(p_values):
    assert holm(p_values) == pytest.approx(naive.holm(p_values), abs=1e-12)


def test_e_bh_makes_the_largest_set_that_carries_itself():
    assert e_bh([100.0, 1.0, 39.0, 20.0], 0.05) == [True, False, False, False]
    assert e_bh([100.0, 1.0, 40.0, 20.0], 0.05) == [True, False, True, False]
    assert e_bh([79.0, 41.0, 27.0, 20.0], 0.05) == [True, True, True, True]
    assert e_bh([19.0], 0.05) == [False]
    assert e_bh([20.0], 0.05) == [True]


def test_false_discoveries_of_e_bh_are_as_few_as_promised():
    """2,000 times ten comparisons, of which seven are of equal models: the share of false claims is at most 10 %."""
    rng = np.random.default_rng(9)
    shares = []
    for _ in range(2000):
        z = rng.normal(size=10) + np.where(np.arange(10) < 3, 4.0, 0.0)
        made = e_bh(np.exp(2.0 * z - 2.0).tolist(), 0.1)
        shares.append(sum(made[3:]) / max(1, sum(made)))
    assert np.mean(shares) <= 0.1 + 4 * np.std(shares) / math.sqrt(2000)


@pytest.mark.parametrize(("one", "two"), [(0, 0), (0, 5), (3, 11), (7, 7), (8, 7), (900, 1000), (1, 40_000)])
def test_mcnemar_is_the_exact_binomial_test(one, two):
    expected = stats.binomtest(one, one + two).pvalue if one + two else 1.0
    assert of_counts(one, two) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert of_counts(two, one) == of_counts(one, two)
    assert of_counts(one, one + 1) == of_counts(one + 1, one) == 1.0


def test_mcnemar_counts_the_rows_that_one_model_alone_gets_right():
    rng = np.random.default_rng(10)
    first, second = rng.random(100_000) < 0.9, rng.random(100_000) < 0.91
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (np.sum(first & ~second), np.sum(second & ~first))
    with pytest.raises(UsageError, match="same rows"):
        mcnemar(first, second[1:])


def test_what_is_called_detectable_is_detected_as_often():
    """2,000 repeats with the detectable difference as the true one: 80 %, within 4 standard errors."""
    rng = np.random.default_rng(11)
    pilot = power_of(0.3, 0.1, 100)
    seen = [abs(rng.normal(pilot.detectable, 0.1)) > 1.959964 * 0.1 for _ in range(2000)]
    assert np.mean(seen) == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 2000))
    assert pilot.rows_for_difference == math.ceil(100 * (2.8015852 * 0.1 / 0.3) ** 2)
    assert power_of(0.0, 0.1, 100).rows_for_difference is None
    assert power_of(1e-200, 0.1, 100).rows_for_difference is None
    assert power_of(0.3, 0.1, 100, power=0.5).detectable == pytest.approx(0.1959964)
    assert power_of(0.3, 0.1, 100, power=0.2).detectable < 0.1959964
