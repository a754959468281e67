"""Losses of given rows, in whatever order they are read; and the seed that a study tells."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

import streameval as se
from streameval.defaults import CHUNK_ROWS
from streameval.errors import DataError
from streameval.losses import CrossEntropy
from streameval.scoring import make_scorer
from streameval.statistics.seeds import recorded
from streameval.studies.looks import recorder
from streameval.studies.reading import LossReader, SharedReader, in_file_order


class Watched:
    """A source that remembers the rows that it was asked for by number."""

    def __init__(self, source):
        self.source = source
        self.taken = []

    def __getattr__(self, name):
        return getattr(self.source, name)

    def take(self, rows):
        self.taken.append(rows.copy())
        return self.source.take(rows)


class Counted:
    """A scorer that remembers the rows that it scored."""

    def __init__(self, scorer):
        self.scorer = scorer
        self.rows = []

    def __getattr__(self, name):
        return getattr(self.scorer, name)

    def score(self, chunk):
        self.rows.append(np.asarray(chunk.rows).copy())
        return self.scorer.score(chunk)


def reader(model, data):
    source = se.open(data)
    return LossReader(make_scorer(model, source, CrossEntropy()), source)


@pytest.mark.parametrize("count", [0, 1, 100, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_losses_come_back_in_the_order_asked_for_however_they_are_read(model, digits_file, losses, count):
    rows = np.random.default_rng(count).integers(0, 3000, count)
    read = reader(model, digits_file)
    assert np.array_equal(read(rows), losses[rows])
    assert np.array_equal(read.in_file_order(rows), losses[rows])


def test_a_row_that_is_not_finite_is_named_by_its_number_in_the_file(model):
    x = np.zeros((50, 784), np.float32)
    x[[7, 31]] = np.nan
    read = reader(model, (x, np.zeros(50, np.int64)))
    rows = np.array([40, 31, 3, 7])
    with pytest.raises(DataError, match=r"row 31: features, logits or targets are NaN or infinite"):
        read(rows)
    with pytest.raises(DataError, match=r"row 7: features, logits or targets are NaN or infinite"):
        read.in_file_order(rows)
    assert np.isfinite(read(rows[[0, 2]])).all()


def test_losses_of_several_models_and_classes_come_back_in_the_order_asked_for(models, digits_file):
    source = se.open(digits_file)
    scorers = [make_scorer(model, source, CrossEntropy()) for model in models]
    rows = np.random.default_rng(0).integers(0, 3000, 2500)
    true = source.take(np.arange(3000)).t
    losses = np.array([se.per_sample_losses(model, source) for model in models])
    for chunk_rows in (CHUNK_ROWS, 700):
        found = in_file_order(scorers, source, rows, chunk_rows)
        assert np.array_equal(found.losses, losses[:, rows])
        assert np.array_equal(found.target, true[rows])


def test_rows_lie_in_ascending_order_where_they_are_read(model, digits_file):
    source = Watched(se.open(digits_file))
    in_file_order([make_scorer(model, source, CrossEntropy())], source, np.array([7, 3, 2999, 3, 0]), 3)
    assert [rows.tolist() for rows in source.taken] == [[0, 3, 3], [7, 2999]]


def test_what_one_comparison_read_is_there_for_the_next(models, digits_file):
    """Each in parts of its own sizes; every row is read once, and only by models that are still needed."""
    source = Watched(se.open(digits_file))
    scorers = [Counted(make_scorer(model, source, CrossEntropy())) for model in models]
    losses = np.array([se.per_sample_losses(model, digits_file) for model in models])
    rows = np.random.default_rng(2).permutation(3000)
    shared = SharedReader(scorers, source)
    for number, cuts in ((1, (0, 1000, 1500)), (2, (0, 300, 2000, 2100))):
        read = shared.comparison(number)
        for start, stop in pairwise(cuts):
            assert np.array_equal(read(rows[start:stop]), losses[[0, number]][:, rows[start:stop]])
    for number, count in ((1, 1500), (2, 2100)):
        both = shared.first(number, count)
        assert np.array_equal(both.losses, losses[[0, number]][:, rows[:count]])
        assert np.array_equal(both.target, se.open(digits_file).take(rows[:count]).t)
        x = se.open(digits_file).take(rows[:count]).x
        predicted = [se.predict(models[k], x).argmax(axis=1) for k in (0, number)]
        assert np.array_equal(both.right, np.array(predicted) == both.target)
    taken = np.concatenate(source.taken)
    assert sorted(taken) == sorted(rows[:2100])
    assert [sorted(np.concatenate(scorer.rows)) for scorer in scorers] == [
        sorted(rows[:2100]),
        sorted(rows[:1500]),
        sorted(rows[:2100]),
    ]


def test_known_losses_take_the_place_of_a_first_model(models, digits_file):
    source = se.open(digits_file)
    known = np.random.default_rng(1).exponential(size=3000)
    rows = np.random.default_rng(2).permutation(3000)
    shared = SharedReader([make_scorer(model, source, CrossEntropy()) for model in models[:2]], source, known)
    for number in (1, 2):
        read = shared.comparison(number)
        losses = se.per_sample_losses(models[number - 1], digits_file)
        for part in (rows[:800], rows[800:1200]):
            assert np.array_equal(read(part), [known[part], losses[part]])
    both = shared.first(2, 1200)
    assert np.array_equal(both.losses, [known[rows[:1200]], losses[rows[:1200]]])
    assert np.array_equal(both.target, source.take(rows[:1200]).t)
    assert both.right is None


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
