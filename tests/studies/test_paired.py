"""`paired`: models on the same rows, each row read once, against plain NumPy on the losses of all rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from mnist_file import nudged, rounded

import streameval as se
from streameval.errors import DataError, StorageError, UsageError
from streameval.evaluation.evaluate import PassOptions
from streameval.losses import CrossEntropy
from streameval.reports.json import dumps
from streameval.scoring import make_scorer
from streameval.scoring.network import NetworkScorer
from streameval.storage.source import Span
from streameval.studies.reading import in_file_order
from streameval.studies.stored import stored_losses


@pytest.fixture(scope="module")
def losses(models, digits_file):
    return [se.per_sample_losses(model, digits_file) for model in models]


@pytest.fixture(scope="module")
def old(models, digits_file, tmp_path_factory):
    """The first model's losses, as `evaluate --losses` stores them."""
    place = tmp_path_factory.mktemp("losses") / "old.arrow"
    se.evaluate(models[0], digits_file, options=PassOptions(losses=place))
    return place


class Counting:
    """A source that counts how often each row is read."""

    def __init__(self, source):
        self.source = source
        self.read = np.zeros(source.rows, np.int64)

    def __getattr__(self, name):
        return getattr(self.source, name)

    @property
    def fingerprint(self):
        return self.source.fingerprint

    def chunks(self, span, chunk_rows):
        for chunk in self.source.chunks(span, chunk_rows):
            self.read[np.asarray(chunk.rows)] += 1
            yield chunk

    def take(self, rows):
        np.add.at(self.read, rows, 1)
        return self.source.take(rows)


def labels(digits_file):
    source = se.open(digits_file)
    return np.concatenate([chunk.t for chunk in source.chunks(Span(0, source.rows), 1000)])


def test_all_rows_give_the_plain_numbers(models, digits_file, losses):
    found = se.paired(models, digits_file)
    assert len(found.results) == 2
    true = labels(digits_file)
    for result, second in zip(found.results, losses[1:], strict=True):
        gap = second - losses[0]
        pair = result.pair
        assert pair.rows == 3000
        assert pair.difference == pytest.approx(gap.mean(), rel=1e-10)
        half = scipy.stats.t.ppf(0.975, 2999) * gap.std(ddof=1) / math.sqrt(3000)
        assert result.difference.half_width == pytest.approx(half, rel=1e-10)
        assert result.difference.method == pair.to_dict()["interval"]["method"] == "student"
        assert pair.correlation == pytest.approx(np.corrcoef(losses[0], second)[0, 1], rel=1e-10)
        assert pair.win_rate == np.mean(second < losses[0])
        for row in pair.per_class:
            inside = gap[true == row.label]
            assert (row.rows, row.difference) == (len(inside), pytest.approx(inside.mean(), rel=1e-9))
            assert row.stderr == pytest.approx(inside.std(ddof=1) / math.sqrt(len(inside)), rel=1e-6)
    assert found.reports[1].digest == se.evaluate(models[1], digits_file).digest


def test_rows_in_any_order_come_back_in_that_order(models, digits_file, losses):
    rows = np.random.default_rng(0).integers(0, 3000, 20_000)
    source = se.open(digits_file)
    scorers = [make_scorer(model, source, CrossEntropy()) for model in models]
    found = in_file_order(scorers, source, rows)
    assert np.array_equal(found.losses, np.array(losses)[:, rows])
    assert np.array_equal(found.target, labels(digits_file)[rows])
    predicted = [se.predict(model, source.take(rows).x).argmax(axis=1) for model in models]
    assert np.array_equal(found.right, np.array(predicted) == found.target)


@pytest.fixture
def scored(monkeypatch):
    """How often each of 3,000 rows is scored, by the SHA-256 of the model."""
    counts = {}
    score = NetworkScorer.score

    def counting(self, chunk):
        rows = counts.setdefault(self.model.sha256, np.zeros(3000, np.int64))
        np.add.at(rows, np.asarray(chunk.rows), 1)
        return score(self, chunk)

    monkeypatch.setattr(NetworkScorer, "score", counting)
    return counts


def test_each_row_is_read_once_for_all_models(models, digits_file, scored):
    source = Counting(se.open(digits_file))
    se.paired(models, source)
    # Row 0 is read and scored once before the clock starts, so that compiling is not timed.
    assert source.read[0] == 2
    assert (source.read[1:] == 1).all()
    assert len(scored) == len(models)
    for rows in scored.values():
        assert rows[0] == 2
        assert (rows[1:] == 1).all()


