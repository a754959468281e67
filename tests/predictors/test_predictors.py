"""Models that others compute: a function, and what is asked of it row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small

import streameval as se
from streameval.errors import DataError, LabelError, ModelError, UsageError

ROWS, SIDE, CLASSES = 501, 6, 4
FEATURES = SIDE * SIDE
LAYERS = small.network([FEATURES, 9, CLASSES], ["relu"], seed=6)
PIXELS = small.pixels("mixed", ROWS, FEATURES).reshape(ROWS, SIDE, SIDE)
LABELS = small.labels(ROWS, CLASSES)
DATA = (PIXELS, LABELS)


def logits(x: np.ndarray) -> np.ndarray:
    """Whose rows are flat, whatever shape they come in."""
    return naive.logits(LAYERS, x.reshape(len(x), -1).astype(np.float64))


def probabilities(x: np.ndarray) -> np.ndarray:
    return naive.softmax(logits(x))


def expected(eps: float = 1e-7) -> np.ndarray:
    """Losses (ROWS,) by plain formulas, of float32 pixels as a predictor gets them."""
    x = PIXELS.reshape(ROWS, -1).astype(np.float32) * np.float32(1 / 255)
    return naive.losses(LAYERS, x, LABELS, eps)


@pytest.mark.parametrize("predict", [logits, probabilities])
@pytest.mark.parametrize("eps", [1e-7, 1e-3, 0.0])
def test_a_function_is_a_model(predict, eps: float) -> None:
    report = se.evaluate(predict, DATA, eps=eps)
    assert report.loss == pytest.approx(expected(eps).mean(), rel=1e-11)
    assert report.accuracy == (naive.predicted(LAYERS, PIXELS.reshape(ROWS, -1) / 255) == LABELS).mean()
    assert report.scorer == "callable"
    assert report.to_dict()["model"]["returns"] == predict.__name__


def test_a_function_serves_wherever_a_network_does() -> None:
    network = se.Mlp(se.Layer(*layer) for layer in LAYERS)
    near = {"rel": 1e-5}
    assert se.minibatch(logits, DATA).loss == pytest.approx(se.minibatch(network, DATA).loss, **near)
    assert se.per_sample_losses(logits, DATA) == pytest.approx(expected(), rel=1e-11)
    assert [*se.stream(logits, DATA, chunk_rows=100)][-1].loss == pytest.approx(expected().mean(), rel=1e-11)
    compared = se.compare(logits, DATA, sizes=(20,), trials=50)
    assert compared.full.loss == pytest.approx(expected().mean(), rel=1e-11)
    assert compared.budget.rounding is None  # nobody computes it in float64
    assert se.evaluate_until(logits, DATA, half_width=1e-9).loss == pytest.approx(expected().mean(), rel=1e-9)
    assert abs(se.paired([logits, network], DATA).to_dict()["pairs"][0]["difference"]["mean"]) < 1e-6


def test_it_gets_scaled_float32_rows_or_stored_ones_in_the_shape_asked_for() -> None:
    given = []

    def watched(x: np.ndarray) -> np.ndarray:
        given.append(x)
        return logits(x / 255 if x.dtype == np.uint8 else x)

    se.evaluate(watched, DATA)
    assert {(x.dtype.name, x.shape[1:]) for x in given} == {("float32", (FEATURES,))}
    assert max(float(x.max()) for x in given) == 1.0
    given.clear()
    report = se.evaluate(se.Predictor(predict=watched, shapes=("image",), raw=True), DATA)
    assert {(x.dtype.name, x.shape[1:]) for x in given} == {("uint8", (1, SIDE, SIDE))}
    assert report.loss == pytest.approx(expected().mean(), rel=1e-6)


def test_pixels_that_were_scaled_for_it_are_noted() -> None:
    """A model that was fitted to pixels from 0 to 255 gives no error with them times 1/255, but another loss."""
    said = "it was given pixels times 1/255; as they are stored, from 0 to 255, with scale=1 (--scale 1)."
    assert said in se.evaluate(logits, DATA).model.notes
    stored = se.Predictor(predict=lambda x: logits(x / 255), raw=True)
    for model, data in [
        (logits, se.open(DATA, scale=1)),
        (stored, DATA),
        (logits, (PIXELS.astype(np.float32) / 255, LABELS)),
    ]:
        assert said not in se.evaluate(model, data).model.notes


def test_the_first_shape_that_works_is_taken() -> None:
    def images_only(x: np.ndarray) -> np.ndarray:
        if x.ndim != 4:
            raise ValueError(f"images wanted, not {x.shape}")
        return logits(x)

    report = se.evaluate(se.Predictor(predict=images_only, shapes=((), "image")), DATA)
    assert report.to_dict()["model"]["row_shape"] == [1, SIDE, SIDE]
    with pytest.raises(ModelError, match=r"raised ValueError: images wanted, not \(64, 36\).*shapes="):
        se.evaluate(images_only, DATA)
    with pytest.raises(ModelError, match=r"takes rows of shape \(3, 32, 32\), but the data have 36 features"):
        se.evaluate(se.Predictor(predict=images_only, shapes=((3, 32, 32),)), DATA)


@pytest.mark.parametrize(("batch_rows", "fixed"), [(7, False), (7, True), (1, True), (10_000, False)])
def test_calls_have_the_rows_that_were_said(batch_rows: int, fixed: bool) -> None:
    sizes = []

    def watched(x: np.ndarray) -> np.ndarray:
        sizes.append(len(x))
        return logits(x)

    model = se.Predictor(predict=watched, batch_rows=batch_rows, fixed=fixed)
    assert se.per_sample_losses(model, DATA) == pytest.approx(expected(), rel=1e-11)
    assert max(sizes) <= batch_rows
    assert not fixed or set(sizes) == {batch_rows}


def test_rows_come_in_memory_of_their_own_that_runs_forwards() -> None:
    """torch.from_numpy takes no other."""
    seen = []

    def predict(x: np.ndarray) -> np.ndarray:
        seen.append((x.flags.c_contiguous, x.flags.writeable, min(x.strides) > 0))
        return logits(x)

    for model in (
        predict,
        se.Predictor(predict=predict, raw=True),
        se.Predictor(predict=predict, shapes=((6, 6),)),
    ):
        se.evaluate(model, DATA)
        se.minibatch(model, DATA)
    assert set(seen) == {(True, True, True)}


@pytest.mark.parametrize(
    ("shape", "row", "cure"),
    [
        ((8, 8, 3), (3, 8, 8), r"x\.transpose\(0, 2, 3, 1\)"),
        ((3, 8, 8), (8, 8, 3), r"x\.transpose\(0, 3, 1, 2\)"),
        ((12, 16), (3, 8, 8), r"Give rows of shape \(12, 16\)"),
    ],
)
def test_dimensions_are_not_mixed_up(shape: tuple[int, ...], row: tuple[int, ...], cure: str) -> None:
    model = se.Predictor(predict=lambda x: x.reshape(len(x), -1)[:, :4], shapes=(shape,))
    x, t = np.random.default_rng(1).normal(size=(20, *row)).astype(np.float32), np.zeros(20, np.int64)
    with pytest.raises(ModelError, match=rf"in another order\. .*{cure}"):
        se.evaluate(model, (x, t))
    # A flat row may be given in any shape, and any row flat; sides of 1 say nothing.
    flat = x.reshape(20, -1)
    for fitting in (flat, flat.reshape(20, *shape), flat.reshape(20, 1, *shape)):
        assert se.evaluate(model, (fitting, t)).loss == se.evaluate(lambda x: x[:, :4], (x, t)).loss


@pytest.mark.parametrize(
    ("almost", "said"),
    [
        (lambda y: np.round(y, 2), "0\\.9.* to 1\\.0"),
        (lambda y: 100.0 * y, "100"),
        (lambda y: y * np.linspace(0.996, 1.004, len(y))[:, None], "0\\.99.* to 1\\.00"),
    ],
)
def test_what_is_nearly_probabilities_is_asked_about(almost, said: str) -> None:
    """Taken as logits it would be given a second softmax, and a loss without a sign that it is wrong."""
    given = lambda x: almost(probabilities(x))  # noqa: E731
    with pytest.raises(
        ModelError, match=rf"sums to .*{said}.*: are they logits, or probabilities.*returns='logits'"
    ):
        se.evaluate(given, DATA)
    x = PIXELS.reshape(ROWS, -1).astype(np.float32) * np.float32(1 / 255)
    rows = np.log(naive.softmax(given(x)))[np.arange(ROWS), LABELS]
    told = se.Predictor(predict=given, returns="logits")
    assert se.evaluate(told, DATA, eps=0.0).loss == pytest.approx(-rows.mean(), rel=1e-9)


@pytest.mark.parametrize("shift", [-0.05, 0.3])
def test_what_is_far_from_probabilities_is_logits(shift: float) -> None:
    """Negative, or of another sum."""
    assert se.evaluate(lambda x: probabilities(x) + shift, DATA).to_dict()["model"]["returns"] == "logits"


def test_rows_that_depend_on_their_batch_are_told() -> None:
    rng = np.random.default_rng(0)
    wrong = {
        "centred on the batch": lambda x: logits(x) - logits(x).mean(axis=0) * 0.5,
        "swapped": lambda x: logits(x)[::-1],
        "random": lambda x: logits(x) * rng.integers(1, 3, (len(x), 1)),
        "sorted": lambda x: np.sort(logits(x), axis=0),
    }
    for name, predict in wrong.items():
        with pytest.raises(ModelError, match=r"row \d+: output \d is .* in another.*training mode") as raised:
            se.evaluate(predict, DATA)
        assert raised.value.exit_code == 4, name


def test_rows_swapped_in_a_later_chunk_are_told_too() -> None:
    """The first rows are in order: only what is looked at in each chunk can tell."""
    calls = []

    def late(x: np.ndarray) -> np.ndarray:
        calls.append(len(x))
        return logits(x)[::-1] if len(x) == 100 and calls.count(100) > 2 else logits(x)

    with pytest.raises(ModelError, match="in another"):
        se.evaluate(late, DATA, chunk_rows=100)


@pytest.mark.parametrize(
    ("predict", "error", "message"),
    [
        (lambda x: logits(x)[:-1], ModelError, r"63 rows came back for 64"),
        (lambda x: logits(x)[:, 0], ModelError, r"one number a row came back"),
        (lambda x: "logits", ModelError, r"str came back"),
        (lambda x: None, ModelError, r"NoneType came back"),
        (lambda x: [[1.0], [1.0, 2.0]], ModelError, r"list came back"),
        (lambda x: logits(x)[:, None], ModelError, r"float64 of shape \(64, 1, 4\)"),
        (lambda x: np.full((len(x), CLASSES), np.nan), DataError, r"row 0: .*NaN or infinite"),
        (lambda x: logits(x)[:, :3], LabelError, r"label 3 .*expected 3 classes"),
    ],
)
def test_what_is_no_output_is_refused(predict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        se.evaluate(predict, DATA)


def test_rows_that_are_not_finite_can_be_left_out_of_a_models_too() -> None:
    def sometimes(x: np.ndarray) -> np.ndarray:
        y = logits(x)
        y[x[:, 5] > 0.5, 0] = np.nan
        return y

    finite = PIXELS.reshape(ROWS, -1)[:, 5] / 255 <= 0.5
    report = se.evaluate(sometimes, DATA, allow_nonfinite=True)
    assert (report.rows, report.state.sums.left_out) == (finite.sum(), (~finite).sum())
    assert report.loss == pytest.approx(expected()[finite].mean(), rel=1e-11)


def test_probabilities_that_are_none_are_refused_with_their_row() -> None:
    def wrong(x: np.ndarray) -> np.ndarray:
        y = probabilities(x)
        y[(x.sum(axis=1) == 0)] *= 0.9  # rows without a pixel
        return y

    empty = np.flatnonzero(PIXELS.reshape(ROWS, -1).sum(axis=1) == 0)
    with pytest.raises(
        DataError, match=rf"row {empty[0]}: probabilities sum to 0\.9,.*\({len(empty)} such of {ROWS}"
    ):
        se.evaluate(se.Predictor(predict=wrong, returns="probabilities"), DATA)


def test_a_certain_mistake_is_infinite_without_eps_and_finite_with_it() -> None:
    never = np.zeros(CLASSES)
    never[(LABELS[0] + 1) % CLASSES] = 1.0
    predict = se.Predictor(predict=lambda x: np.tile(never, (len(x), 1)), returns="probabilities")
    with pytest.raises(DataError, match="NaN or infinite"):
        se.evaluate(predict, DATA, eps=0)
    wrong = (LABELS[0] + 1) % CLASSES != LABELS
    assert se.evaluate(predict, DATA).loss == pytest.approx(-np.log(1e-7) * wrong.mean(), rel=1e-6)


def test_soft_targets_and_features_that_are_floats(tmp_path: Path) -> None:
    x, t = small.floats(ROWS, FEATURES), small.soft_targets(ROWS, CLASSES)
    np.save(tmp_path / "images.npy", x)
    np.save(tmp_path / "labels.npy", t)
    report = se.evaluate(logits, tmp_path)
    assert report.loss == pytest.approx(naive.losses(LAYERS, x, t).mean(), rel=1e-11)


def test_a_checkpoint_needs_to_know_what_it_is_of(tmp_path: Path) -> None:
    options = se.PassOptions(checkpoint=tmp_path / "pass.json")
    with pytest.raises(UsageError, match=r"content is not known.*identity="):
        se.evaluate(logits, DATA, options=options)
    named = se.Predictor(predict=logits, identity="version 3")
    assert se.evaluate(named, DATA, options=options).digest == se.evaluate(logits, DATA).digest
    other = se.Predictor(predict=logits, identity="version 4")
    settled = [se.evaluate(one, DATA).model.sha256 for one in (named, other, logits)]
    assert len({*settled}) == 3


def test_what_is_no_model_is_refused_with_the_cure() -> None:
    with pytest.raises(UsageError, match=r"load_model\('weights.pkl'\)"):
        se.evaluate("weights.pkl", DATA)
    for data in (DATA, PIXELS):
        with pytest.raises(UsageError, match=r"^model: [^\n]*The model comes first, then the data\.$"):
            se.evaluate(data, logits)
    with pytest.raises(UsageError, match="something to call"):
        se.evaluate(7, DATA)
    with pytest.raises(UsageError, match="something to call"):
        se.evaluate(se.Mlp, DATA)
    for wrong in ({"predict": 3}, {"returns": "odds"}, {"batch_rows": 0}, {"shapes": ()}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            se.Predictor(**{"predict": logits, **wrong})


@pytest.mark.parametrize(
    "model", [se.Mlp([se.Layer(np.ones((2, 1)), np.zeros(1), "identity")]), lambda x: 3 * x[:, :1]]
)
def test_one_output_is_told_which_loss_takes_it(model) -> None:
    x, t = np.ones((4, 2), np.float32), np.array([0, 1, 1, 0])
    with pytest.raises((LabelError, ModelError), match="--loss binary-cross-entropy"):
        se.evaluate(model, (x, t))
    assert se.evaluate(model, (x, t), loss=se.BinaryCrossEntropy()).loss is not None


@pytest.mark.parametrize(
    "shapes",
    ["image", (1, 28, 28), ("img",), (), 5, ([1, 28, 28],), ((-1, 28),), ((1.0, 28),), ((True, 28),)],
)
def test_shapes_that_are_none_are_refused_with_an_example(shapes: Any) -> None:
    """A comma that was forgotten: ("image") is a text, and (1, 28, 28) one shape, not a tuple of shapes."""
    with pytest.raises(UsageError, match=r"shapes: .*expected a tuple .*\(\(1, 28, 28\),\) or \('image',\)"):
        se.Predictor(predict=len, shapes=shapes)
    assert se.Predictor(predict=len, shapes=[(), "image", (np.int64(1), 28)]).shapes[1] == "image"


@pytest.mark.parametrize("identity", ["", 7, b"7"])
def test_an_identity_is_text(identity: Any) -> None:
    """Of an empty one the hash would be that of the name, which other models may have too."""
    with pytest.raises(UsageError, match=r"identity: .*expected text"):
        se.Predictor(predict=len, identity=identity)
