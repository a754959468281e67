"""Mini-batches against the full loss, precision, order, peeking and budget, on made-up populations."""

from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peeking import peeking
from scipy import stats

from streameval.errors import DataError, UsageError
from streameval.losses import CrossEntropy
from streameval.statistics.budget import Budget, clipped_mass, reference_rows, rounding_error
from streameval.statistics.intervals import INTERVALS, interval
from streameval.statistics.population import Population
from streameval.statistics.precision import precision_table, rows_needed
from streameval.statistics.sequences import sequence
from streameval.statistics.trials import DRAWS_AT_ONCE, compare_losses, draws
from streameval.statistics.until import until

BOUNDS = CrossEntropy(eps=1e-7).bounds


def skewed(n=5000, seed=0):
    return np.minimum(np.random.default_rng(seed).exponential(0.4, n), 16.0)


# --- population --------------------------------------------------------------------------------------------


def test_the_population_is_scipys_and_does_not_depend_on_the_pieces(monkeypatch):
    values = skewed(7001)
    found = Population.of(values)
    assert found.mean == pytest.approx(math.fsum(values) / 7001, rel=1e-14)
    assert found.sd == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert found.skewness == pytest.approx(stats.skew(values), rel=1e-11)
    assert found.kurtosis == pytest.approx(stats.kurtosis(values), rel=1e-10)
    assert (found.smallest, found.largest) == (values.min(), values.max())
    monkeypatch.setattr("streameval.statistics.population.PIECE", 100)
    small = Population.of(values)
    assert dataclasses.astuple(small) == pytest.approx(dataclasses.astuple(found), rel=1e-11)


def test_populations_of_one_row_none_or_nothing_finite():
    assert Population.of(np.array([0.5])) == Population(1, 0.5, 0.0, 0.0, 0.0, 0.5, 0.5)
    assert Population.of(np.full(9, 0.1)).skewness == 0.0
    with pytest.raises(UsageError, match="at least one loss"):
        Population.of(np.empty(0))
    with pytest.raises(DataError, match="row 3: not finite"):
        Population.of(np.array([0.0, 1.0, 2.0, math.inf]))


# --- compare -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [True, False])
def test_a_trial_is_what_a_user_would_have_seen(replace):
    """Coverage, mean, sd and quantiles recomputed one interval at a time."""
    losses = skewed()
    found = compare_losses(
        losses, sizes=(40,), trials=25, seed=5, level=0.8, replace=replace, bounds=BOUNDS
    ).batches[0]
    rows = np.concatenate(list(draws(5000, 40, 25, seed=5, replace=replace)))
    truth = math.fsum(losses) / 5000
    means = losses[rows].mean(axis=1)
    assert found.mean == pytest.approx(means.mean(), rel=1e-12)
    assert found.bias == pytest.approx(means.mean() - truth, rel=1e-9)
    assert found.sd == pytest.approx(means.std(ddof=1), rel=1e-12)
    assert found.quantiles["0.25"] == pytest.approx(np.quantile(means, 0.25), rel=1e-12)
    for method, coverage in found.coverage.items():
        each = [
            interval(losses[r], method, level=0.8, population=None if replace else 5000, bounds=BOUNDS)
            for r in rows
        ]
        assert coverage.covered == pytest.approx(np.mean([truth in i for i in each]))
        assert coverage.miss_low == pytest.approx(np.mean([i.high < truth for i in each]))
        assert coverage.miss_high == pytest.approx(np.mean([i.low > truth for i in each]))
        assert coverage.half_width == pytest.approx(np.mean([i.half_width for i in each]), rel=1e-9)


def test_the_predicted_sd_is_exact():
    """Over all samples of 2 rows from 4, listed one by one, with and without replacement."""
    losses = np.array([0.1, 0.5, 2.0, 3.0])
    ordered = [(a, b) for a in range(4) for b in range(4)]
    for replace, pairs in [(True, ordered), (False, [(a, b) for a, b in ordered if a != b])]:
        exact = np.std([losses[list(pair)].mean() for pair in pairs])
        found = compare_losses(losses, sizes=(2,), trials=3, replace=replace, bounds=BOUNDS).batches[0]
        assert found.predicted_sd == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("loss", [0.1, 0.3, 2.7182818])
