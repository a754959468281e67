"""Whole processes from the shell to the number: warm, the very first one, and imports alone.

Knows command lines. Does not know what they run.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import data
from benchmarks.files import Files
from benchmarks.racing import say
from benchmarks.timing import Line
from benchmarks.workloads import OURS

# What the installed command `streameval` runs.
STREAMEVAL = (sys.executable, "-c", "from streameval.cli import process; process()")
SCRIPTS = data.ROOT / "benchmarks" / "scripts"
# Who: the module whose import is timed.
IMPORTS = {
    "import streameval": "streameval",
    "import numpy": "numpy",
    "import pyarrow": "pyarrow",
    "import numba": "numba",
    "import onnxruntime": "onnxruntime",
    "import sklearn": "sklearn",
    "import jax": "jax",
    "import torch": "torch",
}
# Who: a script in `scripts/`, named after what it needs.
PEERS = {"ONNX Runtime": "onnxruntime", "PyTorch": "torch", "NumPy": "numpy"}
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Command:
    """A process to time. eps: the formula of the loss it prints; None: it prints none."""

    who: str
    arguments: tuple[str, ...]
    eps: float | None = None


def warm(files: Files, *, rounds: int) -> dict[str, Any]:
    """From the shell to the number, everything compiled and cached before."""
    rows = files.rows
    evaluate = Command(
        OURS, (*STREAMEVAL, "evaluate", str(files.model), str(files.arrow), "--json"), data.EPS
    )
    commands = [evaluate]
    for who, module in PEERS.items():
        script = (sys.executable, str(SCRIPTS / f"with_{module}.py"), str(files.for_peers))
        commands.append(Command(who, script, data.EPS if module == "numpy" else 0.0))
    commands.append(Command("Python alone", (sys.executable, "-c", "pass")))
    commands += [Command(who, (sys.executable, "-c", f"import {module}")) for who, module in IMPORTS.items()]
    lines, notes = _interleaved(commands, _exact(rows), rows=rows, rounds=rounds)
    notes.append(
        "streameval reads an Arrow file and the weights as they came; the peers .npy files and .npz or .onnx."
    )
    return _result(
        "process",
        f"whole process from the shell, {rows:,} uint8 rows, 784-50-100-10, warm cache",
        rows,
        lines,
        notes,
    )


def first(files: Files, *, rounds: int) -> dict[str, Any]:
    """The first run ever: an empty cache folder, all kernels compiled on the way."""
    say("first-run: compiling")
    exact = _exact(files.rows)
    seconds, loss, right = [], math.nan, True
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as empty:
            command = Command(
                OURS,
                (*STREAMEVAL, "evaluate", str(files.model), str(files.arrow), "--json"),
                data.EPS,
            )
            took, loss = _time(command, {"STREAMEVAL_CACHE_DIR": empty})
            right = right and _right(loss, exact[data.EPS])
            seconds.append(took)
    line = Line(OURS, "", files.rows, statistics.median(seconds), min(seconds), loss, exact[data.EPS], right)
    return _result(
        "first-run",
        f"first run ever: `streameval evaluate` on {files.rows:,} rows, empty cache folder, compilation included",
        files.rows,
        [line],
        [],
    )


def _interleaved(
    commands: Sequence[Command], exact: dict[float, float], *, rows: int, rounds: int
) -> tuple[list[Line], list[str]]:
    able, notes = [], []
    for command in commands:
        say(f"process: {command.who}, once untimed")
        try:
            _time(command, {})
            able.append(command)
        except subprocess.CalledProcessError as error:
            if command.who == OURS:
                raise
            notes.append(f"{command.who}: not measured: {_last_line(error.stderr)}.")
    say(f"process: {rounds} rounds")
    seconds: dict[str, list[float]] = {command.who: [] for command in able}
    losses: dict[str, list[float]] = {command.who: [] for command in able}
    for turn in range(rounds):
        for place in range(len(able)):
            command = able[(place + turn) % len(able)]
            took, loss = _time(command, {})
            seconds[command.who].append(took)
            losses[command.who].append(loss)
    lines = []
    for command in able:
        times = statistics.median(seconds[command.who]), min(seconds[command.who])
        if command.eps is None:
            lines.append(Line(command.who, "", rows, *times))
            continue
        aim, found = exact[command.eps], losses[command.who]
        right = all(_right(loss, aim) for loss in found)
        lines.append(Line(command.who, "", rows, *times, found[-1], aim, right))
    return lines, notes


def _time(command: Command, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds from the start of the process to its end, and the loss it printed, NaN if it prints none."""
    # Python keeps the bytecode of what it imports, unless it was told not to: an installed package has it.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    done = subprocess.run(
        command.arguments, cwd=data.ROOT, env={**kept, **environment}, capture_output=True, check=True
    )
    took = time.perf_counter() - start
    if command.eps is None:
        return took, math.nan
    printed = json.loads(done.stdout)
    return took, float(printed["loss"] if isinstance(printed, dict) else printed)


def _exact(rows: int) -> dict[float, float]:
    x, t = data.pixels(rows)
    losses = data.exact_losses(data.seed_network(), (784,), x, t, 1.0 / 255.0)
    return {eps: float(values.mean()) for eps, values in losses.items()}


def _right(loss: float, exact: float) -> bool:
    return abs(loss - exact) <= TOLERANCE * exact


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it failed without a word"


def _result(name: str, title: str, rows: int, lines: list[Line], notes: list[str]) -> dict[str, Any]:
    shown = [dataclasses.asdict(line) for line in lines]
    return {"name": name, "kind": "race", "title": title, "rows": rows, "lines": shown, "notes": notes}
