"""Every command and every exit code: a process of its own and a call in this process say the same."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import in_process, result, streameval
from small_files import idx_pair

from streameval.cli.commands import COMMANDS
from streameval.files import lock

# What differs from one run to the next: costs, the hash of a report, which is over them too, what is free on this
# machine, and the demo's folder.
COSTS = re.compile("resources|.*seconds.*|sha256|cache|free|available|path")


@pytest.fixture(scope="module")
def made(digits_file: Path, network_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what the calls are about."""
    folder = tmp_path_factory.mktemp("made") / "files"
    folder.mkdir()
    idx_pair(folder, 20)
    shutil.copy(digits_file, folder / "data.arrow")
    np.savez(folder / "small.npz", W1=np.zeros((3, 10), np.float32), b1=np.zeros(10, np.float32))
    for index in range(2):
        state = folder / f"{index}"
        result("evaluate", network_file, digits_file, "--shard", f"{index}/2", "--state", state)
    report = result("evaluate", network_file, digits_file)
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "other.json").write_text(json.dumps(report).replace(report["digest"], "0" * 64))
    return folder


@pytest.fixture
def files(made: Path, network_file: Path, tmp_path: Path) -> dict[str, Any]:
    """A copy of them for each call, by name."""
    here = shutil.copytree(made, tmp_path / "files")
    return {"images": here / "images", "labels": here / "labels", "model": network_file, "here": here}


CALLS = {
    "demo": ("demo --rows 200 --json", 0),
    "fetch": ("fetch mnist {here}/mnist --from {here}/nowhere", 5),
    "convert": ("convert {images} {labels} {here}/c.arrow --json", 0),
    "digits": ("digits {here}/d.arrow --rows 5 --json", 0),
    "info": ("info {here}/data.arrow", 0),
    "evaluate": ("evaluate {model} {here}/data.arrow --json", 0),
    "minibatch": ("minibatch {model} {here}/data.arrow --seed 1 --json", 0),
    "compare": ("compare {model} {here}/data.arrow --trials 5 --json", 0),
    "until": ("until {model} {here}/data.arrow --half-width 0.1 --json", 0),
    "paired": ("paired {model} {model} {here}/data.arrow --json", 0),
    "calibration": ("calibration {model} {here}/data.arrow --json", 0),
    "perplexity": ("perplexity {here}/data.arrow --loss-column label --weight-column label --json", 0),
    "merge": ("merge {here}/0 {here}/1 --json", 0),
    "verify": ("verify {here}/report.json {model} {here}/data.arrow --json", 0),
    "warmup": ("warmup --json", 0),
    "doctor": ("doctor --json", 0),
    "completion": ("completion fish", 0),
    "usage": ("evaluate --nonsense", 2),
    "bad data": ("evaluate {model} {model}", 3),
    "bad model": ("evaluate {here}/small.npz {here}/data.arrow", 4),
    "a missing file": ("info {here}/nothing", 5),
    "a check that does not hold": ("verify {here}/other.json {model} {here}/data.arrow", 6),
    "incomplete": ("merge {here}/1", 7),
    "locked": ("evaluate {model} {here}/data.arrow --checkpoint {here}/kept", 8),
}


def without_costs(value: Any) -> Any:
    """A report without its costs, at any depth."""
    if isinstance(value, dict):
        return {name: without_costs(one) for name, one in value.items() if not COSTS.fullmatch(name)}
    return [without_costs(one) for one in value] if isinstance(value, list) else value


def test_the_table_has_every_command_and_every_code_but_those_of_signals() -> None:
    assert set(COMMANDS) <= set(CALLS)
    assert {code for _, code in CALLS.values()} == {0, 2, 3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("name", CALLS)
def test_a_process_and_a_call_in_this_process_say_the_same(name: str, files: dict[str, Any]) -> None:
    call, code = CALLS[name]
    arguments = [word.format(**files) for word in call.split()]
    with lock(files["here"] / "kept") if code == 8 else warnings.catch_warnings():
        own, here = streameval(*arguments), in_process(*arguments)
    assert (own.returncode, here.returncode) == (code, code), own.stderr
    assert own.stderr == here.stderr
    if "--json" in arguments:
        assert without_costs(json.loads(own.stdout)) == without_costs(json.loads(here.stdout))
    else:
        assert own.stdout == here.stdout
    assert (own.stdout == "") == (code != 0) == (own.stderr != "")


@contextmanager
def handled_by(number: int) -> Iterator[ctypes.CDLL]:
    """Let the machine code at an address that is its own handle SIGBUS for a while."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    before = libc.signal(signal.SIGBUS, number)
    try:
        yield libc
    finally:
        libc.signal(signal.SIGBUS, before)


def test_this_process_is_afterwards_as_it_was(files: dict[str, Any]) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    filters, show, variables = list(warnings.filters), warnings.showwarning, dict(os.environ)
    ignored = 1  # SIG_IGN
    with handled_by(ignored) as libc:
        done = in_process(
            "evaluate", files["model"], files["here"] / "data.arrow", env={"STREAMEVAL_EPS": "0"}
        )
        assert libc.signal(signal.SIGBUS, ignored) == ignored
    assert done.returncode == 0
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert (list(warnings.filters), warnings.showwarning, dict(os.environ)) == (filters, show, variables)
