"""A stream of mini-batches: the same as separate ones, without end or each row once."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import streameval as se
from streameval.defaults import CHUNK_ROWS
from streameval.errors import UsageError


@pytest.fixture(scope="module")
def sampler(model: se.Mlp, digits_file: Path) -> se.Sampler:
    return se.Sampler(model, digits_file)


@pytest.mark.parametrize("replace", [True, False])
def test_batches_are_those_of_minibatch(
    replace: bool, sampler: se.Sampler, model: se.Mlp, digits_file: Path
) -> None:
    """However many are computed together: 1, 2, 4 here, all at once there."""
    apart = se.minibatch(model, digits_file, size=30, batches=9, seed=5, replace=replace).batches
    for one, other in zip(sampler.batches(size=30, seed=5, replace=replace), apart, strict=False):
        assert one.rows.tolist() == other.rows.tolist()
        assert (one.loss, one.interval) == (other.loss, other.interval)
        assert one.losses.tolist() == other.losses.tolist()


def test_batches_have_no_end_and_stay_what_their_size_says(sampler: se.Sampler, losses: np.ndarray) -> None:
    size = CHUNK_ROWS // 3
    for batch in islice(sampler.batches(size=size, seed=1), 20):
        assert batch.size == size
        assert batch.losses.tolist() == losses[batch.rows].tolist()
        assert batch.loss == pytest.approx(losses[batch.rows].mean(), rel=1e-14)


def test_a_generator_goes_on_where_it_is(sampler: se.Sampler) -> None:
    expected = np.random.default_rng(8).integers(0, sampler.data.rows, 20)
    drawn = [batch.rows for batch in islice(sampler.batches(size=10, seed=np.random.default_rng(8)), 2)]
    assert np.concatenate(drawn).tolist() == expected.tolist()


@pytest.mark.parametrize("size", [7, 100, 5 * CHUNK_ROWS])
def test_an_epoch_holds_each_row_once(size: int, sampler: se.Sampler, losses: np.ndarray) -> None:
    batches = [*sampler.epoch(size=size, seed=2)]
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == [*range(sampler.data.rows)]
    assert not np.array_equal(rows, np.sort(rows))
    assert np.array_equal(np.concatenate([batch.losses for batch in batches]), losses[rows])
    assert {batch.size for batch in batches[:-1]} <= {size}


def test_the_rows_left_over_can_be_dropped(sampler: se.Sampler) -> None:
    whole, rows = [*sampler.epoch(size=999, seed=2)], sampler.data.rows
    cut = [*sampler.epoch(size=999, seed=2, drop_last=True)]
    assert rows % 999, "these rows leave none over: the test shows nothing"
    assert [batch.rows.tolist() for batch in cut] == [batch.rows.tolist() for batch in whole[:-1]]
    assert whole[-1].size == rows % 999


def test_an_epoch_of_one_batch_is_sure_of_the_loss(
    sampler: se.Sampler, model: se.Mlp, digits_file: Path
) -> None:
    (batch,) = sampler.epoch(size=sampler.data.rows)
    assert batch.interval.half_width == 0.0
    assert batch.interval.low == pytest.approx(se.evaluate(model, digits_file).loss, rel=1e-11)


def test_other_seeds_draw_other_rows(sampler: se.Sampler) -> None:
    for draw in (sampler.batches, sampler.epoch):
        one, other = next(iter(draw(size=50, seed=1))), next(iter(draw(size=50, seed=2)))
        assert one.rows.tolist() != other.rows.tolist()


def test_what_cannot_be_drawn_is_refused(sampler: se.Sampler, model: se.Mlp, digits_file: Path) -> None:
    for size in (0, -1, 2.5, True):
        with pytest.raises(UsageError, match="size"):
            next(sampler.batches(size=size))
        with pytest.raises(UsageError, match="size"):
            next(sampler.epoch(size=size))
    with pytest.raises(UsageError, match="different rows exist"):
        next(sampler.batches(size=sampler.data.rows + 1, replace=False))
    with pytest.raises(UsageError, match="not known"):
        se.Sampler(model, digits_file, method="guess")
