"""A progress bar on stderr: only on a terminal, and only for what takes longer than a second."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from streameval.escaping import escaped

PATIENCE = 1.0
PERIOD = 0.1

Progress = Callable[[int, int], None]


@contextlib.contextmanager
def progress(doing: str, *, size: str = "rows") -> Iterator[Progress]:
    """Yield a function to call with (done, total); it draws a bar when there is someone to see it.

    doing  what is being done, for instance "evaluating"
    size   what is counted: "rows", or "bytes", which are shown as megabytes

    `rich` is imported when the bar first appears, never for a quick command or a pipe.
    """
    if not _visible():
        yield lambda done, total: None
        return
    bar = _Bar(doing, size)
    try:
        yield bar.update
    finally:
        bar.stop()


def note(text: str) -> None:
    """Tell someone at a terminal why it takes a while. Pipes and logs are left clean."""
    if _visible():
        print(f"streameval: {escaped(text)}", file=sys.stderr)


def _visible() -> bool:
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class _Bar:
    def __init__(self, doing: str, size: str) -> None:
        self._doing, self._size = doing, size
        self._next = time.monotonic() + PATIENCE
        self._drawn: Any = None
        self._task: Any = None

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next and not (self._drawn is not None and done == total):
            return
        self._next = now + PERIOD
        if self._drawn is None:
            self._drawn = _rich_bar(self._size)
            self._drawn.start()
            self._task = self._drawn.add_task(self._doing, total=total)
        self._drawn.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        if self._drawn is not None:
            self._drawn.stop()


def _rich_bar(size: str) -> Any:
    from rich import progress as rich
    from rich.console import Console

    counted: list[Any] = (
        [rich.DownloadColumn(), rich.TransferSpeedColumn()]
        if size == "bytes"
        else [rich.TextColumn("{task.completed:,} of {task.total:,} " + size)]
    )
    return rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        *counted,
        rich.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
