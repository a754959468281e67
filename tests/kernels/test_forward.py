"""The forward pass against its float64 twin; and a row's bits do not depend on where the row stands."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_networks as small
from hypothesis import given, settings
from hypothesis import strategies as st
from running_kernels import run

EPSILONS = [1e-7, 0.0, 1e-3]
# Ends of vectors of 16 rows, of tiles of 32 or 48 of them, and in between.
COUNTS = [0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65, 97]


def check_against_the_twin(
    layers: list[naive.Layer],
    x: np.ndarray,
    t: np.ndarray,
    *,
    eps: float,
    scale: float = 1.0,
    most: float = np.inf,
) -> None:
    """Losses, predictions and probabilities are those of float64, as near as float32 sums allow.

    A loss moves by at most twice the largest error of a logit; `most` bounds it further where the weights are
    ordinary, because rounding errors do not conspire.
    """
    seen = x.astype(np.float64) * scale
    z = naive.logits(layers, seen)
    exact = naive.cross_entropy(z, t, eps)
    bound = naive.logit_error(layers, seen, from_bytes=x.dtype == np.uint8)
    found = run(layers, x, t, eps=eps, scale=scale)
    error = np.abs(found.loss - exact)
    assert (error <= np.minimum(2 * bound, most) + 1e-12 + 1e-13 * np.abs(exact)).all()

    ordered = np.sort(z, axis=1)
    clear = (ordered[:, -1] - ordered[:, -2] > 2 * bound) if z.shape[1] > 1 else np.ones(len(z), bool)
    assert np.array_equal(found.predicted[clear], np.argmax(z, axis=1)[clear])
    # dy = y (dz - sum y dz): at most half the spread of dz; then one rounding to float32.
    assert (np.abs(found.probabilities - naive.softmax(z)) <= (np.minimum(bound, most) + 1e-7)[:, None]).all()


# --- near the truth ---


@settings(max_examples=150, deadline=None)
@given(
    layers=small.networks(),
    kind=st.sampled_from(small.KINDS),
    n=st.sampled_from(COUNTS[1:]),
    eps=st.sampled_from(EPSILONS),
    soft=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_network_on_any_bytes_is_near_its_float64_twin(
    layers: list[naive.Layer], kind: str, n: int, eps: float, soft: bool, seed: int
) -> None:
    features, classes = len(layers[0].weight), len(layers[-1].bias)
    x = small.pixels(kind, n, features, seed=seed)
    t = (small.soft_targets if soft else small.labels)(n, classes, seed=seed)
    check_against_the_twin(layers, x, t, eps=eps, scale=1 / 255)


@settings(max_examples=150, deadline=None)
@given(
    layers=small.networks(),
    n=st.sampled_from(COUNTS[1:]),
    eps=st.sampled_from(EPSILONS),
    soft=st.booleans(),
    scale=st.sampled_from([1.0, 0.37]),
    seed=st.integers(0, 2**32),
)
def test_any_network_on_any_floats_is_near_its_float64_twin(
    layers: list[naive.Layer], n: int, eps: float, soft: bool, scale: float, seed: int
) -> None:
    features, classes = len(layers[0].weight), len(layers[-1].bias)
    x = small.floats(n, features, seed=seed)
    t = (small.soft_targets if soft else small.labels)(n, classes, seed=seed)
    check_against_the_twin(layers, x, t, eps=eps, scale=scale)


@pytest.mark.parametrize("activation", sorted(naive.ACTIVATIONS))
@pytest.mark.parametrize("dtype", ["bytes", "floats"])
def test_an_ordinary_network_stays_within_2e_5_of_float64_on_every_row(activation: str, dtype: str) -> None:
    layers = small.network([784, 50, 100, 10], [activation, activation], seed=8)
    x = small.pixels("mixed", 500, 784) if dtype == "bytes" else small.floats(500, 784)
    for eps in EPSILONS:
        check_against_the_twin(
            layers, x, small.labels(500, 10), eps=eps, scale=1 / 255 if dtype == "bytes" else 1.0, most=2e-5
        )


def test_all_activations_in_one_network_are_near_float64() -> None:
    """In each order that a circle of them has: one kernel."""
    names = sorted(naive.ACTIVATIONS)
    for shift in range(len(names)):
        layers = small.network(
            [45, *range(17, 17 + len(names)), 9], names[shift:] + names[:shift], seed=shift
        )
        x, t = small.pixels("mixed", 33, 45), small.labels(33, 9)
        check_against_the_twin(layers, x, t, eps=1e-7, scale=1 / 255, most=2e-5)


@pytest.mark.parametrize(
    "features", [1, 3, 4, 5, 15, 16, 17, 31, 33, 63, 64, 65, 127, 200, 511, 512, 513, 1030]
)
def test_every_number_of_features_works_ragged_or_not(features: int) -> None:
    layers = small.network([features, 37, 6], ["tanh"], seed=features)
    t = small.labels(61, 6)
    check_against_the_twin(layers, small.pixels("mixed", 61, features), t, eps=1e-7, scale=1 / 255, most=2e-5)
    check_against_the_twin(layers, small.floats(61, features), t, eps=1e-7, most=2e-5)


@pytest.mark.parametrize("width", [*range(1, 41), 47, 48, 49, 63, 64, 65, 66, 96, 97, 128, 129, 150, 300])
def test_every_width_of_the_first_layer_works(width: int) -> None:
    layers = small.network([45, width, 3], ["sigmoid"], seed=width)
    t = small.labels(50, 3)
    check_against_the_twin(layers, small.pixels("mixed", 50, 45), t, eps=1e-7, scale=1 / 255, most=2e-5)
    check_against_the_twin(layers, small.floats(50, 45), t, eps=1e-7, most=2e-5)


@pytest.mark.parametrize("classes", [1, 2, 1000])
@pytest.mark.parametrize("eps", EPSILONS)
def test_one_class_and_a_thousand_classes_work(classes: int, eps: float) -> None:
    layers = small.network([40, 20, classes], ["relu"], seed=classes)
    for t in (small.labels(97, classes), small.soft_targets(97, classes)):
        check_against_the_twin(layers, small.pixels("sparse", 97, 40), t, eps=eps, scale=1 / 255, most=2e-5)
        check_against_the_twin(layers, small.floats(97, 40), t, eps=eps, most=2e-5)


def test_a_network_of_one_layer_is_logistic_regression() -> None:
    layers = small.network([64, 10], [], seed=4)
    t = small.labels(49, 10)
    check_against_the_twin(layers, small.pixels("dense", 49, 64), t, eps=0.0, scale=1 / 255, most=2e-5)
    check_against_the_twin(layers, small.floats(49, 64), t, eps=0.0, most=2e-5)


def test_more_features_than_byte_sums_can_hold_in_32_bits_are_right() -> None:
    """66,000 pixels of 255 times a digit of 127 pass 2**31: the largest weights of one sign do it."""
    features = 66_000
    weight = np.full((features, 5), 1.0, np.float32)
    weight[:, 1] *= -1.0
    weight[:, 2:] = np.random.default_rng(0).normal(size=(features, 3))
    layers = [
        naive.Layer(weight, np.zeros(5, np.float32), "identity"),
        *small.network([5, 3], [], gain=0.001),
    ]
    x = small.pixels("mixed", 17, features)
    x[3] = 255
    check_against_the_twin(layers, x, small.labels(17, 3), eps=0.0, scale=1 / 255)


@pytest.mark.parametrize("features", [65_780, 65_788, 65_789, 65_790, 65_800])
def test_the_largest_sums_that_fit_32_bits_and_the_first_that_do_not_are_right(features: int) -> None:
    layers = [
        naive.Layer(np.array([[1.0, -1.0]] * features, np.float32), np.zeros(2, np.float32), "identity"),
        *small.network([2, 2], [], gain=1e-4),
    ]
    x = np.full((3, features), 255, np.uint8)
    x[1, ::2] = 0
    check_against_the_twin(layers, x, np.array([0, 1, 0]), eps=0.0, scale=1 / 255, most=2e-5)


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e30])
def test_weights_spread_too_wide_for_24_bits_keep_their_small_ones(factor: float) -> None:
    """One huge weight a column, on a pixel that is always zero: the small ones must not be lost to it."""
    layers = small.network([50, 30, 4], ["sigmoid"], seed=6)
    layers[0].weight[7] = factor * (1 + np.arange(30))
    x = small.pixels("sparse", 60, 50)
    x[:, 7] = 0
    t = small.labels(60, 4)
    seen = x / 255
    exact = naive.losses(layers, seen, t)
    found = run(layers, x, t, scale=1 / 255).loss
    # A spread of 1,000 is held in 24 bits, and costs 10 of them.
    assert np.abs(found - exact).max() < (2e-4 if factor == 1e3 else 2e-6)
    layers[0].weight[7] = 0
    assert np.abs(found - naive.losses(layers, seen, t)).max() < (2e-4 if factor == 1e3 else 2e-6)


def test_columns_of_zeros_and_a_network_of_zeros_work() -> None:
    layers = small.network([20, 9, 4], ["relu"], seed=2)
    layers[0].weight[:, 3] = 0.0
    t = small.labels(30, 4)
    x = small.pixels("mixed", 30, 20)
    check_against_the_twin(layers, x, t, eps=1e-7, scale=1 / 255, most=2e-5)
    nothing = [layer._replace(weight=layer.weight * 0, bias=layer.bias * 0) for layer in layers]
    assert run(nothing, x, t, eps=0.0).loss == pytest.approx(np.full(30, np.log(4)), rel=1e-15)
    assert (run(nothing, x, t).predicted == 0).all()


# --- to the last bit ---


def test_float32_layers_are_fused_multiply_adds_from_the_bias_on_in_order() -> None:
    layers = small.network([45, 33, 21, 7], ["relu", "relu"], seed=12)
    x, t = small.floats(60, 45), small.labels(60, 7)
    a = x
    for weight, bias, activation in layers:
        a = naive.dense_f32(a, weight, bias)
        a = np.maximum(a, np.float32(0)) if activation == "relu" else a
    found = run(layers, x, t, eps=0.0)
    assert found.loss == pytest.approx(
        naive.cross_entropy(a.astype(np.float64), t, 0.0), rel=1e-14, abs=1e-15
    )
    assert np.array_equal(found.predicted, np.argmax(a, axis=1))


@pytest.mark.parametrize("kind", small.KINDS)
@pytest.mark.parametrize("features", [45, 64, 203])
def test_the_first_layer_for_bytes_is_an_exact_integer_sum_rounded_to_float32_once(
    kind: str, features: int
) -> None:
    layers = small.network([features, 10], [], seed=13)
    x, t = small.pixels(kind, 49, features), small.labels(49, 10)
    z = naive.bytes_layer(x, layers[0].weight, layers[0].bias, 1 / 255).astype(np.float64)
    found = run(layers, x, t, eps=0.0, scale=1 / 255)
    assert found.loss == pytest.approx(naive.cross_entropy(z, t, 0.0), rel=1e-14, abs=1e-15)
    assert np.array_equal(found.predicted, np.argmax(z, axis=1))


@settings(max_examples=60, deadline=None)
@given(
    layers=small.networks(),
    kind=st.sampled_from([*small.KINDS, "floats"]),
    n=st.sampled_from(COUNTS[1:]),
    soft=st.booleans(),
    eps=st.sampled_from(EPSILONS),
    data=st.data(),
)
def test_the_bits_of_a_row_do_not_depend_on_order_chunks_threads_or_repeats(
    layers: list[naive.Layer], kind: str, n: int, soft: bool, eps: float, data: st.DataObject
) -> None:
    features, classes = len(layers[0].weight), len(layers[-1].bias)
    seed = data.draw(st.integers(0, 2**32))
    x = small.floats(n, features) if kind == "floats" else small.pixels(kind, n, features, seed=seed)
    t = (small.soft_targets if soft else small.labels)(n, classes, seed=seed)
    whole = run(layers, x, t, eps=eps)
    rows = np.random.default_rng(seed).integers(0, n, data.draw(st.integers(1, 130)))
    chunk = data.draw(st.sampled_from([1, 7, 48, 50, 1000]))
    threads = data.draw(st.sampled_from([1, 2, 3]))
    picked = run(layers, x, t, eps=eps, rows=rows, chunk=chunk, threads=threads)
    assert picked.bits() == whole.at(rows).bits()


@pytest.mark.parametrize("dtype", ["bytes", "floats", "bytes, widely spread weights"])
def test_a_row_has_the_same_bits_at_every_place_of_a_tile_and_next_to_any_row(dtype: str) -> None:
    layers = small.network([203, 50, 21, 10], ["sigmoid", "gelu"], seed=1)
    if "spread" in dtype:
        layers[0].weight[3] *= 3000.0
    n = 145
    x = small.floats(n, 203) if dtype == "floats" else small.pixels("mixed", n, 203)
    t = small.labels(n, 10)
    alone = [run(layers, x, t, rows=np.array([i])).bits() for i in range(n)]
    for shift in range(97):
        moved = run(layers, x, t, rows=np.roll(np.arange(n), shift))
        assert [moved.at([(i + shift) % n]).bits() for i in range(n)] == alone


@pytest.mark.parametrize("dtype", ["bytes", "floats"])
@pytest.mark.parametrize("n", COUNTS)
def test_any_number_of_rows_gives_the_first_of_more_rows(n: int, dtype: str) -> None:
    layers = small.network([45, 20, 5], ["softplus"], seed=2)
    x = small.floats(200, 45) if dtype == "floats" else small.pixels("sparse", 200, 45)
    t = small.labels(200, 5)
    whole = run(layers, x, t)
    for threads in (1, 2, 3):
        assert run(layers, x, t, rows=np.arange(n), threads=threads).bits() == whole.at(slice(0, n)).bits()


@settings(max_examples=40, deadline=None)
@given(
    layers=small.networks(), eps=st.sampled_from(EPSILONS), seed=st.integers(0, 2**32), is_bytes=st.booleans()
)
def test_one_hot_targets_and_integer_labels_agree_to_the_last_bit(
    layers: list[naive.Layer], eps: float, seed: int, is_bytes: bool
) -> None:
    features, classes = len(layers[0].weight), len(layers[-1].bias)
    x = small.pixels("mixed", 50, features, seed=seed) if is_bytes else small.floats(50, features, seed=seed)
    t = small.labels(50, classes, seed=seed)
    hard, soft = run(layers, x, t, eps=eps), run(layers, x, naive.one_hot(t, classes), eps=eps)
    assert hard.bits() == soft.bits()


# --- where numbers run out ---


def test_logits_of_ten_thousand_give_finite_losses_equal_to_float64() -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (97, 6)).astype(np.float32)
    layers = [naive.Layer(np.eye(6, dtype=np.float32) * 1e4, np.zeros(6, np.float32), "identity")]
    t = small.labels(97, 6)
    z = naive.logits(layers, x)
    for eps in EPSILONS:
        found = run(layers, x, t, eps=eps).loss
        assert np.isfinite(found).all()
        assert found == pytest.approx(naive.cross_entropy(z, t, eps), rel=1e-14, abs=1e-14)
    impossible = run(layers, x, t).loss[z[np.arange(97), t] < 0]
    assert impossible[0] == pytest.approx(
        -np.log(1e-7), rel=1e-9
    )  # a probability of 0: the bound of every loss
    assert run(layers, x, t, eps=0.0).loss.max() == pytest.approx(2e4, rel=1e-4)


@pytest.mark.parametrize("soft", [False, True])
def test_losses_near_zero_keep_their_digits_when_eps_is_zero(soft: bool) -> None:
    """y = 1 - 1e-11 has a loss of 1e-11, not of 0, and with eps one of about -1e-7."""
    z = np.array([[25.3, 0.0, 0.0], [0.0, 25.3, 0.0]], np.float32)
    layers = [naive.Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), "identity")]
    t = np.array([0, 1])
    targets = naive.one_hot(t, 3) if soft else t
    exact = 2 * np.exp(-np.float64(np.float32(25.3)))
    assert run(layers, z, targets, eps=0.0).loss == pytest.approx([exact, exact], rel=1e-4)
    assert run(layers, z, targets).loss == pytest.approx(
        naive.cross_entropy(z.astype(float), t, 1e-7), rel=1e-6
    )


def test_of_equal_logits_the_first_class_is_predicted() -> None:
    layers = [naive.Layer(np.ones((2, 5), np.float32), np.array([0, 1, 1, 0, 1], np.float32), "identity")]
    found = run(layers, small.floats(20, 2), np.zeros(20, np.int64))
    assert (found.predicted == 1).all()
