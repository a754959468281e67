"""Ctrl-C and SIGTERM, held back until what is at hand is put away. Does not know what that is."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredSignals:
    """The first signal that came, waiting to be delivered; a second one is delivered at once."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def waiting(self) -> bool:
        """Whether a signal came."""
        return self._number is not None

    def deliver(self) -> None:
        """Let the signal do what it would have done when it came, and raise KeyboardInterrupt if it did nothing."""
        if self._number is not None:
            self.restore()
            signal.raise_signal(self._number)
            raise KeyboardInterrupt

    def hold(self) -> None:
        """Begin to hold signals back. One that is ignored (nohup) stays so."""
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._come)

    def restore(self) -> None:
        """Handle signals as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _come(self, number: int, frame: FrameType | None) -> None:
        first, self._number = self._number is None, number
        if not first:
            self.deliver()


@contextlib.contextmanager
def defer_signals() -> Iterator[DeferredSignals]:
    """Hold Ctrl-C and SIGTERM back inside the block, which looks at `waiting` and calls `deliver` soon.

    Only the main thread hears signals: in another one nothing is held. A signal that nobody delivered is delivered
    at the end of the block, unless that ends with an error.
    """
    signals = DeferredSignals()
    if threading.current_thread() is threading.main_thread():
        signals.hold()
    try:
        yield signals
        signals.deliver()
    finally:
        signals.restore()
