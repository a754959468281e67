"""Networks on images through the kernels: near float64, and the same bits however rows are cut."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import small_images
import small_networks as small
from running_kernels import run

import streameval as se
from streameval.errors import ModelError
from streameval.kernels.packing import pack
from streameval.layers import fusing


def rows(network: se.Network, kind: str, n: int) -> tuple[np.ndarray, float]:
    if kind == "floats":
        return small.floats(n, network.features), 0.5
    return small.pixels(kind, n, network.features), 1 / 255


@pytest.mark.parametrize("kind", ["mixed", "floats"])
def test_any_network_on_images_is_near_float64_and_its_rows_do_not_see_each_other(kind: str) -> None:
    """Windows, strides, borders, groups, channels and sizes by chance; NaN and infinity are tested below."""
    for seed in small_images.SEEDS:
        network = small_images.network(seed)
        x, scale = rows(network, kind, 75)
        t = small.labels(75, network.outputs)
        found = run([*network.packable], x, t, eps=0.0, scale=scale, shape=network.shape)
        exact = se.CrossEntropy(0.0).reference(network.reference(x * np.float64(scale)), t)
        assert np.abs(found.loss - exact).max() < 2e-5, seed
        rng = np.random.default_rng(seed)
        picked = rng.integers(0, 75, 70)
        cut = run(
            [*network.packable], x, t, eps=0.0, scale=scale, shape=network.shape, rows=picked,
            chunk=int(rng.choice([1, 7, 33, 64])), threads=int(rng.integers(1, 4)),
        )  # fmt: skip
        assert cut.bits() == found.at(picked).bits(), seed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_a_loss_of_nan_and_others_are_as_before(value: float) -> None:
    network = small_images.network(2)
    x, scale = rows(network, "floats", 40)
    t = small.labels(40, network.outputs)
    before = run([*network.packable], x, t, scale=scale, shape=network.shape)
    for place in (0, 17, network.features - 1):
        spoilt = x.copy()
        spoilt[7, place] = value
        found = run([*network.packable], spoilt, t, scale=scale, shape=network.shape)
        assert np.flatnonzero(np.isnan(found.loss)).tolist() == [7]
        others = np.delete(np.arange(40), 7)
        assert found.at(others).bits() == before.at(others).bits()


def test_merged_layers_give_what_the_layers_give() -> None:
    """Batch normalizations and activations go into the convolution before them, a dropout of one half into weights."""
    rng = np.random.default_rng(1)
    layers = [
        small_images.conv(rng, 6, 2, (3, 3)),
        se.BatchNorm(small_images.normal(rng, 6), small_images.normal(rng, 6)),
        se.Activation("relu"),
        se.Dropout(),
        se.Flatten(),
        se.Dense(small_images.normal(rng, 54, 4, inputs=54), small_images.normal(rng, 4), "relu"),
        se.Dropout(0.5),
        se.Dense(small_images.normal(rng, 4, 3), small_images.normal(rng, 3), "identity"),
        se.Dropout(0.7),
    ]
    network = se.Network(layers, shape=(2, 5, 5))
    merged = se.Network(fusing.merged(layers), shape=network.shape)
    assert [layer.kind for layer in merged.layers] == ["conv2d", "flatten", "dense", "dense", "dropout"]
    x = small.floats(9, 50).astype(np.float64)
    assert merged.reference(x) == pytest.approx(network.reference(x), abs=2e-6)
    assert merged.sha256 != network.sha256


def test_a_network_on_images_has_the_operations_that_it_uses_and_no_others() -> None:
    network = small_images.network(0)
    names = [
        one.name for one in pack(network.packable, dtype=np.uint8, scale=1.0, shape=network.shape).operations
    ]
    assert "load_bytes" in names
    assert "dense_bytes" not in names
    assert "activate" not in names
    assert "activate_tanh" in names
    flat = se.Network([se.Dense(np.ones((4, 2)), np.zeros(2), "tanh")])
    assert "conv" not in [one.name for one in pack(flat.packable, dtype=np.uint8, scale=1.0).operations]


def test_one_kernel_computes_all_the_random_networks() -> None:
    found = set()
    for seed in small_images.SEEDS:
        network = small_images.network(seed)
        found.add(pack(network.packable, dtype=np.uint8, scale=1.0, shape=network.shape).operations)
    (operations,) = found
    assert {"conv", "winograd", "winograd_pool", "max_pool"} <= {one.name for one in operations}


@pytest.mark.parametrize("way", ["winograd", "winograd_pool", "conv_pool"])
def test_each_way_to_convolve_gives_what_sums_of_float64_give(way: str) -> None:
    """Channels, borders and sizes at all kinds of ends."""
    pooled, size = way.endswith("pool"), (5, 2) if way == "conv_pool" else (3, 3)
    for seed, (h, w, border) in enumerate([(4, 4, 1), (9, 6, 0), (13, 17, 2), (8, 8, 1)]):
        rng = np.random.default_rng(seed)
        conv = small_images.conv(rng, 13 + seed, 11, size, padding=border, activation="relu")
        layers = [conv, *([se.MaxPool2d(2)] if pooled else []), se.GlobalAvgPool2d()]
        network = se.Network(layers, shape=(11, h, w))
        names = [
            one.name
            for one in pack(network.packable, dtype=np.float32, scale=1.0, shape=(11, h, w)).operations
        ]
        assert way in names
        x = small.floats(40, network.features, seed=seed)
        t = small.labels(40, network.outputs)
        exact = naive.relu(
            naive.conv2d(x.reshape(-1, 11, h, w), conv.weight, conv.bias, padding=(border,) * 4)
        )
        if pooled:
            exact = naive.max_pool2d(exact, (2, 2), (2, 2))
        found = run([*network.packable], x, t, eps=0.0, shape=network.shape)
        assert np.abs(found.loss - naive.cross_entropy(exact.mean(axis=(2, 3)), t, 0.0)).max() < 3e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_weight_without_a_meaning_stays_with_its_own_output(value: float) -> None:
    """Winograd's way would spread it: such a convolution is computed by sums in order."""
    conv = small_images.conv(np.random.default_rng(0), 16, 16, (3, 3), padding=1)
    weight = conv.weight.copy()
    ways = []
    for one in (weight[0, 0, 0, 0], value):
        weight[0, 0, 0, 0] = one
        network = se.Network([se.Conv2d(weight, padding=1)], shape=(16, 8, 8), allow_nonfinite=True)
        packed = pack(network.packable, dtype=np.uint8, scale=1.0, shape=network.shape)
        ways.append({one.name for one in packed.operations} & {"conv", "winograd"})
    assert ways == [{"winograd"}, {"conv"}]


