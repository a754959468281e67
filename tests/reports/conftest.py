"""Pages of every kind, made once."""

from __future__ import annotations

import pytest
from mnist_file import nudged

import streameval as se
from streameval.reports import pages


@pytest.fixture(scope="session")
def made(network_file, digits_file):
    """A page of each kind."""
    model = se.load_model(network_file)
    other, third = nudged(model, 0.02), nudged(model, 0.05)
    return {
        "comparison": pages.comparison(se.compare(model, digits_file, trials=50)),
        "report": pages.report(se.evaluate(model, digits_file)),
        "until": pages.until(se.evaluate_until(model, digits_file, half_width=0.1)),
        "paired": pages.paired(se.paired([model, other, third], digits_file)),
        "sequential": pages.paired(se.paired([model, other], digits_file, half_width=0.1)),
    }