def rows_read(models, digits_file, **options):
    """How often each row is read."""
    source = Counting(se.open(digits_file))
    se.paired(models, source, **options)
    return source.read


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("nearest_first", [False, True])
def test_each_row_is_read_once_against_several_challengers(
    models, digits_file, scored, old, stored, nearest_first
):
    """The base scores a row once, however many comparisons read it, or never where its losses are stored; who is done
    scores no more."""
    challengers = [models[1], nudged(models[0], 0.3, seed=2)]
    challengers = challengers if nearest_first else challengers[::-1]
    base, options = ([], {"losses": old}) if stored else (models[:1], {})
    options |= {"half_width": 0.1, "seed": 2}
    one, two = (rows_read([*base, challenger], digits_file, **options) for challenger in challengers)
    assert abs(one.sum() - two.sum()) > 200
    scored.clear()
    together = rows_read([*base, *challengers], digits_file, **options)
    assert together.tolist() == np.maximum(one, two).tolist()
    assert together.max() == 1
    assert together.sum() < 3000
    assert scored[challengers[0].sha256].tolist() == one.tolist()
    assert scored[challengers[1].sha256].tolist() == together.tolist()
    if stored:
        assert models[0].sha256 not in scored
    else:
        assert scored[models[0].sha256].tolist() == together.tolist()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_a_comparison_does_not_depend_on_the_others(models, digits_file, order):
    """Whether it reads further than those before it, or less far."""
    several = se.paired([models[k] for k in order], digits_file, half_width=0.1, seed=2)
    for k, result in zip(order[1:], several.results, strict=True):
        alone = se.paired([models[0], models[k]], digits_file, half_width=0.1, seed=2).results[0]
        named = dict.fromkeys(("first", "second", "simultaneous", "p_value_holm", "e_bh"))
        assert result.to_dict() | named == alone.to_dict() | named
        assert result.steps == alone.steps


def test_stored_losses_are_compared_with_several_models_as_with_each_alone(models, digits_file, old):
    found = se.paired(models[1:], digits_file, losses=old, half_width=0.2, seed=1)
    for model, result in zip(models[1:], found.results, strict=True):
        alone = se.paired([model], digits_file, losses=old, half_width=0.2, seed=1).results[0]
        assert (result.loss, result.steps) == (alone.loss, alone.steps)
        assert result.pair.difference == alone.pair.difference


def test_the_sequential_form_reads_rows_once_and_holds_the_difference(models, digits_file, losses):
    source = Counting(se.open(digits_file))
    found = se.paired(models[:2], source, half_width=0.05, seed=2)
    assert source.read.max() == 1
    assert found.results[0].stopped.stopped == "precision"
    assert found.rows_read == found.results[0].stopped.rows_read < 3000
    assert found.difference.half_width <= 0.05
    # Seed 2: 95 of 100 seeds would do.
    assert found.difference.low <= (losses[1] - losses[0]).mean() <= found.difference.high
    assert found.results[0].steps[-1].rows_read == found.rows_read


def test_the_sequential_form_takes_fewer_rows_than_one_loss_alone(mnist):
    """evaluate_until takes over 20,000 rows to +-0.01 here, whatever the seed."""
    model, data = mnist
    assert se.paired([model, nudged(model, 0.02)], data, half_width=0.01).rows_read < 10_000


def test_the_sequential_form_does_not_depend_on_threads(models, digits_file):
    one = se.paired(models[:2], digits_file, half_width=0.1, threads=1)
    two = se.paired(models[:2], digits_file, half_width=0.1, threads=2)
    assert dumps(one.results[0]) == dumps(two.results[0])
    assert one.results[0].steps == two.results[0].steps


def test_memory_that_is_short_changes_nothing_and_too_little_is_refused(models, digits_file, old):
    for options in ({}, {"half_width": 0.1}, {"losses": old}, {"losses": old, "half_width": 0.2}):
        given = models[1:] if "losses" in options else models
        plain = se.paired(given, digits_file, **options)
        short = se.paired(given, digits_file, max_memory="24M", **options)
        assert dumps(short.results) == dumps(plain.results)
        with pytest.raises(StorageError, match=r"max_memory: 1048576 bytes, but .* Allow more memory"):
            se.paired(given, digits_file, max_memory="1M", **options)


def test_stored_losses_stand_in_for_the_first_model(models, digits_file, old):
    found = se.paired([models[1]], digits_file, losses=old)
    direct = se.paired(models[:2], digits_file)
    assert found.mean == direct.mean
    assert found.results[0].pair.per_class == direct.results[0].pair.per_class
    assert found.names[0] == str(old)


def test_with_stored_losses_the_full_loss_of_the_second_is_estimated(models, digits_file, old, losses):
    found = se.paired([models[1]], digits_file, losses=old, half_width=0.1, seed=1)
    result = found.results[0]
    assert result.loss.low <= losses[1].mean() <= result.loss.high  # seed 1: 95 of 100 would do
    assert result.loss.half_width <= 0.1
    assert result.difference.low == pytest.approx(result.loss.low - losses[0].mean(), rel=1e-9)
    made = result.to_dict()
    assert made["loss"]["mean"] == result.stopped.loss
    assert dumps(made)