def test_a_network_that_takes_a_gibibyte_a_thread_is_refused() -> None:
    network = se.Network([se.Conv2d(np.ones((64, 3, 3, 3)), padding=1)], shape=(3, 512, 512))
    with pytest.raises(ModelError, match=r"the values of 32 rows .* take 2,1.. MiB for each thread"):
        pack(network.packable, dtype=np.uint8, scale=1.0, shape=network.shape)


def test_the_transforms_are_those_of_the_formula() -> None:
    """Exact: with small whole numbers on both sides no product is rounded in float64."""
    from streameval.kernels.winograd import POINTS, transformed_filters

    rng = np.random.default_rng(0)
    g = rng.integers(-8, 9, (3, 2, 3, 3)).astype(np.float32)
    found = transformed_filters(g)
    assert found.shape == (6, 6, 3, 2)
    # A filter is a polynomial in each direction: at infinity its last coefficients remain, at 0 its first.
    zero = np.prod([-q for q in POINTS if q != 0])
    assert np.array_equal(found[5, 5], g[:, :, 2, 2].astype(float))
    assert found[0, 0] == pytest.approx(g[:, :, 0, 0].astype(float) / zero**2)


def test_the_library_evaluates_such_a_network() -> None:
    network = small_images.network(0)
    x, _ = rows(network, "mixed", 75)
    t = small.labels(75, network.outputs)
    exact = se.CrossEntropy().reference(network.reference(x / 255.0), t)
    report = se.evaluate(network, (x, t))
    assert report.loss == pytest.approx(exact.mean(), abs=2e-6)
    assert report.digest == se.evaluate(network, (x, t), threads=2, chunk_rows=7).digest
