"""What several test files share: the real data, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder of the real MNIST files and the article's network, or a skip that says why."""
    places = [os.environ.get("STREAMEVAL_MNIST"), ROOT.parent / "shared" / "data"]
    for place in places:
        if place and (Path(place) / "train-images-idx3-ubyte.gz").is_file():
            return Path(place)
    pytest.skip("real MNIST is not at hand: set STREAMEVAL_MNIST to a folder that holds train-images-idx3-ubyte.gz")
