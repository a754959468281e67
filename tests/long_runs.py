"""What the tests of long runs share: a small network, drawn rows in a file, commands that are killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

import streameval as se
from streameval.storage.writing import create

ROOT = Path(__file__).resolve().parent.parent
FEATURES, CLASSES = 16, 4


def network(seed: int = 0) -> se.Mlp:
    """16-8-4, sigmoid."""
    draw = np.random.default_rng(seed)
    one = se.Layer(draw.normal(size=(FEATURES, 8)).astype("f4"), draw.normal(size=8).astype("f4"), "sigmoid")
    two = se.Layer(
        draw.normal(size=(8, CLASSES)).astype("f4"), draw.normal(size=CLASSES).astype("f4"), "identity"
    )
    return se.Mlp([one, two])


def drawn(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Random pixels (rows, 4, 4) uint8 and labels (rows,) int64."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (rows, 4, 4), dtype=np.uint8), draw.integers(0, CLASSES, rows)


def write(path: Path, rows: int, seed: int = 0) -> Path:
    """An Arrow file of drawn rows."""
    x, t = drawn(rows, seed)
    return create(path, [(x, t)], rows=rows, shape=(4, 4), dtype=np.uint8, classes=CLASSES)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in another process, `arguments` in sys.argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, *arguments: object, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """As `start`, to the end."""
    process = start(code, *arguments)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
