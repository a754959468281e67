"""The end of a process: nothing that is to be done is left out, and nothing waits for what need not be done."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import environment

# The command is replaced: what is tested is what comes after it.
PROGRAM = """
import atexit, os, sys, threading, time
import streameval.cli as cli
{before}
def command(arguments):
    print("printed", end="")
    {during}
    return {code}
cli._run = command
atexit.register(lambda: print(" and put away", end=""))
cli.process()
"""

LOUD = """
class Loud:
    def __del__(self, write=os.write): write(1, b" apart")
loud = Loud()
"""


def _end(before: str = "", during: str = "pass", code: int = 0) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(before=before, during=during, code=code)
    return subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("code", [0, 3, 6])
def test_what_is_printed_and_put_away_at_the_end_is_there(code: int) -> None:
    ended = _end(code=code)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("printed and put away", "", code)


def test_what_is_in_memory_is_not_taken_apart() -> None:
    assert _end(LOUD).stdout == "printed and put away"


def test_a_thread_that_still_runs_is_waited_for() -> None:
    during = "threading.Thread(target=lambda: (time.sleep(0.3), print(' late', end=''))).start()"
    ended = _end(during=during)
    assert ended.stdout == "printed late and put away"
    assert ended.returncode == 0


def test_an_error_of_the_program_shows_its_traceback() -> None:
    ended = _end(during="raise RuntimeError('odd')")
    assert ended.returncode == 1
    assert "RuntimeError: odd" in ended.stderr
    assert "printed and put away" in ended.stdout


def test_a_process_that_is_profiled_ends_as_any_other() -> None:
    ended = _end(f"{LOUD}\nsys.setprofile(lambda *_: None)", code=3)
    assert (ended.stdout, ended.returncode) == ("printed and put away apart", 3)


@pytest.mark.parametrize(
    ("given", "policy"),
    [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active"), ({"GOMP_SPINCOUNT": "100"}, None)],
)
def test_threads_wait_asleep_where_nothing_else_is_asked(
    given: dict[str, str], policy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert (
        _end(during="print(os.environ.get('OMP_WAIT_POLICY'), end=' ')").stdout.split()[0]
        == f"printed{policy}"
    )


@pytest.mark.skipif(sys.version_info < (3, 14), reason="up to Python 3.13 Numba starts no process there")
def test_a_parallel_kernel_starts_no_other_process() -> None:
    """Numba would have one that puts away what processes share."""
    program = """
import multiprocessing.resource_tracker as tracker
import numpy as np, streameval as se
from streameval.cli import keep_to_itself
keep_to_itself()
network = se.Mlp([se.Layer(np.ones((4, 3)), np.zeros(3), "identity")])
se.evaluate(network, (np.ones((500, 4), np.uint8), np.zeros(500, int)))
print(tracker._resource_tracker._pid)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=300
    )
    assert ended.stdout == "None\n", ended.stderr
