"""A running estimate on a terminal: one line on stderr, drawn anew at every look. Nothing for pipes and logs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from streameval.escaping import escaped

if TYPE_CHECKING:
    from streameval.statistics.until import Step


@contextlib.contextmanager
def live(what: str) -> Iterator[Callable[[Step], None] | None]:
    """Yield a function that shows a step, or None where no one watches; the line is gone at the end.

    `rich` is imported only for a terminal.
    """
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with contextlib.ExitStack() as stack:
        started: list[Live] = []

        def show(step: Step) -> None:
            # The line appears with the first step: where none comes, a progress bar has the terminal to itself.
            if not started:
                shown = Live(console=Console(stderr=True), transient=True, refresh_per_second=10)
                started.append(stack.enter_context(shown))
            started[0].update(Text(escaped(line(what, step)), no_wrap=True, overflow="ellipsis"))

        yield show


def line(what: str, step: Step) -> str:
    """A step in one line: the running estimate and its interval."""
    return (
        f"{what} {step.loss:.5f}  in {step.low:.5f} … {step.high:.5f}  (± {step.half_width:.5f})  "
        f"{step.rows_read:,} rows, {100 * step.fraction:.3g} %"
    )
