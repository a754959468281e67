"""Schedulers and workers of Dask as processes of their own, for tests that do something to them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import environment

from streameval.storage.source import Span

DASK = str(Path(sys.executable).with_name("dask"))


@dataclass
class Listener:
    """Calls a function after some spans; keeps the spans."""

    after: int
    call: Callable[[], Any]

    def __post_init__(self) -> None:
        self.spans: list[Span] = []

    def started(self, event: Any) -> None: ...

    def finished(self, report: Any) -> None: ...

    def stopped(self, error: BaseException) -> None: ...

    def advanced(self, event: Any) -> None:
        self.spans.append(event.span)
        if len(self.spans) == self.after:
            self.call()


@contextlib.contextmanager
def shell(*command: str, before: tuple[str, ...] = (), **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`dask COMMAND`, which runs until the block ends; `before` it another command that starts it, `more` variables."""
    process = subprocess.Popen(
        [*before, DASK, *command],
        env=environment(**more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=patience)
                break


@contextlib.contextmanager
def scheduler(place: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler that tells its address in the file `place`, and the address."""
    common = ("--scheduler-file", str(place), "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    with shell("scheduler", *common) as process:
        yield process, _address(place)


def _address(place: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(place.read_text())["address"])
        time.sleep(0.05)
    raise AssertionError("no scheduler within a minute")


WORKER = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")


@contextlib.contextmanager
def worker(address: str, *more: str, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A worker with one thread and without a nanny: killed is killed."""
    with shell("worker", address, *WORKER, "--no-nanny", *more, **settings) as process:
        yield process
