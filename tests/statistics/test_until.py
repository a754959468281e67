"""Reading until the loss is known: stops where it should, misses as rarely as promised, ends exact."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from streameval.errors import DataError, UsageError
from streameval.losses import CrossEntropy
from streameval.statistics.bounds import difference_bounds
from streameval.statistics.difference import difference_estimate, difference_interval, difference_until
from streameval.statistics.paired import paired, paired_until
from streameval.statistics.samples import Permutation, without_replacement
from streameval.statistics.sequences import ASSUMES, SEQUENCES, sequence
from streameval.statistics.until import until, until_steps

BOUNDS = (0.0, 16.0)
EVERY = pytest.mark.parametrize("method", SEQUENCES)


def skewed(n=20_000, seed=0):
    return np.minimum(np.random.default_rng(seed).exponential(0.4, n), 16.0)


def reader(losses):
    return lambda rows: losses[rows]


# --- sequences ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", [None, 150])
def test_the_betting_sequence_is_the_naive_one_at_every_row(population):
    values = skewed(120)
    fed = sequence("betting", population, half_width=0.2, level=0.9, bounds=BOUNDS)
    fed.feed(values)
    x = (values / 16.0).tolist()
    stakes = naive.bets(x, population, 0.2 / 16.0, True)
    price = math.log(2 / 0.1)
    for rows in (1, 2, 31, 32, 33, 64, 100, 120):
        mean, low, high = fed.at(rows)
        assert mean == pytest.approx(values[:rows].mean(), rel=1e-12)
        forced = naive.certain(values[:rows].tolist(), population, BOUNDS, -math.inf, math.inf)
        # At the ends the capital is the price, unless what the rows force is narrower still.
        for end, side, limit in ((low, 1, forced[0]), (high, -1, forced[1])):
            if end == pytest.approx(limit, abs=1e-9):
                continue
            m = end / 16.0
            losses = x[:rows] if side > 0 else [1 - v for v in x[:rows]]
            capital = naive.log_capital(losses, stakes[:rows], m if side > 0 else 1 - m, population)[-1]
            assert capital == pytest.approx(price, abs=1e-5)


@EVERY
@given(cuts=st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=25, deadline=None)
def test_pieces_leave_no_trace(method, cuts):
    values = skewed(300)
    whole = sequence(method, 400, half_width=0.1, bounds=BOUNDS)
    whole.feed(values)
    parts = sequence(method, 400, half_width=0.1, bounds=BOUNDS)
    for a, b in itertools.pairwise([0, *sorted(cuts), 300]):
        if b > a:
            parts.feed(values[a:b])
    assert parts.fed == 300
    for rows in (1, 77, 300):
        assert parts.at(rows) == whole.at(rows)


@EVERY
def test_the_interval_at_a_row_depends_on_no_later_row(method):
    values = skewed(1000)
    short = sequence(method, None, half_width=0.05, bounds=BOUNDS)
    short.feed(values[:600])
    long = sequence(method, None, half_width=0.05, bounds=BOUNDS)
    long.feed(np.concatenate([values[:600], np.full(400, 9.0)]))
    assert short.at(600) == long.at(600)


@EVERY
def test_more_rows_than_there_are_is_refused(method):
    fed = sequence(method, 10, half_width=0.1, bounds=BOUNDS)
    with pytest.raises(UsageError, match="11 rows fed, but the population has 10"):
        fed.feed(np.zeros(11))


def test_the_predictable_sequence_bets_e_over_v_plus_e():
    """The naive bound with bets from the rows before, at every row, draws with and without replacement."""
    values = skewed(60)
    x, aim, price = (values / 16.0).tolist(), 0.5 / 16.0, math.log(2 / 0.1)
    for population in (None, 90):
        fed = sequence("predictable", population, half_width=0.5, level=0.9, bounds=BOUNDS)
        fed.feed(values)
        for rows in (1, 2, 20, 60):
            ends = naive.predictable_ends(x[:rows], population, price, lambda v, n: aim / (v + aim))
            nats = [16.0 * end for end in ends]
            low, high = naive.certain(values[:rows].tolist(), population, BOUNDS, *nats)
            mean = values[:rows].mean()
            assert fed.at(rows)[1:] == pytest.approx((min(low, mean), max(high, mean)), rel=1e-9, abs=1e-12)


def test_a_bet_of_e_over_v_plus_e_adds_most():
    v, e = 0.0018, 0.0012
    bets = np.linspace(1e-4, 0.99, 100_000)
    added = bets * e - (-np.log1p(-bets) - bets) * v
    assert bets[added.argmax()] == pytest.approx(e / (v + e), abs=1e-4)


# --- the burn-in -------------------------------------------------------------------------------------------


def test_spread_skewness_and_largest_deviation_are_known_after_every_row():
    from streameval.kernels.statistics_predictable import spread_onward

    values, out = skewed(300), np.empty((300, 3))
    state = np.zeros(6)
    spread_onward(values[:40], state, out[:40])
    spread_onward(values[40:], state, out[40:])
    assert out[0, 0] == math.inf
    for n in (2, 3, 40, 41, 300):
        part = values[:n]
        farthest = max(part.max() - part.mean(), part.mean() - part.min())
        assert out[n - 1] == pytest.approx([part.std(ddof=1), stats.skew(part), farthest], rel=1e-9)


@pytest.mark.parametrize(("kind", "first"), [("calm", 500), ("skew", 1000)])
def test_the_asymptotic_method_shows_nothing_before_its_burn_in(kind, first):
    rng = np.random.default_rng(0)
    losses = (
        rng.uniform(0, 1, 20_000) if kind == "calm" else np.minimum(rng.exponential(0.3, 20_000) ** 2, 16.0)
    )
    steps = list(until_steps(reader(losses), 20_000, half_width=0.01, bounds=None, method="asymptotic"))
    assert steps[0].rows_read >= first
    order = Permutation.of(20_000, seed=0)
    for step in steps[:-1]:
        seen = losses[order.take(0, step.rows_read)]
        unseen = math.log(20) / step.rows_read * (seen.max() - seen.mean())
        assert step.rows_read >= 25 * stats.skew(seen) ** 2
        assert unseen <= step.half_width * (1 + 1e-9)
    few = list(until_steps(reader(losses[:400]), 400, half_width=0.01, bounds=None, method="asymptotic"))
    assert [step.rows_read for step in few] == [400]
    assert few[0].low == few[0].high


def test_the_asymptotic_method_does_not_take_equal_rows_for_certainty():
    """A model that is wrong on 30 of 60,000 rows: of the first 500, in 78 % of orders, on none.

    100 orders at 95 %: misses by chance alone, at 4 standard errors.
    """
    wrong = np.zeros(60_000)
    wrong[np.random.default_rng(3).choice(60_000, 30, replace=False)] = 1.0
    missed = 0
    for seed in range(100):
        looks = until_steps(
            reader(wrong), 60_000, half_width=0.01, bounds=None, seed=seed, method="asymptotic"
        )
        missed += any(not step.low <= 0.0005 <= step.high for step in looks)
    assert missed / 100 <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / 100)
    equal = until(reader(np.full(3000, 0.1)), 3000, half_width=0.01, bounds=None, method="asymptotic")
    assert (equal.rows_read, equal.stopped) == (3000, "exhausted")


def test_a_sequence_that_needs_bounds_names_only_those_that_do_not():
    with pytest.raises(UsageError, match="or use 'asymptotic', which promises less"):
        until(reader(skewed(100)), 100, half_width=0.1, bounds=None)
    with pytest.raises(UsageError, match="or use 'asymptotic', which promises less"):
        until(reader(skewed(100)), 100, half_width=0.1, bounds=(0.0, math.inf), method="predictable")


def test_every_sequence_says_what_it_assumes():
    assert set(ASSUMES) == set(SEQUENCES)
    for name in SEQUENCES:
        assert (
            until(reader(skewed(100)), 100, half_width=1.0, bounds=BOUNDS, method=name).assumes
            == ASSUMES[name]
        )


# --- until -------------------------------------------------------------------------------------------------


@EVERY
def test_it_stops_once_narrow_enough_and_not_before(method):
    losses = skewed()
    found = until(reader(losses), 20_000, half_width=0.03, bounds=BOUNDS, method=method)
    assert found.stopped == "precision"
    assert 0.0 < found.half_width <= 0.03
    assert found.low <= found.loss <= found.high
    assert found.fraction == found.rows_read / 20_000
    assert found.rows_read <= found.rows_fetched <= 1.06 * found.rows_read + 64
    rows = Permutation.of(20_000, seed=0).take(0, found.rows_read)
    assert found.loss == pytest.approx(losses[rows].mean(), rel=1e-12)
    fed = sequence(method, 20_000, half_width=0.03, bounds=BOUNDS)
    fed.feed(losses[rows])
    _, low, high = fed.at(found.rows_read - 1)
    assert high - low > 0.06


@EVERY
@pytest.mark.parametrize("population", [1, 2, 63, 64, 65, 500, 1000])
def test_at_the_end_it_is_exact(method, population):
    losses = skewed(population)
    found = until(reader(losses), population, half_width=1e-12, bounds=BOUNDS, method=method)
    assert found.stopped == "exhausted"
    assert found.loss == found.low == found.high
    assert found.loss == pytest.approx(math.fsum(losses) / population, rel=1e-15)
    assert (found.half_width, found.fraction, found.rows_read) == (0.0, 1.0, population)


@EVERY
def test_the_exact_end_is_exact_to_the_last_digit(method):
    """Sums of 30,000 losses in floating point are off by many last digits; the mean at the end by one at most."""
    losses = skewed(30_000, seed=1)
    found = until(reader(losses), 30_000, half_width=1e-12, bounds=BOUNDS, method=method)
    truth = math.fsum(losses) / 30_000
    assert abs(found.loss - truth) <= math.ulp(truth)


@pytest.mark.parametrize(("seed", "told"), [(3, 3), (np.int64(3), 3), (np.random.default_rng(3), None)])
def test_the_result_tells_its_seed_if_it_has_one(seed, told):
    found = until(reader(skewed(100)), 100, half_width=1.0, seed=seed, bounds=BOUNDS)
    assert json.loads(json.dumps(found.to_dict()))["seed"] == told


@EVERY
def test_each_order_misses_as_rarely_as_promised(method):
    """400 seeds at level 0.8, every look counted: at a rate of 0.2, over 104 misses have probability 0.001."""
    losses = skewed(3000) ** 2
    losses = np.minimum(losses, 16.0)
    truth = losses.mean()
    missed = 0
    for seed in range(400):
        steps = until_steps(
            reader(losses), 3000, half_width=0.12, level=0.8, bounds=BOUNDS, seed=seed, method=method
        )
        missed += any(not step.low - 1e-12 <= truth <= step.high + 1e-12 for step in steps)
    assert missed <= 104


def test_the_result_does_not_depend_on_how_rows_are_read():
    losses = skewed()

    def by_offset(rows):
        order = np.argsort(rows)
        out = np.empty(len(rows))
        out[order] = [losses[row] for row in rows[order]]
        return out

    plain = until(reader(losses), 20_000, half_width=0.05, bounds=BOUNDS, seed=3)
    assert until(by_offset, 20_000, half_width=0.05, bounds=BOUNDS, seed=3) == plain
    assert until(reader(losses), 20_000, half_width=0.05, bounds=BOUNDS, seed=4) != plain


def test_steps_are_shown_and_the_last_is_the_answer():
    losses = skewed()
    shown = []
    found = until(reader(losses), 20_000, half_width=0.05, bounds=BOUNDS, on_step=shown.append)
    steps = list(until_steps(reader(losses), 20_000, half_width=0.05, bounds=BOUNDS))
    assert shown == steps
    assert [step.rows_read for step in steps] == sorted({step.rows_read for step in steps})
    assert (steps[-1].rows_read, steps[-1].low, steps[-1].high) == (found.rows_read, found.low, found.high)
    assert steps[0].half_width > steps[-1].half_width


def test_smaller_half_widths_read_more():
    losses = skewed()
    read = [
        until(reader(losses), 20_000, half_width=h, bounds=BOUNDS).rows_read for h in (0.2, 0.1, 0.05, 0.02)
    ]
    assert read == sorted(read)
    assert read[0] < read[-1] / 4


def test_ten_million_rows_take_a_few_thousand_reads():
    losses = skewed(1_000_000)
    found = until(
        lambda rows: losses[rows % 1_000_000], 10**7, half_width=0.01, bounds=CrossEntropy(eps=1e-7).bounds
    )
    assert found.fraction < 0.01
    assert found.stopped == "precision"


def test_it_is_frozen_and_its_dictionary_is_json():
    found = until(reader(skewed()), 20_000, half_width=0.1, bounds=BOUNDS)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    names = "loss half_width level low high rows_read rows_fetched fraction method stopped assumes seed"
    assert set(plain) == set(names.split())
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.loss = 0.0


@EVERY
@pytest.mark.parametrize("half_width", [1e-300, 1e-309, 5e-324])
def test_a_half_width_of_nearly_nothing_takes_all_rows(method, half_width):
    losses = skewed(70)
    found = until(reader(losses), 70, half_width=half_width, bounds=BOUNDS, method=method)
    assert (found.stopped, found.rows_read, found.half_width) == ("exhausted", 70, 0.0)
    assert found.loss == pytest.approx(losses.mean(), rel=1e-12)


def test_without_eps_only_the_asymptotic_form_runs():
    losses = skewed() * 100
    with pytest.raises(UsageError, match="eps = 0"):
        until(reader(losses), 20_000, half_width=0.1, bounds=CrossEntropy(eps=0.0).bounds)
    found = until(reader(losses), 20_000, half_width=5.0, bounds=None, method="asymptotic")
    assert found.low <= losses.mean() <= found.high
    assert found.rows_read >= 500


def test_wrong_arguments_and_wrong_losses_are_refused():
    losses = skewed(100)
    for options, said in [
        ({"half_width": 0.0}, "half-width 0.0"),
        ({"half_width": math.nan}, "half-width nan"),
        ({"half_width": 0.1, "level": 1.0}, "level 1.0"),
        ({"half_width": 0.1, "method": "normal"}, "betting or predictable or asymptotic"),
        ({"half_width": 0.1, "seed": -1}, "seed"),
    ]:
        with pytest.raises(UsageError, match=said):
            until(reader(losses), 100, bounds=BOUNDS, **options)
    with pytest.raises(UsageError, match=r"64 rows were asked for, losses of shape \(3,\)"):
        until(lambda rows: losses[:3], 100, half_width=0.1, bounds=BOUNDS)
    with pytest.raises(DataError, match="outside the bounds"):
        until(reader(losses + 16), 100, half_width=0.1, bounds=BOUNDS)
    with pytest.raises(UsageError, match="population of 0"):
        until(reader(losses), 0, half_width=0.1, bounds=BOUNDS)


# --- pairs -------------------------------------------------------------------------------------------------


def models(n=4000):
    rng = np.random.default_rng(0)
    first = rng.exponential(0.4, n)
    return {"a": first, "b": np.abs(first + rng.normal(0.01, 0.02, n)), "c": rng.exponential(0.5, n)}


@pytest.mark.parametrize("population", [None, 4000, 9000])
def test_a_pair_is_the_obvious_numbers(population, monkeypatch):
    monkeypatch.setattr("streameval.statistics.paired.PIECE", 300)
    losses, labels = models(), np.random.default_rng(1).integers(0, 3, 4000)
    pairs = paired(losses, labels=labels, population=population)
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c")]
    for pair in pairs:
        one, two = losses[pair.first], losses[pair.second]
        gap = two - one
        assert pair.difference == pytest.approx(gap.mean(), rel=1e-10)
        assert pair.sd == pytest.approx(gap.std(ddof=1), rel=1e-10)
        assert pair.correlation == pytest.approx(np.corrcoef(one, two)[0, 1], rel=1e-9)
        assert pair.win_rate == np.mean(two < one)
        assert pair.tie_rate == np.mean(two == one)
        share = 0.0 if population is None else 4000 / population
        both = (one.var(ddof=1) + two.var(ddof=1)) * (1 - share) / 4000
        times = 1.959963984540054 if population else stats.t.ppf(0.975, 3999)
        assert pair.unpaired_half_width == pytest.approx(times * math.sqrt(both), rel=1e-9)
        half = times * math.sqrt(gap.var(ddof=1) * (1 - share) / 4000)
        low, high = gap.mean() - half, gap.mean() + half
        assert (pair.interval.low, pair.interval.high) == pytest.approx((low, high), rel=1e-9)
        for row in pair.per_class:
            inside = gap[labels == row.label]
            assert row.rows == len(inside)
            assert row.difference == pytest.approx(inside.mean(), rel=1e-9)
            assert row.stderr == pytest.approx(inside.std(ddof=1) / math.sqrt(len(inside)), rel=1e-7)
            assert row.win_rate == np.mean(inside < 0)
        json.dumps(pair.to_dict(), allow_nan=False)
    assert pairs[0].unpaired_half_width > 5 * pairs[0].interval.half_width or population == 4000


def test_pairs_of_few_or_equal_rows_have_answers():
    same = paired({"a": np.array([0.1, 0.2]), "b": np.array([0.1, 0.2])})[0]
    assert (same.difference, same.tie_rate, same.win_rate, same.interval.half_width) == (0.0, 1.0, 0.0, 0.0)
    assert "too few" in same.interval.warning
    ties = {"a": np.zeros(100), "b": np.zeros(100)}
    assert "All differences are equal" in paired(ties)[0].interval.warning
    assert paired(ties, population=100)[0].interval.warning is None
    first = np.random.default_rng(0).random(100)
    apart = paired({"a": first, "b": first + 0.1})[0]  # by 0.1, but for rounding
    assert "All differences are equal" in apart.interval.warning
    # A difference that is large beside its spread keeps the digits of it, by class too.
    noise = 1e-6 * np.random.default_rng(1).normal(size=100)
    wide = paired({"a": np.zeros(100), "b": 1e3 + noise}, labels=np.zeros(100, np.int64))[0].per_class[0]
    assert wide.stderr == pytest.approx(noise.std(ddof=1) / 10, rel=1e-5)
    assert wide.difference == pytest.approx(1e3 + noise.mean(), rel=1e-12)
    one = paired({"a": np.array([0.1]), "b": np.array([0.3])}, labels=[0])[0]
    assert (one.interval.low, one.unpaired_half_width) == (-math.inf, math.inf)
    assert one.interval_at(0.5).high == math.inf
    assert one.correlation is None
    assert one.per_class[0].stderr is None
    for losses, said in [
        ({"a": np.zeros(3)}, "1 models"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "different lengths"),
    ]:
        with pytest.raises(UsageError, match=said):
            paired(losses)
    with pytest.raises(UsageError, match="labels: 1 for 3 rows"):
        paired({"a": np.zeros(3), "b": np.zeros(3)}, labels=[0])


@pytest.mark.parametrize("level", [0.6, 0.95, 0.99])
def test_the_interval_of_few_pairs_is_that_of_student_s_test(level):
    gaps = np.array([0.5, 0.0, 0.6, -0.1, 0.4])
    pair = paired({"a": np.ones(5), "b": 1.0 + gaps}, level=0.95)[0]
    told = stats.ttest_1samp(gaps, 0.0).confidence_interval(level)
    asked = paired({"a": np.ones(5), "b": 1.0 + gaps}, level=level)[0].interval
    for interval in (pair.interval_at(level), asked):
        assert (interval.low, interval.high) == pytest.approx((told.low, told.high), rel=1e-9)


def test_a_pair_read_until_known_finds_the_difference():
    losses = models()
    both = np.array([losses["a"], losses["b"]])
    found = paired_until(lambda rows: both[:, rows], 4000, half_width=0.05, bounds=BOUNDS)
    truth = (losses["b"] - losses["a"]).mean()
    assert found.low <= truth <= found.high
    assert found.half_width <= 0.05
    assert found.rows_read < 3000
    with pytest.raises(UsageError, match="two models"):
        paired_until(lambda rows: both[0, rows], 4000, half_width=0.05, bounds=BOUNDS)


# --- the difference estimator ------------------------------------------------------------------------------


def test_old_losses_make_new_ones_cheap():
    losses = models()
    old, new = losses["a"], losses["b"]
    rows = without_replacement(4000, 200, seed=1)
    found = difference_estimate(old, rows, new[rows])
    gap = new[rows] - old[rows]
    assert found.mean == pytest.approx(old.mean() + gap.mean(), rel=1e-12)
    assert found.variance == pytest.approx((1 - 0.05) * gap.var(ddof=1) / 200, rel=1e-12)
    assert abs(found.mean - new.mean()) < 4 * found.stderr
    plain = (1 - 0.05) * new[rows].var(ddof=1) / 200
    assert found.variance < plain / 50
    inside = difference_interval(old, rows, new[rows], bounds=BOUNDS)
    assert inside.low <= found.mean <= inside.high
    wide = difference_interval(old, rows, new[rows], "betting", bounds=BOUNDS)
    assert wide.low <= inside.low <= inside.high <= wide.high


def test_a_new_model_read_until_known_by_its_difference():
    losses = models(20_000)
    shown = []
    found = difference_until(
        lambda rows: losses["b"][rows], losses["a"], half_width=0.005, bounds=BOUNDS, on_step=shown.append
    )
    alone = until(reader(losses["b"]), 20_000, half_width=0.005, bounds=BOUNDS)
    assert found.low <= losses["b"].mean() <= found.high
    assert found.rows_read < 0.6 * alone.rows_read
    assert (shown[-1].low, shown[-1].high) == (found.low, found.high)
    assert difference_bounds(BOUNDS) == (-16.0, 16.0)
    whole = difference_until(lambda rows: losses["c"][rows], losses["a"], half_width=1e-12, bounds=BOUNDS)
    assert whole.loss == pytest.approx(losses["c"].mean(), rel=1e-12)
    assert whole.stopped == "exhausted"
