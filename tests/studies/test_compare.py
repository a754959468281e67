"""`compare`: the exact evaluation and the statistics of its losses, joined without changing either."""

from __future__ import annotations

import math

import numpy as np
import pytest
import small_networks as small

import streameval as se
from streameval.errors import DataError, StorageError, UsageError
from streameval.losses import CrossEntropy
from streameval.reports.json import dumps
from streameval.scoring import make_scorer
from streameval.statistics.trials import compare_losses
from streameval.studies.budgeting import MOST_REFERENCES, error_budget
from streameval.studies.histogram import EDGES, Histogram


@pytest.fixture(scope="module")
def found(model, digits_file):
    return se.compare(model, digits_file, trials=300, seed=3)


@pytest.fixture(scope="module")
def of_mnist(mnist):
    return se.compare(*mnist, trials=2000, seed=0)


def test_the_full_loss_is_that_of_evaluate(found, model, digits_file):
    assert found.full.digest == se.evaluate(model, digits_file).digest
    assert found.full.loss == pytest.approx(found.draws.population.mean, rel=1e-12)


def test_the_draws_are_those_from_the_losses_of_all_rows(found, losses):
    expected = compare_losses(losses, trials=300, seed=3, bounds=CrossEntropy(eps=1e-7).bounds)
    assert found.batches == expected.batches
    assert found.order == expected.order
    assert found.draws.population == expected.population


def test_the_result_does_not_depend_on_threads(found, model, digits_file):
    again = se.compare(model, digits_file, trials=300, seed=3, threads=1)
    assert again.batches == found.batches
    assert again.budget == found.budget


def test_the_result_does_not_depend_on_memory_and_too_little_is_refused(found, model, digits_file):
    again = se.compare(model, digits_file, trials=300, seed=3, max_memory="64M")
    assert again.full.digest == found.full.digest
    assert again.batches == found.batches
    assert again.budget == found.budget
    assert again.full.resources.max_memory_bytes == 64 << 20
    with pytest.raises(StorageError, match=r"max_memory: 1048576 bytes, but .* Allow more memory"):
        se.compare(model, digits_file, trials=300, seed=3, max_memory="1M")


def test_rounding_is_not_claimed_where_a_scorer_has_no_reference(model, digits_file, losses):
    class Unreferenced:
        def __init__(self, scorer):
            self.scorer = scorer

        def __getattr__(self, name):
            return getattr(self.scorer, name)

        def reference(self, chunk):
            return None

    source = se.open(digits_file)
    scorer = make_scorer(model, source, CrossEntropy())
    found = error_budget(Unreferenced(scorer), source, losses, sampling=0.0)
    assert found.rounding is None
    assert found.clipping == error_budget(scorer, source, losses, sampling=0.0).clipping
    dumps(found)


def test_the_json_has_the_names_of_the_contract(found):
    made = found.to_dict()
    assert dumps(made)
    assert {"full", "batches", "precision", "order", "budget"} <= set(made)
    assert made["full"]["loss"] == found.full.loss
    for batch in made["batches"]:
        assert {"size", "trials", "mean", "bias", "sd", "predicted_sd", "quantiles", "coverage"} <= set(batch)
        for cell in batch["coverage"].values():
            assert set(cell) == {"covered", "miss_low", "miss_high", "half_width", "stderr"}
            assert cell["covered"] + cell["miss_low"] + cell["miss_high"] == pytest.approx(1.0)
    for row in made["precision"]:
        assert {"half_width", "rows", "fraction", "bytes", "seconds"} <= set(row)
        assert row["bytes"] == row["rows"] * 784


def test_with_eps_0_the_intervals_that_need_bounds_are_left_out(model, digits_file):
    found = se.compare(model, digits_file, trials=20, eps=0.0)
    assert set(found.batches[0].coverage) == {"normal", "skew", "asymptotic"}
    assert found.budget.clipping is not None
    assert found.budget.clipping.mean == 0.0


def test_arguments_are_refused_before_any_row_is_read(model, digits_file):
    def fail(done, total):
        raise AssertionError("rows were read")

    for wrong in ({"sizes": ()}, {"sizes": (0,)}, {"trials": 0}, {"level": 1.0}):
        with pytest.raises(UsageError):
            se.compare(model, digits_file, progress=fail, **wrong)
    with pytest.raises(UsageError, match="only 3000 different rows"):
        se.compare(model, digits_file, sizes=(3001,), replace=False, progress=fail)
    with pytest.raises(DataError, match="no rows"):
        se.compare(model, (np.zeros((0, 784), np.uint8), np.zeros(0, np.int64)))


def test_one_row_is_a_data_set_too(model):
    data = np.zeros((1, 784), np.uint8), np.array([3])
    found = se.compare(model, data, sizes=(1,), trials=3)
    assert found.batches[0].mean == pytest.approx(found.full.loss, rel=1e-15)
    assert dumps(found)