def test_equal_losses_are_in_every_interval(loss, replace):
    """Intervals of no width hold the mean of 1,000 and more losses only if it is that of each of them, to the bit."""
    for rows in (7, 1000, 70_000):
        losses = np.full(rows, loss)
        assert Population.of(losses).mean == loss
        found = compare_losses(losses, sizes=(2, 5), trials=20, bounds=BOUNDS, replace=replace)
        for trials in found.batches:
            assert {name: one.covered for name, one in trials.coverage.items()} == dict.fromkeys(
                INTERVALS, 1.0
            )


@pytest.mark.parametrize("replace", [True, False])
def test_draws_do_not_depend_on_the_pieces_or_on_other_sizes(replace, monkeypatch):
    losses = skewed(500)
    whole = compare_losses(losses, sizes=(10, 30), trials=50, seed=3, replace=replace, bounds=BOUNDS)
    monkeypatch.setattr("streameval.statistics.trials.DRAWS_AT_ONCE", 70)
    pieces = compare_losses(losses, sizes=(30,), trials=50, seed=3, replace=replace, bounds=BOUNDS)
    assert pieces.batches[0].quantiles == whole.batches[1].quantiles
    assert pieces.batches[0].mean == whole.batches[1].mean
    for name in INTERVALS:
        assert pieces.batches[0].coverage[name].covered == whole.batches[1].coverage[name].covered
    other = compare_losses(losses, sizes=(30,), trials=50, seed=4, replace=replace, bounds=BOUNDS)
    assert other.batches[0].mean != whole.batches[1].mean


def test_whole_populations_leave_nothing_to_chance():
    losses = skewed(64)
    found = compare_losses(losses, sizes=(64,), trials=5, replace=False, bounds=BOUNDS).batches[0]
    assert found.sd == pytest.approx(0.0, abs=1e-15)
    assert found.predicted_sd == 0.0
    for coverage in found.coverage.values():
        assert (coverage.covered, coverage.half_width) == (1.0, 0.0)


def test_the_dictionary_is_json_with_the_contracts_names():
    found = compare_losses(
        skewed(300), sizes=(1, 10), trials=20, bytes_per_row=785, seconds_per_row=1e-6, bounds=BOUNDS
    )
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    names = "size trials mean mean_stderr bias sd predicted_sd quantiles coverage anytime"
    assert set(plain["batches"][1]) == set(names.split())
    assert set(plain["batches"][1]["coverage"]["betting"]) == {
        "covered",
        "miss_low",
        "miss_high",
        "half_width",
        "stderr",
    }
    assert {"half_width", "rows", "fraction", "bytes", "seconds"} < set(plain["precision"][0])
    assert plain["batches"][0]["coverage"]["normal"]["half_width"] is None  # one row gives no ends
    row = plain["precision"][0]
    assert row["bytes"] == row["rows"] * 785
    assert row["seconds"] == pytest.approx(row["rows"] * 1e-6)
    assert {"random", "even", "odd", "findings"} < set(plain["order"])


def test_without_eps_the_guaranteed_intervals_are_left_out_or_refused():
    found = compare_losses(skewed(300), sizes=(10,), trials=5, bounds=None)
    assert set(found.batches[0].coverage) == {"normal", "skew", "asymptotic"}
    with pytest.raises(UsageError, match="eps = 0"):
        compare_losses(skewed(300), sizes=(10,), trials=5, bounds=None, intervals=["betting"])


def test_impossible_comparisons_say_so():
    losses = skewed(50)
    for options, said in [
        ({"trials": 0}, "trials 0"),
        ({"sizes": ()}, "batch sizes"),
        ({"sizes": (0,)}, "batch sizes"),
        ({"sizes": (51,), "replace": False}, "only 50 different rows"),
        ({"sizes": (5,), "intervals": ["exact"]}, "Choose one of normal"),
        ({"sizes": (5,), "level": 2.0}, "level 2.0"),
    ]:
        with pytest.raises(UsageError, match=said):
            compare_losses(losses, **options, bounds=BOUNDS)


