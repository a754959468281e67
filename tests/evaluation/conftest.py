"""What the tests of evaluations share: a small random network, and drawn rows in a file."""

from __future__ import annotations

import naive
import pytest
import small_networks as small

import streameval as se


@pytest.fixture(scope="session")
def layers() -> list[naive.Layer]:
    """A network that is far from undecided, 99-20-7, for the plain formulas."""
    return small.network([99, 20, 7], ["sigmoid"], seed=21, gain=3.0)


@pytest.fixture(scope="session")
def model(layers: list[naive.Layer]) -> se.Mlp:
    """The same network."""
    return se.Mlp([se.Layer(*layer) for layer in layers])
