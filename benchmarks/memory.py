"""How much anonymous memory an evaluation takes over what its imports take, seen from outside the process.

Knows /proc/PID/status. Does not know why the memory is used.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.files import Files
from benchmarks.racing import say
from benchmarks.shell import STREAMEVAL

# The modules that `streameval evaluate` has loaded when it ends, imported and nothing done with them.
IMPORTS = (
    "import sys, click, numba, numpy, streameval.cli.commands, streameval.cli.evaluate, streameval.kernels.running, "
    "streameval.kernels.folding, streameval.evaluation.evaluate, streameval.models.loading, streameval.storage, "
    "streameval.reports.text, streameval.reports.json, streameval.reports.progress"
)
# Told on stdout when the imports are done, so that the last look is at a living process.
ONLY_IMPORTS = f"{IMPORTS}\nprint(flush=True)\nsys.stdin.read()"
PERIOD = 0.002


def memory(files: Files, *, sizes: Sequence[int]) -> dict[str, Any]:
    """Peaks of `streameval evaluate` for each number of drawn rows, beside a process that only imported."""
    imports = _imports()
    one_row = _one_row(files)
    lines = []
    for rows in sizes:
        path = files.drawn(rows)
        say(f"memory: {rows:,} rows")
        _evaluate(files, path)
        peak, report = _evaluate(files, path)
        if report["rows"] != rows:
            raise AssertionError(
                f"{report['rows']} rows were evaluated, expected {rows}: the peaks mean nothing."
            )
        resources = report["resources"]
        lines.append(
            {
                "rows": rows,
                "file_bytes": path.stat().st_size,
                "outside": peak["RssAnon"],
                "reported": resources["peak_anon_bytes"],
                "file_pages": peak["RssFile"],
                "over_imports": max(peak["RssAnon"], resources["peak_anon_bytes"]) - imports,
            }
        )
    return {
        "name": "memory",
        "kind": "memory",
        "title": "anonymous memory of `streameval evaluate`, 784-50-100-10, drawn digits",
        "imports": imports,
        "one_row": one_row,
        "lines": lines,
        "notes": [],
    }


def _imports() -> int:
    """Anonymous bytes of a process that imported what an evaluation imports, and did nothing."""
    with subprocess.Popen(
        (sys.executable, "-c", ONLY_IMPORTS), cwd=data.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = _status(child.pid)["RssAnon"]
        child.communicate()
    return found


def _one_row(files: Files) -> int:
    """The same for an evaluation of one row: imports, compiled kernels, threads."""
    folder = files.folder / "one-row"
    folder.mkdir(exist_ok=True)
    np.save(folder / "images.npy", np.zeros((1, 28, 28), np.uint8))
    np.save(folder / "labels.npy", np.zeros(1, np.int64))
    _evaluate(files, folder)  # compiling takes memory of its own
    peak, _ = _evaluate(files, folder)
    return peak["RssAnon"]


def _evaluate(files: Files, path: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """Peaks seen while `streameval evaluate` runs, and what it reported."""
    command = (*STREAMEVAL, "evaluate", str(files.model), str(path), "--json")
    with subprocess.Popen(command, cwd=data.ROOT, stdout=subprocess.PIPE, env=dict(os.environ)) as child:
        peak = {"RssAnon": 0, "RssFile": 0}
        while child.poll() is None:
            found = _status(child.pid)
            peak = {name: max(size, found.get(name, 0)) for name, size in peak.items()}
            time.sleep(PERIOD)
        assert child.stdout is not None
        printed = child.stdout.read()
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return peak, json.loads(printed)


def _status(pid: int) -> dict[str, int]:
    """Sizes in bytes by their names in /proc/PID/status; empty when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: 1024 * int(value.split()[0]) for name, value in pairs}