def test_memory_does_not_grow_with_the_population(tmp_path):
    """1.2 and 3.6 million losses in mapped files: the arrays made on the way are as large for both."""
    peaks = []
    for rows in (1_200_000, 3_600_000):
        path = tmp_path / f"{rows}.npy"
        np.save(path, skewed(rows))
        losses = np.load(path, mmap_mode="r")
        tracemalloc.start()
        compare_losses(losses, sizes=(100,), trials=200, bounds=BOUNDS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 100_000
    assert peaks[1] < 100e6
    assert DRAWS_AT_ONCE * 16 < 100e6


# --- precision ---------------------------------------------------------------------------------------------


@given(
    st.floats(1e-4, 1.0), st.floats(1e-3, 10.0), st.integers(1, 10**9), st.sampled_from(["normal", "betting"])
)
@settings(max_examples=100, deadline=None)
def test_the_rows_needed_make_the_half_width_and_no_fewer_do(half_width, sd, population, method):
    rows = rows_needed(half_width, sd, population=population, method=method)
    cost = stats.norm.ppf(0.975) if method == "normal" else math.sqrt(2 * math.log(40))

    def width(n):
        return cost * sd * math.sqrt((1 - n / population) / n)

    assert 1 <= rows <= population
    assert width(rows) <= half_width * (1 + 1e-9)
    if rows > 1:
        assert width(rows - 1) >= half_width * (1 - 1e-9)


@pytest.mark.parametrize("method", ["normal", "betting"])
@pytest.mark.parametrize(("half_width", "sd"), [(1e-200, 1.0), (1e-308, 1.0), (0.01, 1e200)])
def test_where_no_number_of_rows_is_large_enough_all_are_needed(half_width, sd, method):
    assert rows_needed(half_width, sd, population=100, method=method, reach=16.0) == 100
    with pytest.raises(UsageError, match="no number of rows"):
        rows_needed(half_width, sd, method=method, reach=16.0)


def test_the_table_is_projected_to_larger_populations():
    table = precision_table(0.675, 60000, half_widths=(0.01,), bytes_per_row=785, reach=16.0)
    expected = [(size, method) for size in (60000, 10**7, 10**9) for method in ("normal", "betting")]
    assert [(row.population, row.method) for row in table] == expected
    assert all(row.seconds is None and row.bytes == row.rows * 785 for row in table)
    assert rows_needed(0.01, 0.0) == 1
    for wrong in ({"half_width": 0.0, "sd": 1.0}, {"half_width": 0.1, "sd": math.nan}):
        with pytest.raises(UsageError):
            rows_needed(**wrong)
    with pytest.raises(UsageError, match="normal or betting or asymptotic"):
        rows_needed(0.1, 1.0, method="skew")


def test_without_bounds_the_table_is_that_of_the_method_that_until_takes():
    table = precision_table(0.675, 60_000, half_widths=(0.01,))
    assert {row.method for row in table} == {"normal", "asymptotic"}
    rows = rows_needed(0.05, 0.675, method="asymptotic")
    miss, r2 = 0.05, (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 500

    def width(t):
        return 0.675 * math.sqrt(2 * (t * r2 + 1) / (t * t * r2) * math.log(math.sqrt(t * r2 + 1) / miss))

    assert width(rows) <= 0.05 < width(rows - 1)
    assert rows_needed(100.0, 0.675, method="asymptotic") == 500


@pytest.mark.parametrize("half_width", [0.2, 0.1, 0.05])
@pytest.mark.parametrize("kind", ["exponential", "rare", "bounds"])
def test_betting_takes_about_the_rows_that_the_table_says(half_width, kind):
    """Within 30 %: the spread of the rows that 10 seeds read is a few percent, the formula is good to about 15 %."""
    rng = np.random.default_rng(0)
    losses = {
        "exponential": skewed(20_000),
        "rare": np.where(
            rng.random(20_000) < 0.005, rng.uniform(8, 16, 20_000), rng.exponential(0.1, 20_000)
        ),
        "bounds": (rng.random(20_000) < 0.5) * 16.0,
    }[kind]
    width = BOUNDS[1] - BOUNDS[0]
    said = rows_needed(half_width, losses.std(ddof=1), population=20_000, method="betting", reach=width)
    read = [
        until(lambda r: losses[r], 20_000, half_width=half_width, bounds=BOUNDS, seed=seed).rows_read
        for seed in range(10)
    ]
    assert np.mean(read) == pytest.approx(said, rel=0.3)


# --- what a comparison says of itself ------------------------------------------------------------------------


def test_shares_come_with_the_error_of_counting_them():
    losses = skewed()
    found = compare_losses(losses, sizes=(40,), trials=500, bounds=BOUNDS).batches[0]
    for cell in found.coverage.values():
        p = (round((1 - cell.covered) * 500) + 1) / 502
        assert cell.stderr == pytest.approx(math.sqrt(p * (1 - p) / 500), rel=1e-9)
        assert cell.stderr > 0.0
    other = [
        compare_losses(losses, sizes=(40,), trials=500, seed=s, bounds=BOUNDS).batches[0] for s in range(20)
    ]
    shares = np.array([one.coverage["normal"].covered for one in other])
    # The spread of 20 shares: a chi-squared of 19 degrees, between 7 and 41 with probability 0.994.
    assert 7 < 19 * shares.var(ddof=1) / np.mean([o.coverage["normal"].stderr for o in other]) ** 2 < 41


@pytest.mark.parametrize("replace", [True, False])
def test_the_band_of_all_sizes_is_that_of_a_betting_sequence(replace):
    losses = skewed(3000)
    population = None if replace else 3000
    found = compare_losses(losses, sizes=(30, 400), trials=5, seed=2, replace=replace, bounds=BOUNDS)
    draws_of = naive.effective(400, population)
    aim = math.sqrt(2 * math.log(40) / draws_of) * losses.std(ddof=1)
    for one in found.batches:
        widths = []
        for rows in np.concatenate(list(draws(3000, one.size, 5, seed=2, replace=replace))):
            fed = sequence("betting", population, half_width=aim, bounds=BOUNDS)
            fed.feed(losses[rows])
            _, low, high = fed.at(one.size)
            widths.append((high - low) / 2)
        assert one.anytime == pytest.approx(np.mean(widths), rel=1e-6)
    assert compare_losses(losses, sizes=(30,), trials=5, bounds=None).batches[0].anytime is None


# --- peeking -----------------------------------------------------------------------------------------------


def test_peeking_counts_what_following_each_order_shows():
    """Bounds are wide, so the guaranteed ones hardly ever miss; the normal one nearly always does."""
    found = peeking(skewed(3000), orders=100, half_width=0.02, bounds=BOUNDS, seed=1)
    assert (found.orders, found.rows) == (100, 3000)
    assert found.betting <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)
    assert found.predictable <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 100)
    assert found.normal > 0.5
    with pytest.raises(UsageError, match="5 orders of 9999 rows"):
        peeking(skewed(3000), orders=5, rows=9999, bounds=BOUNDS)


