"""Random networks and rows of every kind, for tests that compare with `naive`."""

from __future__ import annotations

import os
from collections.abc import Sequence

import naive
import numpy as np
from hypothesis import strategies as st

from streameval.kernels.activations import SHARED

KINDS = ("sparse", "dense", "empty", "mixed", "blocks")


def network(
    sizes: Sequence[int], activations: Sequence[str], *, seed: int = 0, gain: float = 1.0
) -> list[naive.Layer]:
    """Layers of normal weights with standard deviation gain / sqrt(inputs); the last one is "identity"."""
    rng = np.random.default_rng(seed)
    return [
        naive.Layer(
            (rng.normal(size=(inputs, outputs)) * gain / np.sqrt(inputs)).astype(np.float32),
            (rng.normal(size=outputs) * 0.5 * gain).astype(np.float32),
            activation,
        )
        for inputs, outputs, activation in zip(sizes, sizes[1:], [*activations, "identity"], strict=False)
    ]


def pixels(kind: str, n: int, features: int, *, seed: int = 0) -> np.ndarray:
    """(n, features) uint8: a fifth not zero, none zero, all zero, each row another kind, or long runs."""
    rng = np.random.default_rng(seed)
    full = rng.integers(1, 256, (n, features), dtype=np.uint8)
    sparse = full * (rng.random((n, features)) < 0.2)
    runs = np.repeat(rng.random((n, -(-features // 37))) < 0.3, 37, axis=1)[:, :features]
    if kind == "mixed":
        which = rng.integers(0, 4, n)[:, None]
        return np.choose(which, [sparse, full, full * runs, full * 0]).astype(np.uint8)
    return {"sparse": sparse, "dense": full, "empty": full * 0, "blocks": full * runs}[kind].astype(np.uint8)


def floats(n: int, features: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, features)).astype(np.float32)


def labels(n: int, classes: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 1).integers(0, classes, n)


def soft_targets(n: int, classes: int, *, seed: int = 0) -> np.ndarray:
    """(n, classes) float64 rows that sum to 1, some entries zero."""
    rng = np.random.default_rng(seed + 2)
    t = rng.random((n, classes)) * (rng.random((n, classes)) < 0.7)
    t[np.arange(n), rng.integers(0, classes, n)] += 0.1
    return t / t.sum(axis=1, keepdims=True)


@st.composite
def networks(draw: st.DrawFn, *, most_features: int = 200) -> list[naive.Layer]:
    """One to four layers of ragged widths, any activations, weights small to large.

    Activations that the usual kernel lacks stand alone: each mixture of them is a kernel of its own, compiled in
    seconds. STREAMEVAL_TESTS_THOROUGH=1 mixes all.
    """
    features = draw(st.one_of(st.integers(1, 70), st.integers(1, most_features)))
    hidden = draw(st.lists(st.integers(1, 70), max_size=3))
    names = sorted(naive.ACTIVATIONS)
    if not os.environ.get("STREAMEVAL_TESTS_THOROUGH"):
        alone = draw(st.sampled_from([None, *(name for name in names if name not in SHARED)]))
        names = [name for name in names if name in SHARED] if alone is None else [alone]
    activations = draw(st.lists(st.sampled_from(names), min_size=len(hidden), max_size=len(hidden)))
    classes = draw(st.integers(1, 70))
    gain = draw(st.sampled_from([0.3, 1.0, 1.0, 3.0]))
    return network([features, *hidden, classes], activations, seed=draw(st.integers(0, 2**32)), gain=gain)
