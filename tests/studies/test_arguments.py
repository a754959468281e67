"""Arguments of another kind in the studies: each is refused by its name before a row is read."""

from __future__ import annotations

import numpy as np
import pytest

import streameval as se
from streameval.defaults import SEQUENTIAL_METHODS
from streameval.errors import UsageError


@pytest.fixture(scope="module")
def given(network_file, digits_file):
    return se.load_model(network_file), se.open(digits_file)


@pytest.mark.parametrize(
    ("study", "name", "value"),
    [
        (se.minibatch, "size", 10.0),
        (se.minibatch, "size", None),
        (se.minibatch, "batches", "3"),
        (se.minibatch, "level", None),
        (se.minibatch, "level", "0.9"),
        (se.minibatch, "eps", []),
        (se.compare, "max_memory", 1e9),
        (se.evaluate_until, "half_width", None),
        (se.evaluate_until, "half_width", "0.1"),
        (se.evaluate_until, "level", None),
        (se.compare, "sizes", [10.5]),
        (se.compare, "sizes", 10),
        (se.compare, "sizes", "10"),
        (se.compare, "sizes", []),
        (se.compare, "trials", 2.5),
        (se.compare, "trials", None),
        (se.compare, "level", None),
        (se.compare, "threads", "2"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(given, study, name, value):
    with pytest.raises(UsageError, match=rf"^{name}\b.*expected"):
        study(*given, **{name: value})


def test_models_that_are_none_are_refused(given):
    model, data = given
    for models in (model, "m.pkl", 3):
        with pytest.raises(UsageError, match=r"models: .*expected a list of networks"):
            se.paired(models, data)
    with pytest.raises(UsageError, match=r"load_model\('m\.pkl'\)"):
        se.paired([model, "m.pkl"], data)
    with pytest.raises(UsageError, match=r"half_width .*expected a positive number"):
        se.paired([model, model], data, half_width="0.1")
    with pytest.raises(UsageError, match="level: 'x'"):
        se.paired([model, model], data, level="x")


def test_numbers_of_numpy_are_numbers(given):
    plain = se.minibatch(*given, size=20, batches=2, seed=1)
    numpys = se.minibatch(
        *given, size=np.int64(20), batches=np.uint8(2), seed=np.int64(1), level=np.float64(0.95)
    )
    assert [one.loss for one in plain.batches] == [one.loss for one in numpys.batches]
    assert se.compare(*given, sizes=np.array([10, 20]), trials=np.int64(50)).batches[1].size == 20


@pytest.mark.parametrize("method", SEQUENTIAL_METHODS)
@pytest.mark.parametrize("rows", [1, 2, 700, 3000])
def test_until_that_read_all_rows_gives_the_loss_of_evaluate_to_the_bit(given, method, rows):
    model, data = given
    chunk = data.take(np.arange(rows))
    part = se.open((np.ascontiguousarray(chunk.x).copy(), chunk.t.copy()))
    loss = se.evaluate(model, part).loss
    for seed in range(3):
        looks = []
        found = se.evaluate_until(
            model, part, half_width=1e-9, seed=seed, method=method, on_step=looks.append
        )
        assert (found.stopped, found.rows_read) == ("exhausted", rows)
        assert (found.loss, found.low, found.high, found.found.half_width) == (loss, loss, loss, 0.0)
        assert (looks[-1].loss, looks[-1].low, looks[-1].high) == (loss, loss, loss)
        assert found.steps == tuple(looks)
