"""What the article's network on MNIST's 60,000 training rows shows, seeds fixed.

Simulated shares of T trials vary by z sqrt(p (1 - p) / T); where a range is that narrow, the test says so.
"""

from __future__ import annotations

import math

import naive_statistics as naive
import numpy as np
import pytest
from peeking import peeking

from streameval.defaults import GUARANTEED
from streameval.losses import CrossEntropy
from streameval.statistics.difference import difference_estimate, difference_interval, difference_until
from streameval.statistics.intervals import INTERVALS, Batch, interval
from streameval.statistics.intervals.normal import NORMAL
from streameval.statistics.order import audit_order
from streameval.statistics.paired import paired
from streameval.statistics.population import Population
from streameval.statistics.precision import rows_needed
from streameval.statistics.samples import without_replacement
from streameval.statistics.stratified import stratified
from streameval.statistics.trials import compare_losses, draws
from streameval.statistics.until import until

BOUNDS = CrossEntropy(eps=1e-7).bounds


@pytest.fixture(scope="module")
def losses(mnist_dir):
    return naive.mnist_losses(mnist_dir)


@pytest.fixture(scope="module")
def labels(mnist_dir):
    return naive.mnist(mnist_dir)[1]


@pytest.fixture(scope="module")
def with_replacement(losses):
    return compare_losses(losses, sizes=(10, 100, 1000), trials=2000, seed=0, bounds=BOUNDS)


@pytest.fixture(scope="module")
def without(losses):
    return compare_losses(losses, sizes=(100, 10_000), trials=2000, seed=0, replace=False, bounds=BOUNDS)


def batch(comparison, size):
    return next(b for b in comparison.batches if b.size == size)


def test_the_population_is_the_one_described(losses):
    found = Population.of(losses)
    assert found.rows == 60000
    assert found.mean == pytest.approx(0.2240008766, abs=1e-9)
    assert found.sd == pytest.approx(0.6750872560873608, abs=1e-8)
    assert found.skewness == pytest.approx(6.26, abs=0.01)
    assert found.kurtosis == pytest.approx(53.3, abs=0.1)
    assert found.largest == pytest.approx(13.2153949082, abs=1e-6)
    worst = np.sort(losses)[-600:].sum() / losses.sum()
    assert worst == pytest.approx(0.23, abs=0.005)


def test_a_batch_of_100_is_off_by_30_percent(with_replacement):
    found = batch(with_replacement, 100)
    assert found.predicted_sd == pytest.approx(0.0675, abs=1e-4)
    assert found.sd == pytest.approx(found.predicted_sd, rel=0.06)
    assert found.predicted_sd / with_replacement.population.mean == pytest.approx(0.30, abs=0.005)
    assert found.quantiles["0.025"] == pytest.approx(0.114, abs=0.005)
    assert found.quantiles["0.975"] == pytest.approx(0.375, abs=0.015)


@pytest.mark.parametrize("size", [10, 100, 1000])
def test_means_are_unbiased_and_spread_as_predicted(with_replacement, size):
    """4 standard errors; the sd of sds has the batch mean's own kurtosis, 53 / n, in it."""
    found = batch(with_replacement, size)
    assert abs(found.bias) < 4 * found.predicted_sd / math.sqrt(2000)
    assert found.sd == pytest.approx(found.predicted_sd, rel=4 * math.sqrt((2 + 53.3 / size) / 4 / 2000))


def test_normal_covers_at_10000_without_replacement(without):
    """Standard error of a share of 0.95 in 2,000 trials: 0.005."""
    assert 0.940 <= batch(without, 10_000).coverage["normal"].covered <= 0.968


def test_without_the_finite_population_factor_it_covers_too_much(losses):
    missed = 0
    for rows in draws(60000, 10_000, 2000, seed=0, replace=False):
        missed += sum(side.sum() for side in NORMAL.missed(Batch(losses[rows]), 0.95, 0.2240008766, None))
    assert 0.960 <= 1 - missed / 2000 <= 0.985


def test_at_100_rows_normal_falls_short_on_one_side_and_skew_does_not(with_replacement, without, losses):
    for comparison in (with_replacement, without):
        normal = batch(comparison, 100).coverage["normal"]
        assert 0.85 <= normal.covered <= 0.90
        assert normal.miss_low > 10 * normal.miss_high
        assert 0.93 <= batch(comparison, 100).coverage["skew"].covered <= 0.96
    warned = 0
    for seed in range(100):
        found = interval(losses[without_replacement(60000, 100, seed=seed)], "normal", population=60000)
        warned += found.warning is not None
    assert warned >= 95


@pytest.mark.parametrize("method", INTERVALS)
def test_all_rows_give_the_full_loss_and_width_zero(losses, method):
    rows = without_replacement(60000, 60000, seed=1)
    found = interval(losses[rows], method, population=60000, bounds=BOUNDS)
    assert found.low == found.high == math.fsum(losses) / 60000


