"""Real MNIST in every form that a data set can have: one digest, through the command line as a user calls it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import in_process
from data_files import FORMS

from streameval import storage

ROWS = 2_000


@pytest.fixture(scope="module")
def rows(mnist_dir):
    """The first test rows, in the order of a folder for each class."""
    pair = tuple(mnist_dir / f"t10k-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1"))
    chunk = storage.open(pair).take(np.arange(ROWS))
    order = np.argsort(chunk.t, kind="stable")
    return chunk.x.reshape(-1, 28, 28)[order], chunk.t[order]


def evaluated(mnist_dir, path, options):
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = in_process("evaluate", mnist_dir / "sample_weight.pkl", path, *given, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected(mnist_dir, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("mnist") / "test.arrow"
    storage.create(path, [rows], rows=ROWS, shape=(28, 28), dtype="uint8", classes=10)
    return evaluated(mnist_dir, path, {})


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_real_mnist_gives_one_digest_in_every_form(form, mnist_dir, rows, expected, tmp_path):
    found = evaluated(mnist_dir, form.written(tmp_path, *rows), form.options)
    assert (found["digest"], found["loss"], found["rows"]) == (expected["digest"], expected["loss"], ROWS)
