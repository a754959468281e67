"""A progress bar on stderr, or in a notebook: only where someone sees it, and only for what takes over a second."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
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

    `rich`, or in a notebook `tqdm` where it is installed, is imported when the bar first appears, never for a quick
    command or a pipe.
    """
    if not (_visible() or in_notebook()):
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


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook: IPython's, with a front end that shows what it prints."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


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
            self._drawn = _NotebookBar(self._size) if in_notebook() else _rich_bar(self._size)
            self._drawn.start()
            self._task = self._drawn.add_task(self._doing, total=total)
        self._drawn.update(self._task, completed=done, total=total)

    def stop(self) -> None:
        if self._drawn is not None:
            self._drawn.stop()


class _NotebookBar:
    """A bar of tqdm where that is installed, else one line that is written anew; with the methods of rich's bar."""

    def __init__(self, size: str) -> None:
        self._size = size
        self._bar: Any = None

    def start(self) -> None:
        """Nothing yet: the total is not known."""

    def add_task(self, doing: str, *, total: int) -> str:
        """Begin."""
        if find_spec("tqdm") is not None:
            from tqdm.auto import tqdm

            unit = "B" if self._size == "bytes" else f" {self._size}"
            self._bar = tqdm(
                desc=doing, total=total, unit=unit, unit_scale=self._size == "bytes", leave=False
            )
        return doing

    def update(self, doing: str, *, completed: int, total: int) -> None:
        """Show how far it is."""
        if self._bar is None:
            line = f"{doing}: {completed:,} of {total:,} {self._size}"
            print(f"\r{escaped(line)}", end="", file=sys.stderr, flush=True)
        else:
            self._bar.total = total
            self._bar.update(completed - self._bar.n)

    def stop(self) -> None:
        """Leave nothing behind."""
        if self._bar is None:
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)
        else:
            self._bar.close()


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
