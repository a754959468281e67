"""What reading one file may cost: bytes and steps, in proportion to the file's size.

Knows numbers only. A reader makes one `Budget` for a file and spends from it where it allocates, copies or loops, so
that a small file cannot ask for much, whichever way it does so.
"""

from __future__ import annotations

from streameval.errors import StreamevalError

STEP = 64
"""Bytes that a step counts as: about what Python takes to make one small object."""
FLOOR = 1 << 16
"""Bytes that the smallest of files may cost."""


class Budget:
    """Bytes that may still be spent on reading a file of `size` bytes: `times` as many, and 64 KiB.

    Raises the given error when more is asked for; the caller adds which file.
    """

    __slots__ = ("_error", "_left", "_size", "_times")

    def __init__(self, size: int, *, times: int, error: type[Exception] = StreamevalError) -> None:
        self._size, self._times, self._error = size, times, error
        self._left = times * size + FLOOR

    def spend(self, size: int, what: str) -> None:
        """Account for `size` bytes; `what` asks for them: "the same text again and again"."""
        self._left -= size
        if self._left < 0:
            raise self._error(
                f"{what}: more than {self._times} times the {self._size} bytes that it has, which no honest file "
                "takes: refused"
            )

    def grow(self, size: int) -> None:
        """Account for a second file of `size` bytes, which belongs to the first one: as much more may be spent."""
        self._size += size
        self._left += self._times * size

    def step(self, what: str, steps: int = 1) -> None:
        """Account for `steps` small objects, or rounds of a loop."""
        self.spend(STEP * steps, what)