def test_thirty_huge_losses_fool_normal_and_not_the_guaranteed_ones():
    """100 rows contain one of the thirty in 5 % of samples; then only has the normal interval any width."""
    losses = np.zeros(60000)
    losses[np.random.default_rng(0).choice(60000, 30, replace=False)] = 16.118
    for replace in (True, False):
        found = (
            compare_losses(losses, sizes=(100,), trials=2000, seed=1, replace=replace, bounds=BOUNDS)
            .batches[0]
            .coverage
        )
        assert found["normal"].covered <= 0.06
        for name in GUARANTEED:
            assert found[name].covered >= 0.95


def test_looking_all_the_time_is_allowed_where_promised_and_ruins_the_normal_interval(losses):
    """Standard error of a share of 0.05 in 500 orders: 0.0097."""
    found = peeking(losses, orders=500, half_width=0.01, bounds=BOUNDS, seed=0)
    assert found.rows == 60000
    assert found.betting <= 0.07
    assert found.predictable <= 0.07
    assert found.normal > 0.7


def test_until_reads_a_third_for_a_hundredth_and_nearly_all_for_a_thousandth(losses):
    missed = 0
    for seed in range(20):
        found = until(lambda rows: losses[rows], 60000, half_width=0.01, bounds=BOUNDS, seed=seed)
        assert 20_000 <= found.rows_read <= 24_000
        assert found.rows_fetched <= 1.06 * found.rows_read
        assert found.half_width <= 0.01
        assert found.stopped == "precision"
        missed += not found.low <= 0.2240008766 <= found.high
    assert missed <= 3  # four or more of 20 at the full rate of 0.05: probability 0.016
    found = until(lambda rows: losses[rows], 60000, half_width=0.001, bounds=BOUNDS)
    assert found.rows_read > 58_000
    assert found.low <= 0.2240008766 <= found.high


def test_a_previous_checkpoint_saves_most_rows(mnist_dir, losses):
    """For +-0.001: 14,000 rows instead of 58,000 by the normal law; fewer with a guarantee, too."""
    old = naive.mnist_losses(mnist_dir, "earlier")
    gain = losses.var() / (losses - old).var()
    assert 80 < gain < 100
    sd = float((losses - old).std(ddof=1))
    alone = rows_needed(0.001, float(losses.std(ddof=1)), population=60000)
    needed = rows_needed(0.001, sd, population=60000)
    assert alone == pytest.approx(58_000, abs=100)
    assert needed == pytest.approx(14_000, rel=0.1)
    inside = 0
    for seed in range(200):
        rows = without_replacement(60000, needed, seed=seed)
        found = difference_interval(old, rows, losses[rows], bounds=BOUNDS)
        assert found.half_width == pytest.approx(0.001, rel=0.2)
        inside += 0.2240008766 in found
        assert difference_estimate(old, rows, losses[rows]).mean == pytest.approx(
            (found.low + found.high) / 2
        )
    assert inside >= 0.88 * 200  # 4 standard errors below 0.95
    # The guaranteed form must also rule out rows not seen that went from 0 to 16.118: no method can read less
    # than about 36,000 rows for that, since four of them move the mean by 0.001.
    found = difference_until(lambda rows: losses[rows], old, half_width=0.001, bounds=BOUNDS)
    assert found.rows_read < 45_000
    assert found.low <= 0.2240008766 <= found.high
    assert found.loss == pytest.approx(0.2240008766, abs=0.001)


def test_half_precision_weights_differ_by_almost_nothing_and_pairs_show_it(mnist_dir, losses, labels):
    half = naive.mnist_losses(mnist_dir, "float16")
    found = paired({"original": losses, "float16": half}, labels=labels)[0]
    assert found.difference == pytest.approx(1.7e-6, abs=0.1e-6)
    assert found.interval.half_width * 1000 < found.unpaired_half_width
    assert found.correlation > 0.999999
    assert len(found.per_class) == 10
    assert sum(row.rows * row.difference for row in found.per_class) / 60000 == pytest.approx(
        found.difference
    )


def test_two_checkpoints_need_170_rows_in_pairs_and_20700_apart(losses):
    """What the two counts stand for: rows_needed for differences 120 times less spread in variance."""
    sd = float(losses.std(ddof=1))
    apart = rows_needed(0.013, math.sqrt(2) * sd)
    pairs = rows_needed(0.013, math.sqrt(2) * sd / math.sqrt(apart / 170))
    assert apart == pytest.approx(20_700, rel=0.01)
    assert pairs in (170, 171)


