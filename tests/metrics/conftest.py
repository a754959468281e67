"""What the tests of metrics share."""

from __future__ import annotations

import numpy as np
import pytest

ROWS, CLASSES = 203, 7


@pytest.fixture(scope="session")
def logits() -> np.ndarray:
    """Logits of 203 rows, some of them large."""
    random = np.random.default_rng(3)
    return (random.normal(size=(ROWS, CLASSES)) * random.choice([1.0, 8.0, 40.0], (ROWS, 1))).astype(
        np.float32
    )


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    """Their true classes."""
    return np.random.default_rng(4).integers(0, CLASSES, ROWS)
