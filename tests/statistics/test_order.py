"""The audit of the order: its numbers, its false alarms whatever the losses, what it finds and says."""

from __future__ import annotations

import itertools
import json
import math
import re

import numpy as np
import pytest
from scipy import stats

from streameval.errors import UsageError
from streameval.kernels.ordering import shuffled_blocks, summed_squares, window_keys
from streameval.statistics.order import SHARES, audit_order
from streameval.statistics.population import Population
from streameval.statistics.residues import LONGEST_CYCLE, STRIDES, cycles
from streameval.statistics.tails import Tails
from streameval.statistics.tiles import BLOCKS


def skewed(n=5000, seed=0):
    return np.minimum(np.random.default_rng(seed).exponential(0.4, n), 16.0)


def look(found, kind, size=None):
    return next(one for one in found.findings if one.kind == kind and size in (None, one.size))


# --- the numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [100_000, 15_000, 5_000])
def test_the_looks_are_the_obvious_numbers(piece, monkeypatch):
    monkeypatch.setattr("streameval.statistics.residues.PIECE_ROWS", piece)
    monkeypatch.setattr("streameval.statistics.repeats.PIECE_ROWS", piece)
    losses = skewed(50_003)
    found = audit_order(losses)
    mean, sd = losses.mean(), losses.std(ddof=1)
    assert found.even == pytest.approx(losses[::2].mean(), rel=1e-12)
    assert found.odd == pytest.approx(losses[1::2].mean(), rel=1e-12)
    for one in found.findings:
        if one.kind == "stride":
            parts = [losses[r :: one.size] for r in range(one.size)]
            errors = [part.mean() / mean - 1 for part in parts]
            scores = [(part.mean() - mean) / (sd * math.sqrt((1 / len(part)) - 1 / 50_003)) for part in parts]
            assert abs(one.price) == pytest.approx(max(map(abs, errors)), rel=1e-9)
            assert abs(one.z) == pytest.approx(max(map(abs, scores)), rel=1e-7)
        elif one.kind == "block":
            blocks = losses[: 50_003 // one.size * one.size].reshape(-1, one.size).mean(axis=1)
            expected = losses.var(ddof=1) * (1 - one.size / 50_003) / one.size
            assert one.price == pytest.approx(((blocks - mean) ** 2).mean() / expected, rel=1e-9)
        elif one.kind == "trend":
            assert one.price == pytest.approx(np.corrcoef(losses, np.arange(50_003))[0, 1], rel=1e-6)
    assert [one.size for one in found.findings if one.kind == "stride"] == list(STRIDES)
    assert {one.size for one in found.findings if one.kind == "block"} == set(BLOCKS)


def test_the_period_is_the_largest_of_all_amplitudes_summed_one_by_one():
    losses = skewed(331)
    found = look(audit_order(losses), "period")
    gaps, rows = losses - losses.mean(), np.arange(331)
    lengths = [abs((gaps * np.exp(2j * np.pi * k * rows / 331)).sum()) for k in range(1, 166)]
    k = int(np.argmax(lengths))
    assert found.size == round(331 / (k + 1))
    assert found.z == pytest.approx(lengths[k] / (losses.std(ddof=1) * math.sqrt(331 / 2)), rel=1e-9)
    assert found.price == pytest.approx(2 * lengths[k] / 331 / losses.mean(), rel=1e-9)


def test_few_cycles_serve_all_strides():
    assert all(any(cycle % stride == 0 for cycle in cycles()) for stride in STRIDES)
    assert max(cycles()) <= LONGEST_CYCLE
    assert len(cycles()) < 12


def test_the_kernels_of_the_audit_are_the_obvious_loops():
    gaps = skewed(1003) - 0.4
    sizes = np.array([1, 10, 100], np.int64)
    out = np.empty(3)
    summed_squares(gaps, sizes, out)
    plain = [(gaps[: 1003 // s * s].reshape(-1, s).sum(axis=1) ** 2).sum() for s in sizes]
    assert out == pytest.approx(plain, rel=1e-12)
    copies = np.empty((4, 500, 3))
    shuffled_blocks(gaps, sizes, np.arange(4, dtype=np.uint64), np.empty((4, 1003)), copies)
    assert copies[..., 0].ravel() == pytest.approx(
        np.full(2000, plain[0]), rel=1e-12
    )  # nothing lost or doubled
    rng = np.random.default_rng(0)
    for which, size in ((1, 10), (2, 100)):
        fit = 1003 // size * size
        own = [(rng.permutation(gaps)[:fit].reshape(-1, size).sum(axis=1) ** 2).sum() for _ in range(2000)]
        assert stats.ks_2samp(copies[..., which].ravel(), own).pvalue > 1e-4
    bits = np.array([5, 6, 7, 8, 5, 6, 7, 9], np.uint64)
    keys = np.empty(6, np.uint64)
    window_keys(bits, 3, np.uint64(12345), keys)
    assert keys[0] == keys[4]
    assert len(set(keys.tolist())) == 5


# --- bounds ------------------------------------------------------------------------------------------------


def test_a_mean_off_by_so_much_is_never_likelier_than_its_bound():
    """Every subset of nine losses, and both sides."""
    losses = np.array([0.0, 0.0, 0.1, 0.1, 0.3, 0.5, 1.0, 4.0, 16.0])
    tails = Tails.of(losses, Population.of(losses))
    for count in range(1, 9):
        gaps = np.array([np.mean(part) for part in itertools.combinations(losses, count)]) - losses.mean()
        for gap in (0.3, 0.8, 1.5, 3.0, 6.0, -0.3, -1.0, -1.9):
            exact = np.mean(gaps >= gap - 1e-12) if gap > 0 else np.mean(gaps <= gap + 1e-12)
            assert exact <= math.exp(tails.mean_of(count, gap)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("rows", "right", "drawn"), [(60_000, 300, 30_000), (60_000, 300, 1000), (2000, 1000, 1000)]
)
def test_bounds_of_means_follow_the_exact_tail_of_counts(rows, right, drawn):
    """Losses of two kinds: the hypergeometric tail, out to 1e-30, is passed by a factor of 2,000 at most."""
    losses = np.zeros(rows)
    losses[:right] = 16.0
    tails = Tails.of(losses, Population.of(losses))
    expected = drawn * right / rows
    for k in range(math.ceil(expected) + 1, min(right, drawn)):
        exact = stats.hypergeom.logsf(k - 1, rows, right, drawn)
        if exact < -70:
            break
        bound = tails.mean_of(drawn, 16.0 * (k / drawn - right / rows))
        assert exact - 1e-9 <= bound
        assert bound <= max(exact + math.log(2000), 0.0)


def test_a_weighted_sum_that_large_is_never_likelier_than_its_bound():
    """Every order of seven losses, weighted as the trend weighs them."""
    losses = np.array([0.0, 0.0, 0.2, 0.3, 1.0, 2.0, 9.0])
    tails = Tails.of(losses, Population.of(losses))
    places = np.arange(7) - 3.0
    orders = np.array(list(itertools.permutations(losses - losses.mean())))
    sums = orders @ places
    ends = np.linspace(-3.5, 3.5, 129)
    for total in (5.0, 10.0, 20.0, 30.0):
        assert np.mean(sums >= total) <= math.exp(tails.weighted(ends, 7, total))


# --- false alarms ------------------------------------------------------------------------------------------

POPULATIONS = {
    "normal": lambda rng: rng.normal(size=3000),
    "lognormal": lambda rng: np.minimum(np.exp(1.5 * rng.normal(size=3000)) * 0.05, 16.0),
    "rare": lambda rng: (rng.random(3000) < 0.005) * rng.uniform(8, 16, 3000) + rng.exponential(0.05, 3000),
    "bounds": lambda rng: (rng.random(3000) < 0.01) * 16.0,
    "one huge": lambda rng: np.append(rng.exponential(0.01, 2999), 16.0),
    "differences": lambda rng: rng.standard_t(2, size=3000) * 0.01,
    "few rows": lambda rng: rng.exponential(size=70) ** 3,
    "constant": lambda rng: np.full(500, 0.5),
}


@pytest.mark.parametrize("kind", POPULATIONS)
def test_random_orders_are_rarely_flagged_whatever_the_losses(kind):
    """Stated rate 0.05 an audit, 60 audits: 10 or more alarms have probability 0.001 at that rate."""
    rng = np.random.default_rng(0)
    values = POPULATIONS[kind](rng)
    whole = Population.of(values)
    alarms = sum(
        not audit_order(rng.permutation(values), whole, false_alarm=0.05, seed=k).random for k in range(60)
    )
    assert alarms < 10


def test_skew_losses_pass_the_normal_limit_far_too_often_and_are_not_flagged():
    """What the bound is for: at a rate of 0.001, rare losses pass a normal limit in 1 of 20 orders."""
    rng = np.random.default_rng(1)
    values = np.zeros(30_000)
    values[:60] = 16.0
    whole = Population.of(values)
    past = flagged = 0
    for _ in range(60):
        found = audit_order(rng.permutation(values), whole)
        past += any(one.kind == "stride" and abs(one.z) > one.limit for one in found.findings)
        flagged += not found.random
    assert past >= 3
    assert flagged <= 1


def test_the_z_scores_of_random_orders_are_standard_normal():
    """Mean and standard deviation over 200 orders of skew losses: each within 4.5 standard errors and 0.05."""
    rng = np.random.default_rng(1)
    values = skewed(10_000)
    whole = Population.of(values)
    scores = {}
    for _ in range(200):
        for one in audit_order(rng.permutation(values), whole).findings:
            scores.setdefault((one.kind, one.size), []).append(one.z)
    for kind, size in [("trend", 0), ("block", 10), ("block", 100), ("block", 1000)]:
        z = np.array(scores[kind, size])
        assert abs(z.mean()) < 4.5 / math.sqrt(200) + 0.05
        assert abs(z.std() - 1) < 4.5 / math.sqrt(400) + 0.05


def test_the_allowed_false_alarms_are_shared_out():
    assert math.fsum(SHARES.values()) == pytest.approx(1.0)
    found = audit_order(skewed(40_000) * (1 + 0.2 * (np.arange(40_000) % 2)), false_alarm=0.01)
    for one in found.findings:
        assert one.flagged == (one.chance is not None and one.chance <= 0.01 * SHARES[one.kind])
    for wrong in (0.0, 1e-5, 1.0):
        with pytest.raises(UsageError, match=r"from 0\.0001 to 1"):
            audit_order(skewed(10), false_alarm=wrong)


# --- what is found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "kind", "size", "said"),
    [
        (lambda i: 1 + 0.2 * (i % 2), "stride", 2, "one row in 2 is wrong"),
        (lambda i: 1 + 0.4 * (i % 7 == 3), "stride", 7, "one row in 7 is wrong"),
        (lambda i: 1 + 0.5 * (i % 11 == 3), "stride", 11, "one row in 11 is wrong"),
        (lambda i: 1 + 0.8 * (i % 59 == 3), "stride", 59, "one row in 59 is wrong"),
        (lambda i: 1 + 0.3 * np.sin(2 * np.pi * i / 97.3), "period", 97, "period of about 97 rows"),
        (lambda i: 1 + 0.5 * np.sin(i / 700), "block", 1000, "times the variance"),
        (lambda i: 1 + i / 40_000, "trend", 0, "drifts along the file"),
    ],
)
def test_each_kind_of_order_is_found(spoil, kind, size, said):
    losses = skewed(40_000) * spoil(np.arange(40_000))
    found = audit_order(losses)
    assert not found.random
    assert look(found, kind, size).flagged
    assert "not random" in found.message
    assert said in found.message
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("rows", [20_000, 200_000])
def test_files_that_share_rows_are_found(rows):
    losses = skewed(rows)
    twice = np.concatenate([losses, losses[rows // 4 : rows // 4 + rows // 10]])
    found = audit_order(twice)
    one = look(found, "repeat")
    assert one.flagged
    assert one.price == pytest.approx(2 * 0.1 / 1.1, rel=0.1)
    assert "stretches that come twice" in found.message
    assert not look(audit_order(losses), "repeat").flagged


def test_equal_losses_are_no_repeated_stretches():
    """Losses of few values repeat by chance: the window grows until they do not, or the look is left out."""
    rng = np.random.default_rng(0)
    dice = rng.integers(0, 6, 20_000) / 6
    found = look(audit_order(dice), "repeat")
    assert found.size > 12
    assert not found.flagged
    rare = (rng.random(20_000) < 0.01) * 16.0
    assert all(one.kind != "repeat" for one in audit_order(rare).findings)
    runs = np.concatenate([np.zeros(40), rng.exponential(size=20_000)])
    assert look(audit_order(runs), "repeat").price < 0.01


def test_large_files_are_tested_on_random_stretches():
    losses = skewed(400_000)
    assert audit_order(losses).random
    assert not audit_order(np.sort(losses.reshape(-1, 10_000), axis=1).ravel()).random
    assert look(
        audit_order(losses * np.repeat(np.random.default_rng(0).uniform(0.5, 1.5, 400), 1000)), "block", 1000
    ).flagged


# --- what is said ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 3, 29, 100, 300])
def test_short_files_have_an_audit_that_says_how_little_it_knows(rows):
    losses = skewed(rows)
    found = audit_order(losses)
    assert found.random
    assert found.even == pytest.approx(losses[::2].mean(), rel=1e-12)
    assert (found.odd is None) == (rows == 1)
    json.dumps(found.to_dict(), allow_nan=False)
    if rows < 3:
        assert "no order to test" in found.message
        return
    assert "speaks against" in found.message
    if rows >= 4:
        said = re.search(
            r"An error of up to (\d+(?:\.\d+)?) % in a sample of every second row", found.message
        )
        assert said
        assert float(said[1]) == pytest.approx(100 * found.unnoticed, rel=0.05)
        assert found.unnoticed > 0.2


def test_equal_losses_have_no_order():
    assert audit_order(np.full(1000, 0.3)).message == "All losses are equal: there is no order to test."


@pytest.mark.parametrize("spread", [1e-16, 1e-15, 1e-13, 1e-11, 1e-9])
def test_losses_that_differ_in_their_last_digits_are_not_taken_for_ordered(spread):
    """40 random orders; one flagged would have a chance of 4 % if the mean's own rounding played no part."""
    for seed in range(40):
        losses = 0.1 + spread * np.random.default_rng(seed).random(1000 + 100 * seed)
        found = audit_order(losses)
        assert found.random, found.message
    assert ("but for rounding" in found.message) == (spread <= 1e-13)


def test_a_loss_whose_square_is_no_number_is_no_order():
    losses = np.zeros(1000)
    losses[3] = 1e-200
    assert "no order to test" in audit_order(losses).message


def test_what_could_go_unnoticed_is_what_goes_unnoticed():
    """Even rows made larger until the audit speaks: at the error said, to within a few percent of it."""
    losses = skewed(20_000)
    losses[::2] += losses[1::2].mean() - losses[::2].mean()
    said = audit_order(losses).unnoticed
    sign = np.where(np.arange(20_000) % 2 == 0, 1.0, -1.0)
    for share, noticed in ((0.9, False), (1.1, True)):
        moved = losses + sign * share * said * losses.mean()
        assert look(audit_order(moved), "stride", 2).flagged == noticed