def test_rounding_is_measured_against_float64(found, losses, model, digits_file):
    """100 rows of 3,000 are computed again; float32 sums of 784 products stay within a few millionths."""
    part = found.budget.rounding
    assert part.rows == 100
    assert 0.0 < part.largest < 2e-5
    assert abs(part.mean) <= part.largest
    source = se.open(digits_file)
    scorer = make_scorer(model, source, CrossEntropy())
    shifted = error_budget(scorer, source, losses + 1e-3, sampling=0.0, seed=3)
    assert shifted.rounding.mean == pytest.approx(part.mean + 1e-3, abs=1e-12)


def test_at_most_100000_rows_are_computed_twice():
    assert MOST_REFERENCES == 100_000


def test_clipping_is_what_eps_takes_off_the_exact_losses(found, model, digits_file):
    exact = se.per_sample_losses(model, digits_file, eps=0.0)
    clipped = se.per_sample_losses(model, digits_file, eps=1e-7)
    assert found.budget.clipping.mean == pytest.approx(math.fsum(exact - clipped) / 3000, rel=1e-6, abs=1e-9)
    assert found.budget.clipping.infinite == 0


def test_probabilities_that_eps_swallows_are_computed_again():
    """Logits of 100s: y = 1e-40 leaves no trace in -log(y + 1e-7), and the exact loss is still found."""
    layers = small.network([6, 4], [], seed=0, gain=200.0)
    model = se.Mlp(se.Layer(*layer) for layer in layers)
    data = se.open((small.floats(500, 6, seed=1), small.labels(500, 4)))
    exact = se.per_sample_losses(model, data, eps=0.0)
    clipped = se.per_sample_losses(model, data)
    assert exact.max() > 100
    found = error_budget(make_scorer(model, data, CrossEntropy()), data, clipped, sampling=0.0)
    assert found.clipping.mean == pytest.approx(np.mean(exact - clipped), rel=1e-6)


def test_clipping_of_soft_targets_is_not_claimed():
    layers = small.network([6, 4], [], seed=0)
    model = se.Mlp(se.Layer(*layer) for layer in layers)
    data = small.floats(200, 6), small.soft_targets(200, 4)
    found = se.compare(model, data, sizes=(10,), trials=5)
    assert found.budget.clipping is None
    assert dumps(found)


def test_the_histogram_counts_every_row_once(losses):
    found = Histogram.of(losses)
    assert sum(found.rows) == len(losses)
    assert math.fsum(found.loss) == pytest.approx(losses.sum(), rel=1e-12)
    for k, (low, high) in enumerate(zip(found.edges, found.edges[1:], strict=False)):
        inside = (losses >= low) & (losses < high)
        assert found.rows[k] == inside.sum()
    on_edges = Histogram.of(EDGES[4:10])
    assert (on_edges.edges, on_edges.rows) == (
        tuple(EDGES[4:11]),
        (1,) * 6,
    )  # a loss on an edge belongs to the bin above it
    extremes = Histogram.of(np.array([-1e-7, 0.0, 1e9]))
    assert (extremes.rows[0], extremes.rows[-1], sum(extremes.rows)) == (2, 1, 3)


def test_the_order_of_mnist_is_not_random(of_mnist):
    assert not of_mnist.order.random
    assert of_mnist.order.even == pytest.approx(0.2834, abs=5e-5)
    assert of_mnist.order.odd == pytest.approx(0.1646, abs=5e-5)
    assert "even rows have mean loss 0.2834, odd rows 0.1646" in of_mnist.order.message


def test_batches_of_mnist_are_as_described(of_mnist):
    """2,000 draws: 4 standard errors of the sd (kurtosis 53 / n is in it) and of a share of 0.88."""
    one = of_mnist.batches[1]
    assert one.size == 100
    assert one.predicted_sd == pytest.approx(0.0675, abs=5e-5)
    assert one.sd == pytest.approx(0.0675, rel=4 * math.sqrt((2 + 53.3 / 100) / 4 / 2000))
    assert 0.85 <= one.coverage["normal"].covered <= 0.91
    assert one.coverage["normal"].miss_low > 10 * one.coverage["normal"].miss_high
    assert 0.92 <= one.coverage["skew"].covered <= 0.97
    assert one.coverage["betting"].covered >= 0.95


def test_the_precision_table_of_mnist_is_as_described(of_mnist):
    table = {(row.population, row.half_width, row.method): row.rows for row in of_mnist.precision}
    assert table[60_000, 0.01, "normal"] == 13_553
    # 21,500 and 33,600 for a known spread; what the range of the losses costs comes on top.
    assert table[60_000, 0.01, "betting"] == pytest.approx(22_090, rel=0.01)
    assert table[10**9, 0.01, "normal"] == pytest.approx(17_500, rel=0.01)
    assert table[10**9, 0.01, "betting"] == pytest.approx(34_950, rel=0.01)


def test_the_budget_of_mnist_is_small(of_mnist):
    assert of_mnist.budget.sampling == 0.0
    assert of_mnist.budget.rounding.rows == 600
    assert of_mnist.budget.rounding.largest < 1e-5
    assert 0 < of_mnist.budget.clipping.share < 1e-4
