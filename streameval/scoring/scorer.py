"""What evaluation asks of a model: one loss a row, and the few values beside it. Does not know who computes them."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import integer
from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.storage.source import Chunk

MOST_THREADS = 64


@frozen(eq=False)
class Scores:
    """One value a row: loss (n,) float64; true and predicted class (n,) int64, None where rows have no classes.

    probabilities  (n, classes), where they were asked for and are known
    soft           the targets (n, classes), where rows have weights for classes
    """

    loss: NDArray[np.float64]
    target: NDArray[np.int64] | None
    predicted: NDArray[np.int64] | None
    probabilities: NDArray[Any] | None = None
    soft: NDArray[np.float64] | None = None

    @property
    def right(self) -> NDArray[np.bool_] | None:
        """Which rows are predicted right, (n,); None where rows have no classes."""
        return None if self.target is None or self.predicted is None else self.target == self.predicted


@frozen
class Budget:
    """What computing may use: threads, None for as many as this process may use; bytes of memory, None for any."""

    threads: int | None = None
    max_memory: int | None = None


class Scorer(Protocol):
    """Turns chunks of one source into scores. A row's scores depend on that row alone.

    name     who computes, as a report says it: "native"
    classes  of the classification beside the losses, None where there is none
    threads  that compute; may be set before the first chunk
    """

    name: str
    model: Model
    loss: Loss
    classes: int | None
    threads: int

    def score(self, chunk: Chunk) -> Scores:
        """Score every row of the chunk: a loss of NaN for one whose features or outputs are not finite.

        Raises LabelError for a label outside the classes.
        """

    def reference(self, chunk: Chunk) -> NDArray[np.float64] | None:
        """The losses (n,) again, with every step in float64 by plain formulas; None where there are none."""

    def footprint(self, chunk_rows: int, threads: int) -> int:
        """The most bytes that scoring chunks of so many rows with so many threads holds, the chunk itself apart."""


def check_threads(threads: int | None) -> int:
    """The threads to use, by default all that this process may use.

    Raises UsageError unless they are an integer from 1 to the larger of MOST_THREADS and four for each CPU: more of
    them would only wait for one another, and each holds memory of its own.
    """
    if threads is None:
        return available()
    checked = integer("threads", threads, least=1)
    # Counting the CPUs reads a file: most numbers need no count.
    if checked > MOST_THREADS and checked > (most := max(MOST_THREADS, 4 * (os.cpu_count() or 1))):
        raise UsageError(
            f"threads: {checked}, expected 1 to {most} on this machine of {os.cpu_count()} CPUs. No result depends on "
            "it: leave it out to use every CPU that may be used."
        )
    return checked


def available() -> int:
    """Threads that may run at once here."""
    from streameval.kernels import threads

    return threads.available()
