"""The command line as a user calls it: a process of its own, its exit code, what it prints where."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = (sys.executable, "-m", "streameval")


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the package importable from anywhere."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def streameval(*arguments: object, env: dict[str, str] | None = None, **settings: Any) -> Any:
    """Run the command line to its end; `settings` go to subprocess.run."""
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        env=environment(**(env or {})),
        **{"capture_output": True, "text": True, "timeout": 300, **settings},
    )


def result(*arguments: object, **settings: Any) -> dict[str, Any]:
    """Run a command with --json that must succeed; its one JSON object."""
    done = streameval(*arguments, "--json", **settings)
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
