"""The command line as a user calls it: its exit code, what it prints where; in a process of its own, or in this one.

`streameval` starts a process: for signals, streams that are closed, limits, and what happens at its end.
`in_process` answers everything else in the same way without the second that a process takes to start.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = (sys.executable, "-m", "streameval")


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the package importable from anywhere, and calls taken away as from this one."""
    given = {**os.environ, **more}
    without = [str(ROOT / "tests" / "without")] if given.get("TESTS_WITHOUT") else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*without, str(ROOT)]), **more}


def streameval(*arguments: object, env: dict[str, str] | None = None, **settings: Any) -> Any:
    """Run the command line to its end; `settings` go to subprocess.run."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        env=environment(**(env or {})),
        **{"capture_output": True, "text": True, "timeout": 300, **settings},
    )


def in_process(
    *arguments: object, env: dict[str, str] | None = None, cwd: str | Path = "."
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end in this process, which is afterwards as it was; what `streameval` would give.

    Anything but SystemExit is an error of the program and comes out here, where a process would show a traceback.
    """
    from streameval.cli import main

    given = [*map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="", write_through=True) for _ in range(2))
    with (
        mock.patch.dict(os.environ, env or {}),
        contextlib.chdir(cwd),
        _signals_restored(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(given)
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int)
    printed = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess([*PROGRAM, *given], code, *printed)


def result(*arguments: object, run: Any = in_process, **settings: Any) -> dict[str, Any]:
    """Run a command with --json that must succeed; its one JSON object."""
    done = run(*arguments, "--json", **settings)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def start(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """Start the command line and return at once."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        env=environment(),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **settings},
    )


def wait_until_mapped(process: subprocess.Popen[str], path: Path, kilobytes: int) -> None:
    """Return when the process has touched so much of its mapping of `path`: it is in the middle of a pass."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before: {process.communicate()}")
        if _resident(process.pid, path) >= kilobytes:
            return
        time.sleep(0.002)
    raise AssertionError(f"{path} was not read within two minutes")


def without_roots_rights() -> None:
    """Let root be told no by file permissions in the program that is started next (PR_CAPBSET_DROP)."""
    drop, override, search = 24, 1, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and (libc.prctl(drop, override) or libc.prctl(drop, search)):
        raise OSError(ctypes.get_errno(), "root's rights cannot be given up here")


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    """Handle Ctrl-C, SIGTERM and SIGBUS afterwards as before; of SIGBUS Python does not know who handles it."""
    libc, bus = ctypes.CDLL(None), ctypes.create_string_buffer(512)  # over the size of any struct sigaction
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    libc.sigaction(signal.SIGBUS, None, bus)
    try:
        yield
    finally:
        libc.sigaction(signal.SIGBUS, bus, None)
        for number, handler in before.items():
            signal.signal(number, handler)


def _sees_processes() -> bool:
    try:
        return bool(Path("/proc/self/statm").read_text())
    except OSError:
        return False


needs_proc = pytest.mark.skipif(
    not _sees_processes(), reason="there is no /proc here to look at a process by"
)


def _resident(pid: int, path: Path) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except OSError:
        return 0
    resident, here = 0, False
    for line in lines:
        if not line.endswith(" kB") and "-" in line.split(" ", 1)[0]:
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            resident += int(line.split()[1])
    return resident
