"""What the tests of hostile weight files share: small weights, files of any bytes, mutations, a watch on memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from streameval.errors import ModelError
from streameval.models import Layer, Mlp, load

quiet = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def weights() -> dict[str, np.ndarray]:
    return {"W1": numbers(4, 3), "b1": numbers(3), "W2": numbers(3, 2), "b2": numbers(2)}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def allocated(action: Callable[[], object]) -> int:
    """The most memory, in bytes, that Python held at once because of `action`."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError):
            action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def small_model(middle: str = "tanh") -> Mlp:
    w = weights()
    return Mlp([Layer(w["W1"], w["b1"], middle), Layer(w["W2"], w["b2"], "identity")])


def mutations(size: int) -> st.SearchStrategy[list[tuple[int, bytes, int]]]:
    """Some places in a file, what to put there, and how many bytes it takes the place of."""
    return st.lists(
        st.tuples(st.integers(0, size), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=6
    )


def mutated(content: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for place, bytes_, taken in changes:
        content = content[:place] + bytes_ + content[place + taken :]
    return content


def model_or_model_error(path: Path) -> None:
    """Any other exception goes through and fails the test; so does a message that a terminal would obey."""
    said, model = str(path), None
    try:
        model = load(path)
    except ModelError as error:
        said = str(error)
    assert str(path) in said
    assert said.isprintable()
    assert model is None or all(np.isfinite(layer.weight).all() for layer in model.layers)
