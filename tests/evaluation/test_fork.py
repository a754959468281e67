"""Processes that are forked from one that has computed, and from one that has not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streameval as se

FORK = """
import multiprocessing, sys, warnings
import numpy as np, streameval as se
from streameval.errors import KernelError

warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
model = se.Mlp([se.Layer(np.ones((4, 3)), np.zeros(3), "identity")])
data = np.ones((100, 4), np.uint8), np.zeros(100, np.int64)

def child(queue):
    try:
        queue.put(se.evaluate(model, data).loss)
    except KernelError as error:
        queue.put(str(error))

def in_a_fork():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,), daemon=True)
    process.start()
    answer = queue.get(timeout=90)
    process.join()
    return answer

if sys.argv[1] == "after":
    se.evaluate(model, data)
print(in_a_fork())
print(se.evaluate(model, data).loss)
"""


def fork(when: str) -> tuple[str, float]:
    path = str(Path(se.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", FORK, when],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    child, parent = done.stdout.splitlines()
    return child, float(parent)


def test_a_fork_of_a_process_that_computed_is_told_what_to_do() -> None:
    child, parent = fork("after")
    assert "forked from one that had already computed" in child
    assert 'multiprocessing.get_context("spawn")' in child
    assert parent == pytest.approx(np.log(3), abs=1e-6)


def test_a_fork_of_a_process_that_has_not_computed_yet_may_compute() -> None:
    child, parent = fork("before")
    assert float(child) == parent == pytest.approx(np.log(3), abs=1e-6)