@pytest.mark.parametrize("options", [{"until": "decided"}, {"half_width": 0.5}])
@pytest.mark.parametrize("draw", ["uniform", "weighted"])
@pytest.mark.parametrize("sure", ["right", "wrong"])
def test_stored_losses_may_all_lie_at_one_end_of_the_range(sure, draw, options, tmp_path):
    """A network that is sure of every row: no other is better where it is right, or worse where it is wrong."""
    labels = np.arange(400) % 2
    data = se.open((np.eye(2, dtype=np.float32)[labels], labels))
    identity, none = np.eye(2, dtype=np.float32), np.zeros(2, np.float32)
    first = se.Mlp([se.Layer((1e4 if sure == "right" else -1e4) * identity, none, "identity")])
    kept = tmp_path / "sure.arrow"
    se.evaluate(first, data, options=PassOptions(losses=kept))
    (end,) = set(se.per_sample_losses(first, data).tolist())
    assert end == pytest.approx(CrossEntropy().bounds[sure == "wrong"], abs=1e-12)
    other = se.Mlp([se.Layer(0.5 * identity, none, "identity")])
    true = se.per_sample_losses(other, data).mean() - end
    found = se.paired([other], data, losses=kept, draw=draw, **options)
    assert found.difference.low - 1e-9 <= true <= found.difference.high + 1e-9
    if options.get("until"):
        assert found.results[0].stopped.sign == np.sign(true)
        same = se.paired([first], data, losses=kept, draw=draw, **options).results[0]
        assert (same.stopped.sign, same.stopped.stopped) == (0, "exhausted")


def test_losses_of_something_else_are_refused(models, digits_file, old, tmp_path):
    source = se.open(digits_file)
    other = np.zeros((3000, 784), np.uint8), np.zeros(3000, np.int64)
    with pytest.raises(DataError, match="have data sha256"):
        se.paired(models[:1], other, losses=old)
    with pytest.raises(
        DataError, match=r"have loss CrossEntropy\(eps=1e-07\), expected CrossEntropy\(eps=0\.001\)"
    ):
        se.paired(models[:1], digits_file, losses=old, eps=1e-3)
    part = tmp_path / "part.arrow"
    se.evaluate(models[0], digits_file, rows=slice(10, 20), options=PassOptions(losses=part))
    with pytest.raises(DataError, match="not those of the data set in order"):
        se.paired(models[:1], digits_file, losses=part)
    se.evaluate(models[0], digits_file, rows=slice(0, 20), options=PassOptions(losses=part))
    with pytest.raises(DataError, match="losses of 20 rows"):
        se.paired(models[:1], digits_file, losses=part)
    with pytest.raises(DataError, match="columns"):
        se.paired(models[:1], digits_file, losses=digits_file)
    with pytest.raises(StorageError, match=r"missing\.arrow"):
        se.paired(models[:1], digits_file, losses=tmp_path / "missing.arrow")
    cut = tmp_path / "cut.arrow"
    cut.write_bytes(old.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a file of losses"):
        se.paired(models[:1], digits_file, losses=cut)
    with stored_losses(old, source, CrossEntropy()) as stored:
        assert stored.model == models[0].sha256


def test_the_json_names_the_first_result_and_all(models, digits_file):
    made = se.paired(models, digits_file).to_dict()
    assert dumps(made)
    assert len(made["pairs"]) == 2
    assert set(made["difference"]) >= {"mean", "low", "high", "level", "method"}
    assert made["difference"] == made["pairs"][0]["difference"]
    assert {"correlation", "win_rate", "per_class", "unpaired", "rows_read", "models", "data"} <= set(made)
    assert made["unpaired"]["low"] < made["difference"]["low"]
    assert [model["sha256"] for model in made["models"]] == [model.sha256 for model in models]


def test_what_cannot_be_compared_is_refused(models, digits_file):
    with pytest.raises(UsageError, match="at least 2"):
        se.paired(models[:1], digits_file)
    with pytest.raises(UsageError, match="half-width"):
        se.paired(models[:2], digits_file, half_width=0.0)
    fewer = se.Mlp([se.Layer(np.zeros((784, 3), np.float32), np.zeros(3, np.float32), "identity")])
    with pytest.raises(UsageError, match="10, 3 classes"):
        se.paired([models[0], fewer], digits_file)
    with pytest.raises(DataError, match="no rows"):
        se.paired(models[:2], (np.zeros((0, 784), np.uint8), np.zeros(0, np.int64)))


def test_rounding_the_weights_of_mnist_to_float16_is_seen(mnist):
    model, data = mnist
    found = se.paired([model, rounded(model)], data)
    assert found.mean == pytest.approx(1.7e-6, abs=1e-7)
    assert found.results[0].pair.unpaired_half_width > 1000 * found.difference.half_width
    assert found.correlation > 0.99999
