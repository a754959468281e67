"""One suite over every row of INTERVALS: the same promises, each checked against its naive twin."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from streameval.errors import DataError, UsageError
from streameval.losses import CrossEntropy
from streameval.statistics.accuracy import accuracy_interval, hypergeometric_tail, incomplete_beta
from streameval.statistics.bounds import difference_bounds
from streameval.statistics.intervals import INTERVALS, Batch, interval, lookup
from streameval.statistics.intervals.betting import log_capital, threshold
from streameval.statistics.intervals.method import quantile
from streameval.statistics.intervals.unseen import Seen
from streameval.statistics.student import t_quantile

BOUNDS = (0.0, 16.0)
EVERY = pytest.mark.parametrize("method", INTERVALS)
BOUNDED = [name for name, row in INTERVALS.items() if row.bounded]
losses = st.lists(st.floats(0.0, 16.0, allow_subnormal=False), min_size=2, max_size=40)


def sample(n=60, seed=0):
    return np.minimum(np.random.default_rng(seed).exponential(0.3, n), 16.0)


def ends(found):
    return found.low, found.high


@EVERY
@pytest.mark.parametrize("population", [None, 61, 90, 100_000])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_it_is_the_naive_formula(method, population, level):
    for seed in range(3):
        values = sample(seed=seed)
        expected = getattr(naive, method)(values.tolist(), level, population, BOUNDS)
        found = interval(values, method, level=level, population=population, bounds=BOUNDS)
        assert ends(found) == pytest.approx(expected, rel=1e-9, abs=5e-9)


@EVERY
@given(values=losses, extra=st.integers(1, 100), replace=st.booleans())
@settings(max_examples=40, deadline=None)
def test_it_contains_the_sample_mean(method, values, extra, replace):
    found = interval(values, method, population=None if replace else len(values) + extra, bounds=BOUNDS)
    assert found.low <= np.mean(values) * (1 + 1e-12)
    assert found.high >= np.mean(values) * (1 - 1e-12)


@EVERY
@given(values=losses)
@settings(max_examples=40, deadline=None)
def test_when_all_rows_are_seen_it_is_the_mean_and_has_width_zero(method, values):
    found = interval(values, method, population=len(values), bounds=BOUNDS)
    assert found.low == found.high == math.fsum(values) / len(values)
    assert found.half_width == 0.0
    assert found.warning is None


@EVERY
@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1e-6, 0.0), (2.0, -7.0), (1.0, 100.0)])
@pytest.mark.parametrize("population", [None, 100])
def test_scaled_and_shifted_losses_give_the_interval_scaled_and_shifted(method, scale, shift, population):
    values = sample()
    plain = interval(values, method, population=population, bounds=BOUNDS)
    limits = (shift, 16.0 * scale + shift)
    moved = interval(values * scale + shift, method, population=population, bounds=limits)
    slack = 1e-8 * 16.0 * scale + 1e-9 * abs(shift)
    assert moved.low == pytest.approx(plain.low * scale + shift, abs=slack)
    assert moved.high == pytest.approx(plain.high * scale + shift, abs=slack)


@pytest.mark.parametrize("method", [name for name in INTERVALS if name != "bernstein"])
def test_mirrored_losses_give_the_mirrored_interval(method):
    values = sample()
    plain = interval(values, method, population=100, bounds=BOUNDS)
    mirrored = interval(16.0 - values, method, population=100, bounds=BOUNDS)
    assert mirrored.low == pytest.approx(16.0 - plain.high, abs=1e-7)
    assert mirrored.high == pytest.approx(16.0 - plain.low, abs=1e-7)


@EVERY
@pytest.mark.parametrize("population", [None, 200])
def test_a_higher_level_is_never_narrower(method, population):
    values = sample(seed=3)
    levels = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
    found = [interval(values, method, level=level, population=population, bounds=BOUNDS) for level in levels]
    for narrow, wide in itertools.pairwise(found):
        assert wide.low <= narrow.low + 1e-8
        assert wide.high >= narrow.high - 1e-8


@EVERY
def test_more_rows_are_narrower(method):
    values = np.tile(sample(100, seed=4), 100)
    widths = [interval(values[:n], method, bounds=BOUNDS).half_width for n in (100, 1000, 10000)]
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize("method", BOUNDED)
def test_what_the_rows_force_is_never_left(method):
    """With 59 of 60 rows seen, the last can move the mean by 16 / 60 at most."""
    values = sample(59)
    found = interval(values, method, population=60, bounds=BOUNDS)
    assert found.low >= values.sum() / 60 - 1e-12
    assert found.high <= (values.sum() + 16.0) / 60 + 1e-12
    assert interval([3.0], method, bounds=BOUNDS).low >= 0.0
    assert interval([3.0], method, bounds=BOUNDS).high <= 16.0


@EVERY
def test_one_row_has_an_answer(method):
    found = interval([0.5], method, population=10, bounds=BOUNDS)
    assert found.low <= 0.5 <= found.high
    if method in BOUNDED:
        assert found.low >= 0.05 - 1e-12
        assert found.high <= 14.45 + 1e-12
    else:
        assert ends(found) == (-math.inf, math.inf)
        assert "One row" in found.warning
        assert found.to_dict()["low"] is None


@EVERY
def test_it_is_frozen_and_says_what_it_assumes(method):
    found = interval(sample(), method, bounds=BOUNDS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.low = 0.0
    assert found.assumes.endswith(".")
    assert found.assumes.count(".") == 1
    assert (found.method, found.level) == (method, 0.95)
    assert 0.0 not in dataclasses.replace(found, low=0.1, high=0.2)
    assert set(found.to_dict()) == {"low", "high", "level", "method", "assumes", "warning"}


@EVERY
def test_impossible_samples_are_refused(method):
    for values, population, error, said in [
        ([], None, UsageError, "at least one loss"),
        ([[1.0, 2.0]], None, UsageError, "flat list"),
        ([1.0, 2.0], 1, UsageError, "2 of them, drawn without replacement from 1 rows"),
        ([1.0, math.inf], None, DataError, "entry 1: inf"),
        ([math.nan, 1.0], None, DataError, "entry 0: nan"),
    ]:
        with pytest.raises(error, match=said):
            interval(values, method, population=population, bounds=BOUNDS)
    for level in (0.0, 1.0, 95, math.nan):
        with pytest.raises(UsageError, match="level"):
            interval([1.0, 2.0], method, level=level, bounds=BOUNDS)


@pytest.mark.parametrize("method", BOUNDED)
def test_without_bounds_a_guarantee_is_refused_with_the_reason(method):
    with pytest.raises(UsageError, match=r"has none with eps = 0\): one unseen row could hold any loss"):
        interval(sample(), method, bounds=CrossEntropy(eps=0.0).bounds)
    with pytest.raises(DataError, match="outside the bounds"):
        interval([0.1, 17.0], method, bounds=BOUNDS)
    with pytest.raises(UsageError, match="the smaller first"):
        interval(sample(), method, bounds=(1.0, 1.0))


def test_unknown_methods_are_refused_with_the_list():
    with pytest.raises(UsageError, match=f"Choose one of {', '.join(INTERVALS)}"):
        interval(sample(), "exact")


def test_the_bounds_of_cross_entropy_are_those_of_the_clipped_logarithm():
    low, high = CrossEntropy(eps=1e-7).bounds
    assert high == pytest.approx(16.118095650958319, rel=1e-15)
    assert low == pytest.approx(-1e-7, rel=1e-6)
    assert difference_bounds((0.0, 16.0)) == (-16.0, 16.0)
    assert difference_bounds(None) is None
    assert CrossEntropy(eps=0.0).bounds is None
    with pytest.raises(UsageError, match="eps"):
        CrossEntropy(eps=-1.0)


def test_the_normal_interval_warns_where_it_should_not_be_trusted():
    heavy = np.concatenate([np.full(95, 0.01), np.full(5, 8.0)])
    g = stats.skew(heavy)
    assert 25 * g**2 > 100
    warned = interval(heavy, "normal")
    assert f"skewness {g:.1f}" in warned.warning
    assert f"about {25 * g**2:.0f}" in warned.warning
    assert "above" in warned.warning
    assert "below" in interval(-heavy, "normal").warning
    assert interval(np.random.default_rng(0).normal(size=1000), "normal").warning is None
    assert "too few" in interval([0.1, 0.3], "normal").warning
    assert "equal" in interval([0.1] * 50, "normal").warning
    assert "equal" in interval([0.1] * 50, "skew").warning
    assert "serfling" in interval(sample(), "bernstein", population=100, bounds=BOUNDS).warning
    assert interval(sample(), "betting", population=100, bounds=BOUNDS).warning is None


def test_no_side_is_said_where_only_the_rows_are_few():
    for values in ([0.1, 0.3], [-3.0, -1.0, 1.0, 3.0] * 5):
        warned = interval(values, "normal").warning
        assert "above" not in warned
        assert "below" not in warned


APPROXIMATE = [name for name in INTERVALS if name not in BOUNDED]


@pytest.mark.parametrize("method", APPROXIMATE)
@pytest.mark.parametrize("population", [None, 2000])
def test_rows_of_a_kind_not_drawn_are_warned_of_where_they_could_matter(method, population):
    """The rule of three, written out; 'betting' is named where there are bounds."""
    values = sample(200)
    draws = 200 if population is None else -population * math.log1p(-200 / population)
    reach = math.log(20) / draws * (16.0 - values.mean())
    found = interval(values, method, population=population, bounds=BOUNDS)
    assert reach > found.half_width
    assert (
        f"would move the mean by {reach:.2g}, more than the half-width of {found.half_width:.2g}"
        in found.warning
    )
    assert "'betting' is guaranteed" in found.warning
    near = (0.0, float(values.max()) * 1.01)
    calm = interval(values, method, population=population, bounds=near)
    assert math.log(20) / draws * (near[1] - values.mean()) < calm.half_width
    assert "betting' is guaranteed" not in (calm.warning or "").replace(
        "'skew' is better, 'betting' is guaranteed", ""
    )
    more = np.append(values, 15.0)
    unbounded = interval(more, method, population=population)
    draws = 201 if population is None else -population * math.log1p(-201 / population)
    warned = "and no bound is known" in (unbounded.warning or "")
    assert warned == (math.log(20) / draws * (15.0 - more.mean()) > unbounded.half_width)


def test_a_share_that_stays_unseen_does_so_with_the_probability_said():
    """K of N rows are missed by n draws with probability a, to within a row more or less."""
    for n, population in [(100, None), (300, 60_000), (500, 1000)]:
        share = Seen(n, population, 0.0, 0.0, 1.0).share(0.95)
        if population is None:
            assert (1 - share) ** n == pytest.approx(0.05, rel=0.05)
            continue
        kind = share * population
        missed = [stats.hypergeom.pmf(0, population, k, n) for k in (math.floor(kind), math.ceil(kind))]
        assert missed[1] <= 0.05 * 1.01
        assert missed[0] >= 0.05 * 0.97
    assert Seen(7, 7, 0.0, 0.0, 1.0).share(0.95) == 0.0


def test_an_interval_that_is_too_low_where_rare_losses_decide_has_a_warning():
    rng = np.random.default_rng(0)
    losses = np.where(rng.random(20_000) < 0.005, rng.uniform(8, 16, 20_000), rng.exponential(0.05, 20_000))
    missed = 0
    for seed in range(200):
        drawn = losses[np.random.default_rng(seed).integers(0, 20_000, 100)]
        found = interval(drawn, "skew", bounds=BOUNDS)
        if found.high < losses.mean():
            missed += 1
            assert "'betting' is guaranteed" in found.warning
    assert missed > 50  # some 6 in 10 batches have none of the rare rows


@EVERY
def test_no_end_lies_where_no_loss_can(method):
    values = np.concatenate([np.zeros(95), np.full(5, 0.2)])
    found = interval(values, method, bounds=BOUNDS)
    assert found.low >= 0.0
    if method in APPROXIMATE:
        assert interval(np.append(values, 8.0), method, bounds=(0.0, math.inf)).low >= 0.0
        assert (
            interval(np.append(values, 8.0), "normal").low < 0.0
        )  # bounds that are not known are not assumed


def test_intervals_tuned_to_their_size_do_not_say_that_they_may_be_looked_at_any_time():
    assert {name for name, row in INTERVALS.items() if row.anytime} == {"asymptotic"}
    for name in ("betting", "predictable"):
        assert "number was fixed before" in INTERVALS[name].assumes


def test_retuned_at_every_look_betting_misses_too_often_and_the_sequence_does_not():
    """120 looks at losses at the two bounds, 2,000 orders; each bound is 3 standard errors from 0.05."""
    rng = np.random.default_rng(3)
    values = (rng.random((2000, 1200)) < 0.5).astype(float)
    retuned = np.zeros(2000, bool)
    for n in range(10, 1201, 10):
        below, above = INTERVALS["betting"].missed(
            Batch(np.ascontiguousarray(values[:, :n])), 0.95, 0.5, (0.0, 1.0)
        )
        retuned |= below | above
    capital = log_capital(Batch(values), 0.95, 0.5, (0.0, 1.0), ever=True, half_width=0.05)
    assert retuned.mean() > 0.05 + 3 * 0.005
    assert (capital.max(axis=1) >= threshold(0.95)).mean() <= 0.05 + 3 * 0.005


@pytest.mark.parametrize("freedom", [1, 2, 2.7, 9, 30.5, 500, 1e6])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_t_quantiles_are_scipys(freedom, level):
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-7)
    assert t_quantile(level, math.inf) == pytest.approx(stats.norm.ppf(0.5 + level / 2), rel=1e-12)


@EVERY
def test_rows_in_file_order_are_warned_of_unless_they_are_all(method):
    values = sample(100)
    rows = np.arange(0, 200, 2)
    found = interval(values, method, population=1000, bounds=BOUNDS, rows=rows)
    plain = interval(values, method, population=1000, bounds=BOUNDS)
    assert "one row in 2" in found.warning
    assert found.warning.endswith(plain.warning or "")
    assert ends(found) == ends(plain)
    assert interval(values, method, population=100, bounds=BOUNDS, rows=np.arange(100)).warning is None
    drawn = np.random.default_rng(0).permutation(100)
    assert interval(values, method, bounds=BOUNDS, rows=drawn) == interval(values, method, bounds=BOUNDS)


def test_moments_are_scipys():
    values = sample(500)
    batch = Batch.of(values)
    assert batch.mean[0] == pytest.approx(np.mean(values), rel=1e-14)
    assert batch.sd[0] == pytest.approx(np.std(values, ddof=1), rel=1e-13)
    assert batch.skewness[0] == pytest.approx(stats.skew(values), rel=1e-12)
    assert Batch.of([0.1] * 7).skewness[0] == 0.0


# --- the capital -------------------------------------------------------------------------------------------


def test_the_capital_is_a_fair_game():
    """Its expectation over all orders of a small population is 1 after every number of rows, both sides."""
    population = np.array([0.0, 0.1, 0.1, 0.9, 1.0, 0.4])
    orders = np.array(list(itertools.permutations(population)))
    for n in range(1, 6):
        batch = Batch(np.ascontiguousarray(orders[:, :n]), len(population))
        capital = np.exp(log_capital(batch, 0.9, population.mean(), (0.0, 1.0), ever=False))
        assert capital.mean(axis=0) == pytest.approx([1.0, 1.0], rel=1e-12)


def test_the_capital_against_the_truth_says_what_the_interval_says():
    """The cheap way to count misses and the interval itself agree in each of 3,000 trials."""
    rng = np.random.default_rng(0)
    population = np.minimum(rng.exponential(0.5, 1000) ** 3, 16.0)
    rows = np.array([rng.permutation(1000)[:200] for _ in range(3000)])
    batch = Batch(population[rows], 1000)
    method = INTERVALS["betting"]
    # A level this low makes misses common enough to compare.
    low, high = method.ends(batch, 0.2, BOUNDS)
    below, above = method.missed(batch, 0.2, population.mean(), BOUNDS)
    assert np.array_equal(below, high < population.mean())
    assert np.array_equal(above, low > population.mean())
    assert below.sum() > 10
    assert above.sum() > 10


def test_the_largest_capital_on_the_way_is_the_naive_one():
    values = sample(80) / 16.0
    rate = math.sqrt(2 * threshold(0.9) / naive.effective(80, 200))
    stakes = naive.bets(values.tolist(), 200, rate, False)
    for truth in (0.001, 0.015, 0.05, 0.5):
        up = naive.log_capital(values.tolist(), stakes, truth, 200)
        down = naive.log_capital((1 - values).tolist(), stakes, 1 - truth, 200)
        batch = Batch.of(values, 200)
        ever = log_capital(batch, 0.9, truth, (0.0, 1.0), ever=True)[0]
        last = log_capital(batch, 0.9, truth, (0.0, 1.0), ever=False)[0]
        assert ever == pytest.approx([max(0, *up), max(0, *down)], rel=1e-9, abs=1e-12)
        assert last == pytest.approx([up[-1], down[-1]], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bets", ["normal", "huge"])
def test_extreme_losses_leave_the_capital_finite(bets):
    values = np.tile([0.0, 16.0], 200) if bets == "huge" else np.zeros(400)
    for population in (None, 401):
        found = interval(values, "betting", population=population, bounds=BOUNDS)
        assert 0.0 <= found.low <= values.mean() <= found.high <= 16.0


# --- counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 10, 57])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_clopper_pearson_is_the_inverted_binomial(n, level):
    tail = Fraction((1 - level) / 2)
    for correct in range(n + 1):
        found = accuracy_interval(correct, n, level=level)
        if correct:
            assert float(naive.binomial_tail(correct, n, Fraction(found.low))) == pytest.approx(
                tail, rel=1e-9
            )
        else:
            assert found.low == 0.0
        mirrored = accuracy_interval(n - correct, n, level=level)
        assert found.high == pytest.approx(1 - mirrored.low, abs=1e-15)
        exact = stats.binomtest(correct, n).proportion_ci(level, "exact")
        assert ends(found) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(("correct", "n"), [(93, 100), (56146, 60000), (39_999_999, 40_000_000), (7, 10**7)])
def test_clopper_pearson_is_scipys_for_large_counts(correct, n):
    found = accuracy_interval(correct, n)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, correct, n - correct + 1), rel=1e-7)
    assert found.high == pytest.approx(stats.beta.ppf(0.975, correct + 1, n - correct), rel=1e-7)


@pytest.mark.parametrize(("n", "population"), [(1, 1), (3, 5), (10, 20), (20, 20), (15, 400)])
def test_the_hypergeometric_interval_holds_every_share_that_is_not_too_unlikely(n, population):
    for correct in range(n + 1):
        found = accuracy_interval(correct, n, population=population)
        likely = []
        for right in range(correct, population - n + correct + 1):
            above = naive.hypergeometric_tail(correct, n, right, population)
            below = 1 - naive.hypergeometric_tail(correct + 1, n, right, population) if correct < n else 1
            if above > 0.025 and below > 0.025:
                likely.append(right)
        assert round(found.low * population) == min(likely)
        assert round(found.high * population) == max(likely)


@EVERY
def test_every_level_that_floats_tell_from_0_and_1_has_an_interval(method):
    losses = np.random.default_rng(0).random(600)
    for level in (2.0**-52, 1e-9, 1.0 - 1e-9, 1.0 - 2.0**-53):
        found = interval(losses, method, level=level, bounds=(0.0, 1.0))
        assert 0.0 <= found.low <= losses.mean() <= found.high <= 1.0
    assert quantile(1.0 - 2.0**-53) == pytest.approx(stats.norm.isf(2.0**-54), rel=1e-9)
    for level in (1e-300, 1e-17):
        with pytest.raises(UsageError, match="level 1e-"):
            interval(losses, method, level=level, bounds=(0.0, 1.0))


@pytest.mark.parametrize("level", [0.01, 0.5, 0.8, 0.95])
def test_intervals_of_a_share_hold_the_share_that_was_drawn(level):
    for population in range(1, 21):
        for n in range(1, population + 1):
            for correct in range(n + 1):
                assert correct / n in accuracy_interval(correct, n, level=level, population=population)
                assert correct / n in accuracy_interval(correct, n, level=level)


def test_tails_are_scipys():
    for least, n, right, population in [
        (60, 100, 30000, 60000),
        (9400, 10000, 56146, 60000),
        (3, 100, 10, 1000),
    ]:
        expected = stats.hypergeom.sf(least - 1, population, right, n)
        assert hypergeometric_tail(least, n, right, population) == pytest.approx(expected, rel=1e-8)
    for a, b, x in [(0.5, 0.5, 0.3), (5, 2, 0.9), (1e4, 2e4, 0.335), (3, 1e6, 1e-6)]:
        assert incomplete_beta(a, b, x) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-8)
    assert incomplete_beta(2, 3, 0.0) == 0.0
    assert incomplete_beta(2, 3, 1.0) == 1.0


def test_exact_intervals_cover_at_least_their_level():
    """Summed exactly over all outcomes, not simulated."""
    for p in (0.02, 0.3, 0.936):
        n = 40
        covered = sum(
            stats.binom.pmf(k, n, p) for k in range(n + 1) if p in accuracy_interval(k, n, level=0.9)
        )
        assert covered >= 0.9
    for right in (3, 60, 140):
        covered = sum(
            stats.hypergeom.pmf(k, 150, right, 30)
            for k in range(31)
            if stats.hypergeom.pmf(k, 150, right, 30) > 0
            and right / 150 in accuracy_interval(k, 30, level=0.9, population=150)
        )
        assert covered >= 0.9


def test_all_rows_counted_leave_nothing_open_and_impossible_counts_are_refused():
    assert ends(accuracy_interval(60, 64, population=64)) == (60 / 64, 60 / 64)
    for correct, rows, population in [(-1, 5, None), (6, 5, None), (0, 0, None), (3, 5, 4)]:
        with pytest.raises(UsageError):
            accuracy_interval(correct, rows, population=population)


@pytest.mark.parametrize("population", [None, 60, 1000])
@EVERY
def test_many_trials_have_the_ends_that_each_has_alone(method, population):
    """Many are arrays, few are plain numbers: the same to the bit."""
    generator = np.random.default_rng(4)
    values = generator.exponential(0.3, (40, 60)) * (generator.random((40, 60)) < 0.7)
    values[3], values[4] = 0.25, np.where(np.arange(60) == 7, 9.0, 0.0)
    bounds = CrossEntropy().bounds
    low, high = lookup(method).ends(Batch(values, population), 0.9, bounds)
    alone = [lookup(method).interval(Batch(one[None, :], population), 0.9, bounds) for one in values]
    assert low.tolist() == [one.low for one in alone]
    assert high.tolist() == [one.high for one in alone]
    few = lookup(method).intervals(Batch(values[:9], population), 0.9, bounds)
    assert few == alone[:9]
