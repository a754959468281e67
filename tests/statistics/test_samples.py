"""Draws: the same rows for the same seed everywhere, every row as likely, every order as likely."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import naive_statistics as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from streameval.errors import UsageError
from streameval.kernels.permute import permuted_trials
from streameval.statistics.contiguous import blocks
from streameval.statistics.samples import (
    Permutation,
    pattern,
    rectangle,
    rounds,
    with_replacement,
    without_replacement,
)
from streameval.statistics.samples import given as given_rows
from streameval.statistics.seeds import spawn_stream
from streameval.statistics.stratified import Strata, allocate, stratified

FALSE_ALARM = 1e-6  # of every random check below; seeds are fixed, so it either holds for good or never


def test_with_replacement_is_numpys_own_stream():
    expected = np.random.Generator(np.random.PCG64(7)).integers(0, 60000, 100)
    assert np.array_equal(with_replacement(60000, 100, seed=7), expected)
    assert with_replacement(60000, 100).dtype == np.int64


def test_a_generator_moves_on_and_an_int_does_not():
    rng = np.random.default_rng(3)
    for draw in (with_replacement, without_replacement):
        assert not np.array_equal(draw(1000, 50, seed=rng), draw(1000, 50, seed=rng))
        assert np.array_equal(draw(1000, 50, seed=3), draw(1000, 50, seed=3))
        assert not np.array_equal(draw(1000, 50, seed=3), draw(1000, 50, seed=4))


@pytest.mark.parametrize("population", [*range(1, 40), 60, 255, 256, 257, 4095, 4096, 4097, 60000])
def test_the_permutation_visits_every_row_once(population):
    rows = Permutation.of(population, seed=5).take(0, population)
    assert np.array_equal(np.sort(rows), np.arange(population))


@given(st.integers(1, 2**61), st.integers(0, 2**40), st.data())
@settings(max_examples=60, deadline=None)
def test_the_permutation_is_the_naive_one(population, seed, data):
    order = Permutation.of(population, seed=seed)
    start = data.draw(st.integers(0, max(0, population - 5)))
    stop = min(population, start + 5)
    expected = [naive.permuted(i, order.keys.tolist(), population) for i in range(start, stop)]
    assert order.take(start, stop).tolist() == expected


def test_places_do_not_depend_on_how_they_are_asked_for():
    order = Permutation.of(10**9, seed=1)
    whole = order.take(0, 10000)
    parts = [order.take(a, a + 100) for a in range(0, 10000, 100)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert len(np.unique(whole)) == 10000


def test_the_thread_count_leaves_no_trace():
    code = (
        "from streameval.statistics.samples import without_replacement as w;"
        "print(w(10**9, 5000, seed=2).tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("population", [2, 3, 4, 5, 6])
def test_every_order_of_a_few_rows_is_as_likely(population):
    """Chi-squared over all N! orders of 100,000 keys."""
    trials = 100_000
    keys = np.random.default_rng(population).integers(0, 2**64, (trials, rounds(population)), dtype=np.uint64)
    out = np.empty((trials, population), np.int64)
    permuted_trials(keys, *rectangle(population), population, out)
    orders = list(itertools.permutations(range(population)))
    codes = out @ (population ** np.arange(population))
    counts = [np.count_nonzero(codes == np.dot(o, population ** np.arange(population))) for o in orders]
    assert stats.chisquare(counts).pvalue > FALSE_ALARM


@pytest.mark.parametrize("population", [9, 15, 16, 25, 35])
def test_odd_and_even_permutations_are_as_likely(population):
    """Also of populations that fill a rectangle of odd sides: 4,000 keys, 5 standard errors."""
    keys = np.random.default_rng(7).integers(0, 2**64, (4000, rounds(population)), dtype=np.uint64)
    out = np.empty((4000, population), np.int64)
    permuted_trials(keys, *rectangle(population), population, out)
    odd = sum(np.linalg.det(np.eye(population)[order]) < 0 for order in out)
    assert abs(odd - 2000) < 5 * math.sqrt(1000)


def test_every_seed_and_path_names_another_stream():
    names = [
        (7,),
        (7, 0),
        (7, 1),
        (7 + 2**32,),
        (7 * 2**32,),
        (0, 7),
        (0,),
        (0, 0),
        (0, 0, 0),
        (0, 2**32),
        (0, 0, 1),
    ]
    names += [(0, 1, 0), (2**128 - 1,), (2**127, 3), (3, 2**63)]
    states = {spawn_stream(*name).generate_state(4).tobytes() for name in names}
    assert len(states) == len(names)
    # Without a path it is the seed's own stream, as it always was.
    assert np.array_equal(spawn_stream(7).generate_state(4), np.random.SeedSequence([7]).generate_state(4))
    with pytest.raises(UsageError, match="0 to 2\\*\\*128 - 1"):
        spawn_stream(2**128)


@pytest.mark.parametrize("population", [1000, 60000, 10**9])
def test_places_and_rows_are_independent(population):
    """Chi-squared of 20 x 20 cells: which twentieth of the rows each twentieth of the draws comes from."""
    trials, n = 400, 1000
    keys = np.random.default_rng(1).integers(0, 2**64, (trials, rounds(population)), dtype=np.uint64)
    out = np.empty((trials, n), np.int64)
    permuted_trials(keys, *rectangle(population), population, out)
    cells = np.zeros((20, 20))
    np.add.at(cells, (np.tile(np.arange(n) * 20 // n, trials), (out * 20 // population).ravel()), 1)
    assert stats.chisquare(cells.ravel()).pvalue > FALSE_ALARM


def test_neighbouring_places_go_to_unrelated_rows():
    """The correlation of row(i) with row(i + 1), + 2, + 245 (a side of the rectangle) is within chance."""
    population = 60000
    rows = Permutation.of(population, seed=9).take(0, population).astype(float)
    for lag in (1, 2, 244, 245, 246):
        r = np.corrcoef(rows[:-lag], rows[lag:])[0, 1]
        assert abs(r) < stats.norm.isf(FALSE_ALARM / 2) / math.sqrt(population - lag)


def test_means_of_draws_have_the_textbook_mean_and_variance():
    values = np.random.default_rng(0).exponential(size=500)
    trials, n = 20000, 50
    keys = np.random.default_rng(2).integers(0, 2**64, (trials, rounds(500)), dtype=np.uint64)
    out = np.empty((trials, n), np.int64)
    permuted_trials(keys, *rectangle(500), 500, out)
    means = values[out].mean(axis=1)
    expected = values.var(ddof=1) / n * (1 - n / 500)
    z = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(means.mean() - values.mean()) < z * math.sqrt(expected / trials)
    assert means.var(ddof=1) == pytest.approx(expected, rel=z * math.sqrt(2.5 / trials))


def test_a_larger_sample_begins_with_the_smaller():
    assert np.array_equal(without_replacement(5000, 70, seed=1), without_replacement(5000, 700, seed=1)[:70])


def test_given_rows_are_checked_and_kept():
    assert given_rows([3, 1, 3], 5).tolist() == [3, 1, 3]
    assert given_rows(np.array([False, True, False, True]), 4).tolist() == [1, 3]
    assert given_rows([], 4).tolist() == []
    for wrong, said in [
        ([0, 9], "entry 1: row 9 does not exist"),
        ([-1], "row -1"),
        ([0.5], "integers were expected"),
        ([[1]], "flat list"),
        (np.array([True]), "mask of 1 entries for 4 rows"),
    ]:
        with pytest.raises(UsageError, match=said):
            given_rows(wrong, 4)


def test_rows_that_follow_a_pattern_are_told_from_random_ones():
    assert "one row in 2 of the file" in pattern(np.arange(1, 101, 2))
    assert "consecutive rows" in pattern(np.arange(50, 150))
    assert "consecutive rows" in pattern(np.arange(50)[::-1])
    assert "whole blocks" in pattern(blocks(6000, 600, block_rows=50, seed=1).rows)
    for seed in range(50):
        assert pattern(with_replacement(60000, 100, seed=seed)) is None
        assert pattern(without_replacement(60000, 100, seed=seed)) is None
        assert pattern(np.sort(without_replacement(60000, 10_000, seed=seed))) is None
    assert pattern(np.array([5, 5, 5, 5])) is None
    assert pattern(np.array([1, 2, 3])) is None


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, "0"])
def test_a_seed_is_an_int_or_a_generator(seed):
    with pytest.raises(UsageError, match="seed"):
        with_replacement(10, 2, seed=seed)
    with pytest.raises(UsageError, match="seed"):
        without_replacement(10, 2, seed=seed)


def test_impossible_draws_say_so():
    with pytest.raises(UsageError, match="only 10 different rows"):
        without_replacement(10, 11)
    with pytest.raises(UsageError, match="population of 0 rows"):
        with_replacement(0, 1)
    with pytest.raises(UsageError, match="size -1"):
        with_replacement(5, -1)
    assert with_replacement(5, 0).shape == (0,)


# --- strata ------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any),
    st.data(),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_allocations_add_up_and_stay_inside_their_classes(sizes, data, weighted):
    sizes = np.array(sizes, np.int64)
    least = np.minimum(sizes, 2)
    size = data.draw(st.integers(int(least.sum()), int(sizes.sum())))
    spread = (
        data.draw(st.lists(st.floats(0, 10), min_size=len(sizes), max_size=len(sizes))) if weighted else None
    )
    counts = allocate(sizes, size, spread)
    assert counts.sum() == size
    assert (counts >= least).all()
    assert (counts <= sizes).all()


def test_proportional_and_neyman_shares_are_the_textbooks():
    sizes = np.array([1000, 2000, 3000])
    assert allocate(sizes, 600).tolist() == [100, 200, 300]
    assert allocate(sizes, 600, [3.0, 0.0, 1.0]).tolist() == [299, 2, 299]


def test_the_stratified_estimate_is_the_formula():
    """Classes of 10 and 30 rows, 5 and 6 drawn: W^2 (1 - n/N) s^2 / n, class by class."""
    drawn = Strata(np.arange(11), np.array([5, 6]), np.array([10, 30]))
    losses = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, 6.0, 6.0, 6.0])
    found = drawn.estimate(losses)
    assert found.mean == pytest.approx(0.25 * 3.0 + 0.75 * 3.0)
    assert found.variance == pytest.approx(0.25**2 * 0.5 * 2.5 / 5 + 0.75**2 * 0.8 * 10.8 / 6)
    one, two = 0.25**2 * 0.5 * 2.5 / 5, 0.75**2 * 0.8 * 10.8 / 6
    assert found.freedom == pytest.approx((one + two) ** 2 / (one**2 / 4 + two**2 / 5))
    assert found.interval().high == pytest.approx(3.0 + stats.t.ppf(0.975, found.freedom) * found.stderr)
    with pytest.raises(UsageError, match="one per row"):
        drawn.estimate(losses[1:])


def test_few_draws_of_normal_losses_are_held_as_often_as_said():
    """5 blocks, and 20 rows of 10 classes, 1,000 draws: z covers 0.89 and 0.86; standard error 0.007."""
    rng = np.random.default_rng(2)
    losses, labels = rng.normal(size=4000), np.arange(4000) % 10
    truth, held = losses.mean(), np.zeros(2)
    for seed in range(1000):
        five = blocks(4000, 50, block_rows=10, seed=seed)
        strata = stratified(labels, 20, seed=seed)
        for k, drawn in enumerate((five, strata)):
            held[k] += truth in drawn.estimate(losses[drawn.rows]).interval()
    assert held[0] / 1000 == pytest.approx(0.95, abs=0.025)
    # Satterthwaite's degrees, from two rows a class, are on the safe side.
    assert 0.93 <= held[1] / 1000 <= 0.99


def test_estimates_from_few_draws_warn_of_what_they_cannot_have_seen():
    losses, labels = np.random.default_rng(0).exponential(0.1, 4000), np.arange(4000) % 10
    for drawn, what in [
        (blocks(4000, 50, block_rows=10), "5 blocks can miss"),
        (stratified(labels, 20), "20 rows can"),
    ]:
        found = drawn.estimate(losses[drawn.rows]).interval(bounds=(0.0, 16.0))
        assert what in found.warning
        assert found.method == "student"


def test_the_stratified_estimate_is_unbiased_and_knows_its_variance():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 2000)
    losses = rng.exponential(size=2000) + labels
    spread = [losses[labels == k].std(ddof=1) for k in range(4)]
    for kind in (None, spread):
        found = [
            (s := stratified(labels, 80, seed=i, spread=kind)).estimate(losses[s.rows]) for i in range(2000)
        ]
        means = np.array([f.mean for f in found])
        variance = np.mean([f.variance for f in found])
        z = stats.norm.isf(FALSE_ALARM / 2)
        assert abs(means.mean() - losses.mean()) < z * means.std() / math.sqrt(2000)
        assert means.var(ddof=1) == pytest.approx(variance, rel=z * math.sqrt(2.2 / 2000))
        inside = [losses.mean() in f.interval(0.9) for f in found]
        assert np.mean(inside) == pytest.approx(0.9, abs=z * math.sqrt(0.09 / 2000) + 0.02)
    whole = stratified(labels, 2000)
    assert whole.estimate(losses[whole.rows]).variance == 0.0
    assert whole.estimate(losses[whole.rows]).mean == pytest.approx(losses.mean(), rel=1e-14)


def test_strata_draw_each_class_without_replacement_and_the_same_for_the_same_seed():
    labels = np.array([0] * 10 + [2] * 90)
    drawn = stratified(labels, 20, seed=4)
    assert drawn.counts.tolist() == [2, 0, 18]
    assert len(np.unique(drawn.rows)) == 20
    assert (labels[drawn.rows] == np.repeat([0, 2], [2, 18])).all()
    assert np.array_equal(drawn.rows, stratified(labels, 20, seed=4).rows)
    with pytest.raises(UsageError, match="4 to 100 rows can be shared out among 2 classes"):
        stratified(labels, 3)


# --- blocks ------------------------------------------------------------------------------------------------


def test_blocks_are_whole_tiles_and_their_variance_is_honest():
    """Neighbours alike: the row-wise formula is far too small, the block-wise one is right."""
    rng = np.random.default_rng(5)
    losses = np.repeat(rng.exponential(size=120), 25)[:2990] + 0.1 * rng.exponential(size=2990)
    found, naive_variance = [], []
    for seed in range(2000):
        drawn = blocks(2990, 500, block_rows=25, seed=seed)
        values = losses[drawn.rows]
        found.append(drawn.estimate(values))
        naive_variance.append(values.var(ddof=1) / len(values))
    means = np.array([f.mean for f in found])
    z = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(means.mean() - losses.mean()) < z * means.std() / math.sqrt(2000) + 1e-3
    assert np.mean([f.variance for f in found]) == pytest.approx(means.var(ddof=1), rel=0.15)
    assert np.mean(naive_variance) < means.var(ddof=1) / 10


def test_a_single_draw_leaves_the_variance_open():
    drawn = blocks(100, 1, block_rows=10)
    found = drawn.estimate(np.arange(10.0)).interval()
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "unknown" in found.warning


def test_estimates_lie_within_the_bounds_and_say_where_draws_are_alike():
    drawn = blocks(1000, 20, block_rows=10)
    wide = drawn.estimate(np.repeat([0.0, 1.0], 10))
    assert wide.interval().low < 0.0
    assert (wide.interval(bounds=(0.0, 1.0)).low, wide.interval(bounds=(0.0, 1.0)).high) == (0.0, 1.0)
    assert "All blocks drawn are alike" in str(drawn.estimate(np.ones(20)).interval().warning)
    whole = blocks(20, 20, block_rows=10)
    assert whole.estimate(np.ones(20)).interval().warning is None


def test_all_blocks_are_the_whole_file():
    losses = np.arange(23.0)
    drawn = blocks(23, 23, block_rows=5)
    assert drawn.rows.tolist() == list(range(23))
    assert drawn.estimate(losses).mean == losses.mean()
    assert drawn.estimate(losses).variance == 0.0
    with pytest.raises(UsageError, match="1 or more"):
        blocks(23, 0, block_rows=5)
