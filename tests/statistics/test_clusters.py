"""Errors that take groups of rows as independent: the formula by pairs of rows, coverage, and what is refused."""

from __future__ import annotations

import math

import naive_statistics as naive
import numpy as np
import pytest
from scipy import stats

from streameval.errors import DataError, UsageError
from streameval.statistics.clusters import clustered, group_codes
from streameval.statistics.intervals import interval
from streameval.statistics.student import t_quantile


@pytest.mark.parametrize("weighted", [False, True])
def test_the_error_is_that_of_all_pairs_of_rows_in_one_group(weighted):
    rng = np.random.default_rng(0)
    values, groups = rng.exponential(size=60), rng.integers(0, 13, 60)
    weights = rng.integers(1, 9, 60).astype(float) if weighted else None
    found = clustered(values, groups, weights=weights)
    mean, stderr = naive.clustered(
        values.tolist(), groups.tolist(), None if weights is None else weights.tolist()
    )
    assert found.mean == pytest.approx(mean, rel=1e-12)
    assert found.stderr == pytest.approx(stderr, rel=1e-10)
    assert found.groups == len(set(groups.tolist()))


def test_groups_of_one_row_give_the_usual_error():
    values = np.random.default_rng(1).exponential(size=50)
    found = clustered(values, np.arange(50))
    assert found.stderr == pytest.approx(values.std(ddof=1) / math.sqrt(50), rel=1e-12)
    assert found.interval(0.9).half_width == pytest.approx(stats.t.ppf(0.95, 49) * found.stderr, rel=1e-9)


def test_what_groups_are_called_does_not_matter():
    values, groups = np.random.default_rng(2).exponential(size=90), np.arange(90) // 4
    plain = clustered(values, groups)
    for others in (groups * 1000 - 7, [f"document {k}" for k in groups], groups + 0.5, groups.astype(object)):
        assert clustered(values, others).stderr == pytest.approx(plain.stderr, rel=1e-12)
    order = np.random.default_rng(3).permutation(90)
    assert clustered(values[order], groups[order]).stderr == pytest.approx(plain.stderr, rel=1e-12)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("freedom", [1, 2, 2.5, 4, 39, 1e4])
def test_student_s_quantile_is_scipys(level, freedom):
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-9)


def draws(rng, groups, skew):
    """Losses of rows in documents of one to nine rows: most of the spread is the document's own."""
    sizes = rng.integers(1, 10, groups)
    codes = np.repeat(np.arange(groups), sizes)
    document = rng.exponential(size=groups) if not skew else 12.0 * (rng.random(groups) < 0.01)
    return document[codes] + 0.1 * rng.exponential(size=len(codes)), codes, (1.0 if not skew else 0.12) + 0.1


@pytest.mark.parametrize("groups", [40, 400])
def test_the_interval_covers_where_the_usual_one_does_not(groups):
    """2,000 draws of 95 %: within 4 standard errors of nominal, and 3 points for skewness; plain rows lack over 5."""
    rng = np.random.default_rng(groups)
    held = plain = 0
    for _ in range(2000):
        values, codes, truth = draws(rng, groups, skew=False)
        held += truth in clustered(values, codes).interval()
        plain += truth in interval(values, "normal")
    assert held / 2000 >= 0.95 - 0.03 - 4 * math.sqrt(0.95 * 0.05 / 2000)
    assert held / 2000 <= 0.985
    assert plain / 2000 < 0.9


def test_rare_heavy_groups_are_beyond_it_and_its_words_say_approximately():
    """One document in a hundred costs 12 nats a row: of 40 documents two thirds see none, and the interval misses."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(500):
        values, codes, truth = draws(rng, 40, skew=True)
        found = clustered(values, codes).interval()
        held += truth in found
        assert "approximately" in found.assumes
    assert held / 500 < 0.6


def test_few_or_unequal_groups_warn():
    rng = np.random.default_rng(6)
    values = rng.exponential(size=1000)
    assert "5 groups" in str(clustered(values, np.arange(1000) % 5).interval().warning)
    assert clustered(values, np.arange(1000) // 10).interval().warning is None
    unequal = np.where(np.arange(1000) < 300, 0, np.arange(1000) // 2)
    assert "30 %" in str(clustered(values, unequal).interval().warning)
    alone = clustered(values, np.zeros(1000, np.int64))
    assert alone.stderr is None
    assert (alone.interval().low, alone.interval().high) == (-math.inf, math.inf)
    for value in (0.0, 0.1, 1.0):
        alike = clustered(np.full(1000, value), np.arange(1000) // 10).interval()
        assert alike.high - alike.low < 1e-12
        assert "groups are alike" in str(alike.warning)


def test_what_are_no_groups_is_refused():
    with pytest.raises(UsageError, match="3 for 4 rows"):
        clustered(np.ones(4), [0, 1, 1])
    with pytest.raises(UsageError, match="one group for each row"):
        group_codes(np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"row 1: no group \(2 such rows\)"):
        group_codes([0.0, math.nan, 1.0, math.nan])
    with pytest.raises(DataError, match="row 2: no group"):
        group_codes(np.array(["a", "b", None], object))
    with pytest.raises(DataError, match="values, row 1"):
        clustered(np.array([1.0, math.nan]), [0, 1])
    with pytest.raises(UsageError, match="no rows"):
        clustered(np.empty(0), np.empty(0, np.int64))
