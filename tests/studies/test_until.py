"""`evaluate_until`: random rows until the loss is known, the same rows whatever the threads, exact at the end."""

from __future__ import annotations

import numpy as np
import pytest

import streameval as se
from streameval.defaults import SEQUENTIAL_METHODS
from streameval.errors import DataError, UsageError
from streameval.losses import CrossEntropy
from streameval.reports.json import dumps
from streameval.statistics.until import until

BOUNDS = CrossEntropy(eps=1e-7).bounds


@pytest.mark.parametrize("method", SEQUENTIAL_METHODS)
def test_it_stops_where_the_losses_of_all_rows_say(model, digits_file, losses, method):
    found = se.evaluate_until(model, digits_file, half_width=0.05, seed=4, method=method)
    expected = until(lambda rows: losses[rows], 3000, half_width=0.05, seed=4, method=method, bounds=BOUNDS)
    assert found.found == expected
    assert found.stopped == "precision"
    assert found.high - found.low <= 0.1
    assert found.rows_read < 3000


def test_threads_and_reading_by_position_change_nothing(model, digits_file):
    one = se.evaluate_until(model, digits_file, half_width=0.1, seed=1, threads=1)
    two = se.evaluate_until(model, se.open(digits_file, io="pread"), half_width=0.1, seed=1, threads=2)
    assert one.found == two.found
    assert one.steps == two.steps


def test_the_full_loss_is_held_at_every_look_of_most_orders(model, digits_file, losses):
    """At 95 %, 8 or more of 60 orders that miss at some look have a chance of 0.8 %."""
    missed = 0
    truth = losses.mean()
    for seed in range(60):
        found = se.evaluate_until(model, digits_file, half_width=0.1, seed=seed)
        missed += any(not step.low <= truth <= step.high for step in found.steps)
    assert missed < 8


def test_at_the_end_of_the_rows_the_loss_is_exact(model, digits_file):
    found = se.evaluate_until(model, digits_file, half_width=1e-6)
    assert found.stopped == "exhausted"
    assert found.rows_read == 3000
    assert found.fraction == 1.0
    assert found.low == found.high == found.loss
    assert found.loss == pytest.approx(se.evaluate(model, digits_file).loss, rel=1e-12)


def test_every_look_is_told_as_it_happens(model, digits_file):
    told = []
    found = se.evaluate_until(model, digits_file, half_width=0.1, on_step=told.append)
    assert tuple(told) == found.steps
    assert found.steps[-1].rows_read == found.rows_read
    assert [step.rows_read for step in told] == sorted({step.rows_read for step in told})


def test_the_json_has_the_names_of_the_contract(model, digits_file):
    made = se.evaluate_until(model, digits_file, half_width=0.1, eps=1e-6).to_dict()
    assert (made["loss_name"], made["eps"]) == ("cross-entropy", 1e-6)
    assert dumps(made)
    names = {"loss", "half_width", "level", "low", "high", "rows_read", "fraction", "method", "stopped"}
    assert names <= set(made)
    assert made["half_width"] == pytest.approx((made["high"] - made["low"]) / 2)
    assert made["half_width"] <= made["wanted"] == 0.1
    assert made["estimates"] == "these rows"
    assert made["looks"] >= 1


def test_what_cannot_mean_anything_is_refused(model, digits_file):
    for wrong in ({"half_width": 0.0}, {"level": 1.0}, {"method": "normal"}, {"eps": 0.0}):
        with pytest.raises(UsageError):
            se.evaluate_until(model, digits_file, **wrong)
    with pytest.raises(DataError, match="no rows"):
        se.evaluate_until(model, (np.zeros((0, 784), np.uint8), np.zeros(0, np.int64)))


def test_mnist_takes_the_rows_described(mnist):
    found = se.evaluate_until(*mnist, half_width=0.01, seed=0)
    assert 20_000 <= found.rows_read <= 24_000
    assert found.low <= 0.2240008766 <= found.high  # seed 0: 95 of 100 seeds would do
    assert se.evaluate_until(*mnist, half_width=0.001, seed=0).rows_read > 58_000
