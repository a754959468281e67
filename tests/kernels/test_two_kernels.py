"""Kernels that two processes compiled, and a third takes from the disk together, stay what they are."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command_line import ROOT

PROGRAM = """
import sys
import numpy as np
import streameval as se

random = np.random.default_rng(0)
x, t = random.integers(0, 256, (300, 784), dtype=np.uint8), random.integers(0, 10, 300)
numbers = lambda *shape: random.normal(size=shape).astype(np.float32)
models = {
    "dense": lambda: se.Mlp([se.Layer(numbers(784, 10), numbers(10), "identity")]),
    "images": lambda: se.Network(
        [
            se.Conv2d(numbers(6, 1, 5, 5), numbers(6), padding=2, activation="tanh"),
            se.AvgPool2d(2),
            se.Layer(numbers(1176, 10), numbers(10), "identity"),
        ],
        shape=(1, 28, 28),
    ),
}
for name in sys.argv[1:]:
    random = np.random.default_rng(1)
    print(name, se.evaluate(models[name](), (x, t)).digest)
"""


def digests(folder, *names: str) -> set[str]:
    """What a process of its own prints. A crash is an error with its output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        cwd=ROOT, env=os.environ | {"STREAMEVAL_CACHE_DIR": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.slow
def test_kernels_of_two_processes_work_in_a_third_one(tmp_path):
    apart = digests(tmp_path, "dense") | digests(tmp_path, "images")

    assert len(apart) == 2
    assert digests(tmp_path, "dense", "images") == apart
    assert digests(tmp_path, "images", "dense") == apart
