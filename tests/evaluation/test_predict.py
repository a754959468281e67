"""The article's two functions: `predict`, and the cross-entropy error of given probabilities."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest
import small_networks as small
import tensors

import streameval as se
from streameval.errors import DataError, LabelError, ModelError, UsageError

ROWS, CLASSES = 500, 7


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return small.pixels("mixed", ROWS, 99, seed=5).reshape(ROWS, 9, 11)


def test_predict_gives_the_softmax_of_float64(
    model: se.Mlp, layers: list[naive.Layer], x: np.ndarray
) -> None:
    flat = x.reshape(ROWS, -1)
    exact = naive.softmax(naive.logits(layers, flat / 255.0))
    y = se.predict(model, x)
    assert y.dtype == np.float32
    assert y.shape == (ROWS, CLASSES)
    assert np.abs(y - exact).max() < 2e-6
    assert y.sum(axis=1) == pytest.approx(np.ones(ROWS), abs=1e-6)
    assert np.array_equal(se.predict(model, flat), y)
    assert np.array_equal(se.predict(model, x[:, None]), y)
    assert np.array_equal(se.predict(model, np.asfortranarray(flat)), y)
    normalised = flat / 255.0
    for given in (normalised, normalised.astype(np.float32), normalised.tolist()):
        assert np.abs(se.predict(model, given) - exact).max() < 2e-6


def test_predict_takes_a_single_row_as_the_article_does(model: se.Mlp, x: np.ndarray) -> None:
    y = se.predict(model, x[3].reshape(-1))
    assert y.shape == (CLASSES,)
    assert np.array_equal(y, se.predict(model, x)[3])


def test_predict_refuses_rows_of_another_width_or_dtype(model: se.Mlp, x: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"takes 99 features, but the rows of <arrays> have 98"):
        se.predict(model, np.zeros((2, 98), np.uint8))
    with pytest.raises(DataError, match=r"x is int64 with numbers from 0 to 256"):
        se.predict(model, np.full((2, 99), [[0], [256]]))


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_the_cross_entropy_error_is_the_article_s(n: int) -> None:
    y = small.soft_targets(n, CLASSES, seed=n)
    t = small.labels(n, CLASSES, seed=n)
    one_hot = naive.one_hot(t, CLASSES)
    expected = pytest.approx(naive.cross_entropy_error(y, t), rel=1e-14)
    for targets in (t, t.astype(np.uint8), t.tolist(), one_hot, one_hot.astype(int), one_hot.tolist()):
        assert se.cross_entropy_error(y, targets) == expected
    assert se.cross_entropy_error(y, one_hot) == pytest.approx(
        naive.cross_entropy_error(y, one_hot), rel=1e-14
    )
    soft = small.soft_targets(n, CLASSES, seed=99)
    assert se.cross_entropy_error(y, soft) == pytest.approx(naive.cross_entropy_error(y, soft), rel=1e-14)


def test_an_error_of_nothing_is_no_negative_zero() -> None:
    for t in ([1, 1], [[0, 1], [0, 1]]):
        assert str(se.cross_entropy_error([[0.0, 1.0], [0.0, 1.0]], t, eps=0)) == "0.0"


def test_the_cross_entropy_error_of_one_row_may_be_one_dimensional() -> None:
    y = np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0])
    one_hot = np.eye(10)[2]
    expected = pytest.approx(-np.log(0.6 + 1e-7), rel=1e-14)
    for t in (one_hot, 2, np.int64(2), [2], np.array(2), one_hot[None]):
        assert se.cross_entropy_error(y, t) == expected
        assert se.cross_entropy_error(y[None], np.atleast_2d(one_hot)) == expected


def test_the_cross_entropy_error_of_a_probability_of_0_is_bounded_and_of_1_nearly_0() -> None:
    assert se.cross_entropy_error([0.0, 1.0], 0) == pytest.approx(-np.log(1e-7), rel=1e-14)
    assert se.cross_entropy_error([0.0, 1.0], 1) == pytest.approx(-1e-7, rel=1e-6)
    assert se.cross_entropy_error([0.25, 0.75], 0, eps=0.0) == pytest.approx(np.log(4), rel=1e-14)


@pytest.mark.parametrize(
    ("y", "t", "error", "message"),
    [
        ([[0.5, 0.5]], [2], LabelError, r"t, row 0: label 2, but y has 2 classes \(0\.\.1\)"),
        ([[0.5, 0.5]] * 3, [0, 1, -1], LabelError, r"t, row 2: label -1"),
        ([[0.5, 0.5]], [0, 1, 1], UsageError, r"shape \(3,\), expected integer labels \(1,\)"),
        (np.full((4, 5), 0.2), np.full((5, 4), 0.25), UsageError, r"t: float64 of shape \(5, 4\), expected"),
        (
            np.arange(4),
            np.full((4, 5), 0.2),
            UsageError,
            r"t: float64 of shape \(4, 5\), .*The order is \(y, t\)",
        ),
        (np.full((4, 5), 0.2), np.zeros((2, 2), int), UsageError, r"shape \(2, 2\), expected integer labels"),
        (np.full((4, 5), 0.2), np.full(20, 0.2), UsageError, r"shape \(20,\), expected integer labels"),
        (np.full(6, 0.2), np.full((2, 3), 0.2), UsageError, r"shape \(2, 3\), expected integer labels"),
        ([[0.5, 0.5]], [["a", "b"]], UsageError, "t: <U1 of shape"),
        ([[0.5, 0.5], [1]], [0, 0], UsageError, "y: .*rows of one length"),
        ([[0.5, 0.5], [1.5, -0.5]], [0, 0], UsageError, r"y, row 1: .*logits: streameval\.metrics\.Cross"),
        ([[0.5, 0.5]], np.ma.masked_array([0], [True]), DataError, "t: some values are masked"),
        (np.ma.masked_array([[0.5, 0.5]], [[False, True]]), [0], DataError, "y: some values are masked"),
        ([[0.5, 0.5]], [0.0], UsageError, r"float64 of shape \(1,\), expected integer labels"),
        ([], [], UsageError, r"y: shape \(0,\)"),
        (np.zeros((2, 2, 2)), [0, 1], UsageError, r"y: shape \(2, 2, 2\)"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y: Any, t: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        se.cross_entropy_error(y, t)


@pytest.mark.parametrize("kind", tensors.KINDS.values(), ids=tensors.KINDS)
def test_tensors_are_taken_as_a_model_gives_them(model: se.Mlp, x: np.ndarray, kind: dict[str, Any]) -> None:
    y = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    t = tensors.Tensor([1, 0], dtype="torch.int64")
    assert se.cross_entropy_error(tensors.Tensor(y, **kind), t) == se.cross_entropy_error(y, [1, 0])
    assert se.cross_entropy_error(tensors.Tensor(y[0], **kind), 1) == se.cross_entropy_error(y[0], 1)
    rows = x.astype(np.float32)
    assert np.array_equal(se.predict(model, tensors.Tensor(rows, **kind)), se.predict(model, rows))


def test_a_sparse_tensor_is_refused_with_the_cure(model: se.Mlp, x: np.ndarray) -> None:
    with pytest.raises(
        UsageError,
        match=r"y: a tensors.Tensor that does not become an array.*rows of one length.*y\.to_dense",
    ):
        se.cross_entropy_error(tensors.Tensor(np.eye(2), sparse=True), [0, 1])
    with pytest.raises(UsageError, match=r"x: a tensors.Tensor.*x\.to_dense"):
        se.predict(model, tensors.Tensor(x, sparse=True))


@pytest.mark.parametrize("eps", [-1e-7, 1.0, 2, np.nan, None, "0"])
def test_an_eps_that_cannot_mean_anything_is_refused(eps: Any) -> None:
    with pytest.raises(UsageError, match=r"eps: .*expected a number from 0"):
        se.cross_entropy_error([0.5, 0.5], 0, eps=eps)


def test_without_eps_a_class_costs_nothing_without_weight_and_is_infinite_with_it() -> None:
    y = np.array([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75]])
    for t in ([1, 0], np.eye(3)[[1, 0]], np.eye(3, dtype=int)[[1, 0]], np.eye(3, dtype=bool)[[1, 0]]):
        assert se.cross_entropy_error(y, t, eps=0.0) == pytest.approx(np.log(4) / 2, rel=1e-15)
    for t in ([0, 0], np.eye(3)[[0, 0]]):
        assert se.cross_entropy_error(y, t, eps=0) == np.inf


@pytest.mark.parametrize("x", [np.uint8(3), 3.0, np.array(0.5, np.float32), None])
def test_predict_refuses_a_single_number(model: se.Mlp, x: Any) -> None:
    with pytest.raises(UsageError, match=r"^x: .*expected rows \(n, 99\), or one row \(99,\)"):
        se.predict(model, x)


def test_predict_refuses_masked_pixels_and_takes_a_mask_that_hides_nothing(
    model: se.Mlp, x: np.ndarray
) -> None:
    with pytest.raises(DataError, match="x: some values are masked"):
        se.predict(model, np.ma.masked_array(x, x == x.max()))
    assert np.array_equal(se.predict(model, np.ma.masked_array(x)), se.predict(model, x))


def test_a_function_has_no_softmax_to_return() -> None:
    with pytest.raises(UsageError, match=r"expected a network of layers.*call it"):
        se.predict(lambda x: x, np.zeros((1, 4), np.float32))  # type: ignore[arg-type]
