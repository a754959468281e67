"""Losses of given rows, in whatever order they are read; and the seed that a study tells."""

from __future__ import annotations

import json

import numpy as np
import pytest

import streameval as se
from streameval.errors import DataError
from streameval.evaluation.rows import CHUNK_ROWS
from streameval.statistics.seeds import recorded
from streameval.studies.looks import recorder
from streameval.studies.reading import LossReader, RowsRead


@pytest.fixture(scope="module")
def model(network_file):
    return se.load_model(network_file)


@pytest.fixture(scope="module")
def losses(model, digits_file):
    return se.per_sample_losses(model, digits_file)


@pytest.mark.parametrize("count", [0, 1, 100, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_losses_come_back_in_the_order_asked_for_however_they_are_read(model, digits_file, losses, count):
    rows = np.random.default_rng(count).integers(0, 3000, count)
    read = LossReader(model, se.open(digits_file))
    assert np.array_equal(read(rows), losses[rows])
    assert np.array_equal(read.in_file_order(rows), losses[rows])


def test_a_row_that_is_not_finite_is_named_by_its_number_in_the_file(model):
    x = np.zeros((50, 784), np.float32)
    x[[7, 31]] = np.nan
    read = LossReader(model, se.open((x, np.zeros(50, np.int64))))
    rows = np.array([40, 31, 3, 7])
    with pytest.raises(DataError, match=r"row 31: features or logits are NaN or infinite"):
        read(rows)
    with pytest.raises(DataError, match=r"row 7: features or logits are NaN or infinite"):
        read.in_file_order(rows)
    assert np.isfinite(read(rows[[0, 2]])).all()


def test_rows_read_are_remembered_in_the_order_asked_for(model, digits_file, losses):
    rows = np.random.default_rng(2).permutation(3000)
    read = RowsRead((model,), se.open(digits_file), eps=1e-7)
    assert np.array_equal(read.one(rows[:1000]), losses[rows[:1000]])
    read.one(rows[1000:1500])
    read.put_first(losses + 1.0)
    both, labels = read.first(1200)
    assert np.array_equal(both, [losses[rows[:1200]] + 1.0, losses[rows[:1200]]])
    assert np.array_equal(labels, se.open(digits_file).take(rows[:1200]).t)


def test_steps_are_kept_whether_or_not_anyone_watches():
    watched = []
    for on_step in (None, watched.append):
        steps, told = recorder(on_step)
        told("first")
        told("second")
        assert steps == ["first", "second"]
    assert watched == ["first", "second"]


@pytest.mark.parametrize("seed", [3, np.int64(3), np.uint8(3)])
def test_a_seed_of_any_kind_of_int_is_told(model, digits_file, seed):
    batches = se.minibatch(model, digits_file, size=5, seed=seed)
    assert type(batches.seed) is int
    assert json.loads(json.dumps(batches.to_dict()))["seed"] == 3
    assert (
        batches.batches[0].rows.tolist()
        == se.minibatch(model, digits_file, size=5, seed=3).batches[0].rows.tolist()
    )


def test_a_generator_is_no_seed_to_tell():
    assert recorded(np.random.default_rng(3)) is None
