"""Whole groups drawn until the mean is known: what is read, what is promised, and what not knowing of groups costs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from streameval.defaults import SEQUENTIAL_METHODS
from streameval.errors import DataError, UsageError
from streameval.statistics.grouped import grouped_until
from streameval.statistics.until import until

BOUNDS = (0.0, 16.0)


def alike(rng, groups):
    """Losses whose rows of one group are equal, and the groups: a few have most of the rows, and lose more."""
    sizes = np.minimum(1 + rng.geometric(0.2, groups), 60)
    sizes[: groups // 20] = 100
    means = rng.exponential(0.3, groups).clip(0, 10)
    means[: groups // 20] += 1.0
    return np.repeat(means, sizes), np.repeat(np.arange(groups), sizes)


def counting(losses):
    """A reader, and how often it was asked for each row."""
    asked = np.zeros(len(losses), np.int64)

    def read(rows):
        np.add.at(asked, rows, 1)
        return losses[rows]

    return read, asked


@pytest.mark.parametrize("method", SEQUENTIAL_METHODS)
def test_whole_groups_are_read_each_row_once_and_the_interval_is_as_narrow_as_asked(method):
    losses, groups = alike(np.random.default_rng(0), 3000)
    read, asked = counting(losses)
    found, drawn = grouped_until(read, groups, half_width=0.1, bounds=BOUNDS, method=method)
    assert found.stopped == "precision"
    assert found.half_width <= 0.1 * (1 + 1e-9)
    assert asked.max() == 1
    counts = np.bincount(groups[asked > 0], minlength=3000)
    assert set(counts[counts > 0] == np.bincount(groups)[counts > 0]) == {True}
    assert found.rows_fetched == asked.sum() >= found.rows_read
    assert drawn.groups == 3000
    assert drawn.read <= drawn.draws
    assert found.low <= losses.mean() <= found.high


def test_every_interval_holds_together_where_rows_of_a_group_are_equal():
    """400 draws of groups, every look, at 80 %; 4 standard errors. Drawing groups alike, whatever their size, would
    miss the mean of the rows: the large ones lose more."""
    losses, groups = alike(np.random.default_rng(1), 400)
    truth, seeds = losses.mean(), 400
    missed = 0
    for seed in range(seeds):
        steps = []
        grouped_until(
            lambda rows: losses[rows], groups, half_width=0.25, level=0.8, seed=seed, bounds=BOUNDS,
            on_step=steps.append,
        )  # fmt: skip
        missed += any(not step.low <= truth <= step.high for step in steps)
    assert missed / seeds <= 0.2 + 4 * math.sqrt(0.16 / seeds)
    of_groups = np.bincount(groups, losses) / np.bincount(groups)
    assert abs(of_groups.mean() - truth) > 0.25


def test_rows_of_few_groups_taken_as_independent_rows_would_miss():
    """What it is for: groups read one after the other, and their rows counted as if they came in random order."""
    losses, groups = alike(np.random.default_rng(2), 400)
    rng, missed = np.random.default_rng(3), 0
    for _ in range(100):
        order = np.concatenate([np.flatnonzero(groups == k) for k in rng.permutation(400)])
        at = iter(range(len(losses) + 1))

        def read(rows, order=order, at=at):
            return losses[order[[next(at) for _ in rows]]]

        found = until(read, len(losses), half_width=0.25, level=0.8, bounds=BOUNDS)
        missed += not found.low <= losses.mean() <= found.high
    assert missed > 40


@pytest.mark.parametrize(
    "groups", [np.zeros(50, np.int64), np.arange(50), np.arange(50) % 7, [f"d{k % 3}" for k in range(50)]]
)
def test_when_nothing_is_left_to_read_the_mean_is_exact(groups):
    losses = np.random.default_rng(4).exponential(size=50)
    read, asked = counting(losses)
    found, drawn = grouped_until(read, groups, half_width=1e-6, bounds=BOUNDS)
    assert (found.stopped, found.fraction, found.rows_read) == ("exhausted", 1.0, 50)
    assert found.low == found.high == found.loss == pytest.approx(losses.mean(), rel=1e-14)
    assert asked.tolist() == [1] * 50
    assert drawn.read == drawn.groups == len(set(map(str, groups)))


def test_equal_losses_at_the_bound_are_no_loss_beyond_it():
    """Whose mean may come out a rounding above."""
    bound = -math.log(1e-7)
    for size in range(1, 40):
        losses, groups = np.full(size * 100, bound), np.arange(size * 100) // size
        found, _ = grouped_until(
            lambda rows, losses=losses: losses[rows], groups, half_width=0.5, bounds=(0.0, bound)
        )
        assert found.high == pytest.approx(bound)


def test_what_cannot_be_drawn_is_refused():
    losses = np.ones(4)
    with pytest.raises(UsageError, match="groups of 0 rows"):
        grouped_until(lambda rows: losses[rows], np.empty(0, np.int64), half_width=0.1, bounds=BOUNDS)
    with pytest.raises(DataError, match="no group"):
        grouped_until(lambda rows: losses[rows], [1.0, math.nan, 2.0, 3.0], half_width=0.1, bounds=BOUNDS)
    with pytest.raises(DataError, match="not finite"):
        grouped_until(lambda rows: losses[rows] * math.nan, np.arange(4), half_width=0.1, bounds=BOUNDS)
    with pytest.raises(UsageError, match="may be looked at any time"):
        grouped_until(lambda rows: losses[rows], np.arange(4), half_width=0.1, bounds=BOUNDS, method="skew")
