"""The article, step by step: mini-batch learning (ミニバッチ学習), cross-entropy error (交差エントロピー誤差)."""

from __future__ import annotations

import json
from pathlib import Path

import naive
import numpy as np
import pytest

import streameval as se

Split = tuple[np.ndarray, np.ndarray]

PRINTED = 0.20627920610480943  # the article's last line of output, in float32
EXACT = 0.20627925345  # the same 100 rows in float64
FULL = 0.22400087659172677  # all 60,000 rows, which the article leaves out


@pytest.fixture(scope="module")
def network(mnist_dir: Path) -> se.Mlp:
    # 学習済みの重み: init_network() of the article reads sample_weight.pkl
    return se.load_model(mnist_dir / "sample_weight.pkl")


@pytest.fixture(scope="module")
def one_hot(mnist_dir: Path) -> tuple[Split, Split]:
    # 正規化と one-hot 表現: load_mnist(normalize=True, one_hot_label=True)
    return se.load_mnist(normalize=True, flatten=True, one_hot_label=True, root=mnist_dir)


@pytest.fixture(scope="module")
def integers(mnist_dir: Path) -> tuple[Split, Split]:
    return se.load_mnist(normalize=True, flatten=True, one_hot_label=False, root=mnist_dir)


@pytest.fixture(scope="module")
def batch_mask(mnist_dir: Path) -> np.ndarray:
    # ランダムに選ばれた 100 行: what np.random.choice(60000, 100) gave in the article
    return np.array(json.loads((mnist_dir / "book_batch_mask.json").read_text()))


def test_step_1_the_training_data_have_the_article_s_shapes(
    one_hot: tuple[Split, Split], integers: tuple[Split, Split]
) -> None:
    (x_train, t_train), (x_test, t_test) = one_hot
    assert x_train.shape == (60000, 784)
    assert t_train.shape == (60000, 10)
    assert (x_test.shape, t_test.shape) == ((10000, 784), (10000, 10))
    assert x_train.dtype == np.float32
    assert (x_train.min(), x_train.max()) == (0.0, 1.0)
    assert np.array_equal(np.argmax(t_train, axis=1), integers[0][1])


def test_step_2_the_network_has_three_layers(network: se.Mlp) -> None:
    assert network.sizes == (784, 50, 100, 10)
    assert network.activations == ("sigmoid", "sigmoid", "identity")


def test_step_3_the_cross_entropy_error_of_one_row_is_that_of_its_true_class() -> None:
    # 交差エントロピー誤差 (A): E = -sum_k t_k log y_k
    y = np.array([0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0])
    t = np.array([0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    assert se.cross_entropy_error(y, t) == pytest.approx(-np.log(0.6), abs=2e-7)
    assert se.cross_entropy_error(y, 2) == se.cross_entropy_error(y, t)


def test_step_4_a_hundred_rows_are_drawn_with_replacement(batch_mask: np.ndarray) -> None:
    assert batch_mask.shape == (100,)
    assert len(set(batch_mask.tolist())) == 99  # one row came twice
    assert batch_mask.max() < 60000


def test_step_5_the_loss_of_the_mini_batch_with_one_hot_targets(
    network: se.Mlp, one_hot: tuple[Split, Split], batch_mask: np.ndarray
) -> None:
    (x_train, t_train), _ = one_hot
    x_batch, t_batch = x_train[batch_mask], t_train[batch_mask]
    y_batch = se.predict(network, x_batch)
    assert y_batch.shape == (100, 10)
    # 損失関数の値 (B): E = -(1/N) sum_n sum_k t_nk log y_nk
    loss = se.cross_entropy_error(y_batch, t_batch)
    assert loss == pytest.approx(PRINTED, abs=1e-7)
    assert loss == pytest.approx(EXACT, abs=1e-7)
    assert loss == pytest.approx(naive.cross_entropy_error(y_batch.astype(np.float64), t_batch), rel=1e-12)


def test_step_6_the_loss_of_the_mini_batch_with_integer_labels(
    network: se.Mlp,
    integers: tuple[Split, Split],
    one_hot: tuple[Split, Split],
    batch_mask: np.ndarray,
) -> None:
    # 正解ラベル: "2" instead of [0, 0, 1, 0, ...]
    (x_train, t_train), _ = integers
    y_batch = se.predict(network, x_train[batch_mask])
    loss = se.cross_entropy_error(y_batch, t_train[batch_mask])
    assert loss == pytest.approx(PRINTED, abs=1e-7)
    assert loss == pytest.approx(se.cross_entropy_error(y_batch, one_hot[0][1][batch_mask]), rel=1e-14)


def test_step_7_the_same_rows_by_their_numbers_in_one_call(
    network: se.Mlp,
    one_hot: tuple[Split, Split],
    integers: tuple[Split, Split],
    batch_mask: np.ndarray,
    mnist_dir: Path,
) -> None:
    files = (mnist_dir / "train-images-idx3-ubyte.gz", mnist_dir / "train-labels-idx1-ubyte.gz")
    reports = [se.evaluate(network, data, rows=batch_mask) for data in (one_hot[0], integers[0], files)]
    for report in reports:
        assert report.rows == 100
        assert report.loss == pytest.approx(PRINTED, abs=1e-7)
        assert report.loss == pytest.approx(EXACT, abs=1e-7)
    assert reports[0].digest == reports[1].digest


def test_step_8_a_mini_batch_of_our_own_says_how_far_off_it_may_be(
    network: se.Mlp, integers: tuple[Split, Split]
) -> None:
    drawn = se.minibatch(network, integers[0], size=100, batches=20, seed=0)
    losses = [batch.loss for batch in drawn.batches]
    covered = sum(batch.interval.low <= FULL <= batch.interval.high for batch in drawn.batches)
    # 100 rows have a standard error of 0.0675: twenty of them scatter about the full loss by that much.
    assert 0.03 < np.std(losses, ddof=1) < 0.12
    assert np.mean(losses) == pytest.approx(FULL, abs=4 * 0.0675 / 20**0.5)
    # Of 20 intervals at 95 % fewer than 15 cover with a probability of 0.0003.
    assert covered >= 15


def test_step_9_the_full_loss_is_not_too_expensive_after_all(
    network: se.Mlp, integers: tuple[Split, Split]
) -> None:
    report = se.evaluate(network, integers[0])
    assert report.rows == 60000
    assert report.loss == pytest.approx(FULL, abs=1e-7)
    # What the article compares: the 100 rows against all of them.
    assert abs(PRINTED - report.loss) == pytest.approx(0.0177, abs=1e-4)
    assert report.stddev / 10 == pytest.approx(0.0675, abs=1e-4)
