"""Some damaged inputs of each reader, always the same ones; and the fuzzers find what they are there to find."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from command_line import needs_proc

from streameval.errors import DataError
from streameval.models.formats import FORMATS
from tests.fuzz import cases, processes
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Case, Target
from tests.fuzz.targets import onnx

# Inputs of each reader: about two seconds, or less.
INPUTS = 150
SEED = 11


def result(running: Iterator[tuple[int, cases.Outcome]]) -> cases.Outcome:
    """What has come of all inputs."""
    return list(running)[-1][1]


def test_every_weight_format_is_fuzzed():
    assert set(FORMATS) <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_every_damaged_input_is_refused_or_read_as_others_read_it(name, tmp_path):
    outcome = result(cases.run(name, TARGETS[name], SEED, iter(range(INPUTS)), tmp_path))

    assert outcome.failures == []
    assert outcome.counts.total() == INPUTS
    assert outcome.counts["refused"] > INPUTS // 10  # the inputs are damaged where it matters
    assert outcome.counts["agreed"] >= INPUTS // 20  # whole ones are read, and the oracle reads them too


def _read(folder: Path, _: Random) -> bytes:
    """A reader with one fault of each kind."""
    content = (folder / "file").read_bytes()
    if content == b"refused":
        raise DataError("no")
    if content == b"traceback":
        raise KeyError("field")
    if content == b"hang":
        time.sleep(60)
    while content == b"busy":
        pass
    if content == b"memory":
        try:
            raise MemoryError
        except MemoryError:
            raise DataError("no memory") from None
    if content == b"long":
        raise DataError("x" * 10_000)
    if content == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    return b"wrong" if content == b"differs" else content


FAULTS = ("traceback", "hang", "memory", "long", "differs", "busy")


def faulty(*contents: str) -> Target:
    """A target whose inputs are `contents`, one after another, behind a whole one."""
    order = itertools.cycle(contents)

    def mutate(_: Random, __: Case) -> Case:
        return {"file": next(order).encode()}

    return Target(
        lambda: [{"file": b"whole"}],
        mutate,
        _read,
        (DataError,),
        lambda folder: (folder / "file").read_bytes(),
    )


def test_each_kind_of_fault_is_found_named_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "SECONDS", 1)
    monkeypatch.setattr(cases, "STANDING", 4)
    target = faulty("refused", *FAULTS)
    outcome = result(cases.run("faulty", target, 0, iter(range(8)), tmp_path / "s", tmp_path / "kept"))

    kinds = [failure.kind for failure in outcome.failures]
    assert kinds == ["exception", "hang", "memory", "message", "differs", "hang"]
    assert outcome.counts == {"agreed": 1, "refused": 3, "exception": 1, "hang": 2, "differs": 1}
    assert (tmp_path / "kept" / "faulty-0-2-exception" / "file").read_bytes() == b"traceback"
    assert "KeyError" in (tmp_path / "kept" / "faulty-0-2-exception" / "what.txt").read_text()


def test_a_whole_input_that_is_refused_is_a_failure(tmp_path):
    target = faulty("refused")
    broken = Target(lambda: [{"file": b"refused"}], target.mutate, _read, (DataError,))
    outcome = result(cases.run("faulty", broken, 0, iter([0]), tmp_path))
    assert [failure.text for failure in outcome.failures] == ["a whole seed was refused"]


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Identity"])
def test_a_logit_that_is_off_by_a_thousandth_is_another_result(last):
    """Probabilities of 0.2 to 0.5 move by less than that: the oracle of ONNX graphs bounds their odds."""
    logits = np.array([[0.5, 0.1, -0.3], [90.0, 2.0, 1.0]])
    below = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    given = {"Softmax": np.exp(below), "LogSoftmax": below, "Identity": logits}[last]
    expected = given.astype(np.float32).astype(np.float64)

    assert onnx.close(logits, expected, last)
    assert onnx.close(1e30 * logits, np.eye(3)[[0, 0]], "Softmax")
    assert not onnx.close(1e30 * logits, np.eye(3)[[0, 1]], "Softmax")
    assert not onnx.close(logits[:1] + np.array([0.0, 1e-3, 0.0]), expected[:1], last)
    assert not onnx.close(logits[:1] * np.nan, expected[:1], last)


@needs_proc
def test_a_crash_of_a_process_is_counted_and_its_input_is_kept(tmp_path, capfd):
    """The reader of IDX files is told to die at the third input, in a process of its own."""
    code = (
        "import os, signal, sys; from pathlib import Path; from tests.fuzz import cases, table; "
        "from tests.fuzz.__main__ import worker; judge = cases.judge; "
        "cases.judge = lambda *a: os.kill(os.getpid(), signal.SIGSEGV) if a[-1] == 2 else judge(*a); "
        "worker(sys.argv[1:])"
    )
    failed = processes.fuzz("idx", 4.0, 0, tmp_path, code)

    said = capfd.readouterr().out
    assert failed == 1
    assert "crash, 1 alike, the first at input 2:\n    SIGSEGV" in said
    assert (tmp_path / "idx-0-2-crash" / "images").exists()
    assert int(said.split(" inputs")[0].split(", ")[-1]) > 3  # it went on after the crash