# --- budget ------------------------------------------------------------------------------------------------


def test_rounding_is_measured_on_one_percent():
    rows = reference_rows(60_000, seed=1)
    assert len(rows) == 600
    assert (np.diff(rows) > 0).all()
    assert len(reference_rows(50)) == 50
    exact = skewed(600)
    found = rounding_error(exact + 1e-8, exact, population=60_000)
    assert found.mean == pytest.approx(1e-8, rel=1e-6)
    assert found.largest == pytest.approx(1e-8, rel=1e-6)
    assert found.interval.low <= found.mean <= found.interval.high
    json.dumps(Budget(0.01, found).to_dict(), allow_nan=False)
    with pytest.raises(UsageError, match="same rows"):
        rounding_error(exact, exact[1:], population=600)
    with pytest.raises(UsageError, match="share"):
        reference_rows(100, share=0.0)


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=30), st.sampled_from([1e-7, 1e-3, 0.0]))
@settings(max_examples=100, deadline=None)
def test_clipping_is_the_difference_of_the_two_losses(probabilities, eps):
    exact = [-math.log(y) for y in probabilities]
    clipped = [-math.log(y + eps) for y in probabilities]
    found = clipped_mass(np.array(exact), eps)
    assert found.mean == pytest.approx(np.mean(exact) - np.mean(clipped), rel=1e-6, abs=1e-14)
    assert found.rows == sum(e - c > 1e-3 * e for e, c in zip(exact, clipped, strict=True)) or eps == 0.0


def test_rows_of_probability_zero_are_counted_apart():
    found = clipped_mass(np.array([0.5, math.inf, 800.0]), 1e-7)
    assert found.infinite == 1
    assert found.mean == pytest.approx((0.0 + 800.0 + math.log(1e-7)) / 2, rel=1e-6)
    with pytest.raises(UsageError):
        clipped_mass(np.array([]), 1e-7)


def test_naive_moments_agree_with_numpy():
    """The twin itself is checked, on numbers whose moments are known."""
    assert naive.moments([0.0, 0.0, 0.0, 4.0]) == pytest.approx((1.0, 2.0, 24 / 4 / 3**1.5))
