"""Who scores what is one table; a scorer gives one loss a row, and says what it needs of memory before it takes it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_networks as small

import streameval as se
from streameval.errors import LabelError, StorageError, UsageError
from streameval.losses import CrossEntropy
from streameval.scoring import SCORERS, check_model, make_scorer
from streameval.scoring.detailed import DetailedScorer
from streameval.scoring.right import ACCURACY, RightScorer
from streameval.scoring.scorer import Budget, available
from streameval.storage.source import Span

ROWS, FEATURES, CLASSES = 500, 20, 5


@pytest.fixture(scope="module")
def model() -> se.Mlp:
    layers = small.network([FEATURES, 12, CLASSES], ["sigmoid"], seed=3)
    return se.Mlp([se.Layer(*layer) for layer in layers])


@pytest.fixture(scope="module")
def source() -> se.Source:
    return se.open((small.pixels("mixed", ROWS, FEATURES, seed=1), small.labels(ROWS, CLASSES)))


def whole(source: Any) -> Any:
    return next(source.chunks(Span(0, source.rows), source.rows))


def test_every_row_of_the_table_leads_to_a_scorer_of_that_model() -> None:
    for kind, (module, scorer) in SCORERS.items():
        home, name = kind.rsplit(".", 1)
        assert isinstance(getattr(import_module(home), name), type)
        found = getattr(import_module(f"streameval.scoring.{module}"), scorer)
        assert all(hasattr(found, one) for one in ("score", "reference", "footprint"))
        assert hasattr(found, "name") or "name" in found.__annotations__


def test_a_kind_of_network_that_is_derived_is_scored_as_one(model: se.Mlp, source: Any) -> None:
    class Named(se.Mlp):
        pass

    derived = Named(model.layers)
    assert se.evaluate(derived, source).digest == se.evaluate(model, source).digest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("m.pkl", r"model: 'm\.pkl'.*load_model\('m\.pkl'\)"),
        (Path("m.pkl"), r"load_model\('m\.pkl'\)"),
        (None, "model: None, expected a network"),
        (np.zeros(3), "expected a network"),
        (se.Mlp, "expected a network"),
    ],
)
def test_what_nobody_can_score_is_refused_with_what_to_write(source: Any, given: Any, said: str) -> None:
    for call in (check_model, lambda one: make_scorer(one, source, CrossEntropy())):
        with pytest.raises(UsageError, match=said):
            call(given)


def test_scores_of_a_chunk_are_those_of_its_rows(model: se.Mlp, source: Any) -> None:
    """A row's scores depend on that row alone: on neither neighbours, nor order, nor threads."""
    one, two = (make_scorer(model, source, CrossEntropy(), Budget(threads)) for threads in (1, 2))
    scores = one.score(whole(source))
    assert scores.loss.tobytes() == se.per_sample_losses(model, source).tobytes()
    assert scores.target is not None
    assert scores.predicted is not None
    assert scores.target.tolist() == whole(source).t.tolist()
    right = int((scores.target == scores.predicted).sum())
    assert right == se.evaluate(model, source).correct
    rows = np.random.default_rng(0).integers(0, ROWS, 333)
    picked = two.score(source.take(rows))
    assert picked.loss.tobytes() == scores.loss[rows].tobytes()
    assert picked.predicted is not None
    assert picked.predicted.tolist() == scores.predicted[rows].tolist()


@pytest.mark.parametrize("eps", [0.0, 1e-7, 0.1])
def test_the_reference_is_within_what_float32_does(model: se.Mlp, source: Any, eps: float) -> None:
    scorer = make_scorer(model, source, CrossEntropy(eps=eps))
    references = scorer.reference(whole(source))
    gap = np.abs(scorer.score(whole(source)).loss - references)
    assert 0 < gap.max() < 2e-5


def test_a_label_outside_the_classes_is_named_by_its_row(model: se.Mlp) -> None:
    t = small.labels(ROWS, CLASSES)
    t[[417, 430]] = CLASSES
    wrong = se.open((small.pixels("mixed", ROWS, FEATURES), t))
    scorer = make_scorer(model, wrong, CrossEntropy())
    with pytest.raises(LabelError, match=rf"row 417: label {CLASSES}"):
        scorer.score(whole(wrong))
    with pytest.raises(LabelError, match="row 430"):
        scorer.score(wrong.take(np.array([3, 430, 4])))


def test_threads_are_all_there_are_unless_fewer_are_given(model: se.Mlp, source: Any) -> None:
    assert make_scorer(model, source, CrossEntropy()).threads == available()
    assert make_scorer(model, source, CrossEntropy(), Budget(threads=1)).threads == 1
    with pytest.raises(UsageError, match="threads: 0, expected 1 or more"):
        make_scorer(model, source, CrossEntropy(), Budget(threads=0))


def test_the_footprint_grows_with_threads_and_holds_the_weights(model: se.Mlp, source: Any) -> None:
    scorer = make_scorer(model, source, CrossEntropy())
    one, two, three = (scorer.footprint(1000, threads) for threads in (1, 2, 3))
    assert two - one == three - two > 0
    assert one > 4 * model.parameters
    assert scorer.footprint(2000, 1) >= one
    wide = se.Mlp([se.Layer(np.ones((FEATURES, 4000)), np.zeros(4000), "identity")])
    assert make_scorer(wide, source, CrossEntropy()).footprint(1000, 1) > 4 * 4000 * FEATURES


def test_a_network_that_memory_cannot_hold_is_refused_before_it_is_packed(
    source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("weights were packed")

    monkeypatch.setattr("streameval.kernels.packing.pack", refuse)
    wide = se.Mlp([se.Layer(np.ones((FEATURES, 4000)), np.zeros(4000), "identity")])
    with pytest.raises(StorageError, match="are needed to prepare this model"):
        make_scorer(wide, source, CrossEntropy(), Budget(max_memory=1 << 20))
    make_scorer(wide, source, CrossEntropy(), Budget(max_memory=1 << 30))
    make_scorer(wide, source, CrossEntropy())


@pytest.mark.parametrize("wrap", [DetailedScorer, RightScorer])
def test_a_scorer_of_another_one_s_scores_computes_as_that_one_does(
    wrap: Any, model: se.Mlp, source: Any
) -> None:
    plain = make_scorer(model, source, CrossEntropy(), Budget(threads=1))
    wrapped = wrap(plain)
    assert (wrapped.name, wrapped.model, wrapped.classes) == (plain.name, model, CLASSES)
    wrapped.threads = 2
    assert (plain.threads, wrapped.threads) == (2, 2)
    chunk = whole(source)
    found, expected = wrapped.score(chunk), plain.score(chunk)
    assert np.array_equal(found.predicted, expected.predicted)
    assert np.array_equal(found.target, expected.target)
    assert wrapped.footprint(100, 1) > plain.footprint(100, 1)
    if wrap is DetailedScorer:
        assert found.loss.tobytes() == expected.loss.tobytes()
        assert wrapped.loss == plain.loss
        assert wrapped.reference(chunk).tobytes() == plain.reference(chunk).tobytes()
    else:
        assert np.array_equal(found.loss, expected.right)
        assert (wrapped.loss.detail, wrapped.reference(chunk)) == (ACCURACY.detail, None)