@pytest.mark.parametrize(
    ("half_width", "population", "method", "rows"),
    [
        (0.01, 60_000, "normal", 13_553),
        (0.01, 60_000, "betting", 21_500),
        (0.01, 10**9, "normal", 17_500),
        (0.01, 10**9, "betting", 33_600),
    ],
)
def test_the_table_of_precision(with_replacement, half_width, population, method, rows):
    """5 %: for betting the rows are those of a known spread, to which the table adds what the range costs."""
    found = next(
        row
        for row in with_replacement.precision
        if (row.half_width, row.population, row.method) == (half_width, population, method)
    )
    assert found.rows == (
        rows if rows == 13_553 else pytest.approx(rows, rel=0.005 if method == "normal" else 0.05)
    )
    assert found.fraction == found.rows / population


@pytest.mark.parametrize(("half_width", "within"), [(0.2, 0.15), (0.05, 0.15), (0.02, 0.05), (0.01, 0.05)])
def test_betting_reads_what_the_table_says(losses, with_replacement, half_width, within):
    """The means of 8 seeds vary by 4 % at 0.2 and less below."""
    said = rows_needed(
        half_width,
        float(losses.std(ddof=1)),
        population=60_000,
        method="betting",
        reach=BOUNDS[1] - BOUNDS[0],
    )
    read = [
        until(lambda rows: losses[rows], 60_000, half_width=half_width, bounds=BOUNDS, seed=seed).rows_read
        for seed in range(8)
    ]
    assert np.mean(read) == pytest.approx(said, rel=within)


def test_predictable_reads_less_than_half_of_what_a_bet_of_e_over_v_took(losses):
    """Bets of e / (v + e): 10,700 rows to +-0.02, where e / v took 26,354."""
    found = until(lambda rows: losses[rows], 60_000, half_width=0.02, bounds=BOUNDS, method="predictable")
    assert found.rows_read < 12_000
    assert found.low <= 0.2240008766 <= found.high


def test_the_order_is_found_out(losses):
    found = audit_order(losses)
    assert not found.random
    assert found.even == pytest.approx(0.2834229521, abs=1e-9)
    assert found.odd == pytest.approx(0.1645788011, abs=1e-9)
    looks = {(look.kind, look.size): look for look in found.findings}
    assert looks["stride", 2].flagged
    assert abs(looks["stride", 2].price) == pytest.approx(0.265, abs=0.001)
    assert not looks["stride", 3].flagged
    assert looks["block", 100].flagged
    assert looks["block", 100].price == pytest.approx(1.7, abs=0.05)
    assert looks["block", 5000].price == pytest.approx(3.9, abs=0.05)
    assert "even rows have mean loss 0.2834, odd rows 0.1646" in found.message
    assert "wrong by up to 26.5 %" in found.message


def test_a_random_order_of_the_same_losses_is_not_flagged(losses):
    """Stated rate 0.001 an audit, 100 audits: two alarms or fewer with probability 0.9998."""
    rng = np.random.default_rng(0)
    whole = Population.of(losses)
    alarms = sum(not audit_order(rng.permutation(losses), whole).random for _ in range(100))
    assert alarms <= 2


def test_a_copy_sorted_by_class_is_worse(losses, labels):
    found = audit_order(losses[np.argsort(labels, kind="stable")])
    looks = {(look.kind, look.size): look for look in found.findings}
    assert looks["block", 5000].flagged
    assert looks["block", 5000].price == pytest.approx(49, abs=0.5)


def test_stratifying_by_class_gains_a_few_percent(losses, labels):
    """Exact: the variance between classes, and with Neyman's shares, from the population's own moments."""
    sizes = np.bincount(labels)
    spread = np.array([losses[labels == k].std(ddof=1) for k in range(10)])
    shares = sizes / 60000
    simple = losses.var(ddof=1)
    proportional = (shares * spread**2).sum()
    neyman = (shares * spread).sum() ** 2
    assert simple / proportional == pytest.approx(1.012, abs=0.001)
    assert simple / neyman == pytest.approx(1.036, abs=0.001)
    drawn = stratified(labels, 6000, seed=0)
    found = drawn.estimate(losses[drawn.rows])
    assert found.variance == pytest.approx(proportional / 6000 * 0.9, rel=0.2)
    assert abs(found.mean - losses.mean()) < 4 * found.stderr


def test_a_ragged_tail_does_not_change_the_mean(losses):
    """Chunks of 7,000 rows: the mean over rows, never the mean of chunk means."""
    chunks = [losses[start : start + 7000] for start in range(0, 60000, 7000)]
    wrong = float(np.mean([chunk.mean() for chunk in chunks]))
    assert wrong == pytest.approx(0.2214277, abs=1e-7)
    found = until(lambda rows: losses[rows], 60000, half_width=1e-9, bounds=BOUNDS)
    assert found.stopped == "exhausted"
    assert found.loss == pytest.approx(0.2240009, abs=1e-7)
    assert found.loss == found.low == found.high
    assert Batch.of(losses, 60000).exhausted
