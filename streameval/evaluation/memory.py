"""How large chunks may be, and how many threads may work, so that a pass stays within a given memory.

Knows what a pass allocates, in closed form, and asks scorers and sources what they do. Does not measure anything:
`resources` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from streameval.arguments import describe_value, integer
from streameval.defaults import CHUNK_ROWS
from streameval.errors import StorageError, UsageError
from streameval.evaluation.passes import compute
from streameval.evaluation.selection import Selection
from streameval.evaluation.state import confusion_size
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.scoring import make_scorer
from streameval.scoring.detailed import DetailedScorer
from streameval.scoring.scorer import Budget, Scorer
from streameval.storage.source import Source, Span

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

# Of each row of a chunk: offset, loss, predicted class, row number, and the copies that masks and checks make.
ROW_BYTES = 8 * 8
# Python's own objects, the writing of checkpoints and events, what the allocator keeps.
OVERHEAD = 4 << 20
# States that are alive at once while two are joined, and what a number in one takes.
STATES, NUMBER_BYTES = 8, 40
# Fewer rows for a thread than this waste it: rather one thread less.
ROWS_A_THREAD = 64


@frozen
class Plan:
    """Rows of a chunk, threads, and the bytes that the pass will hold at most, of `limit`."""

    chunk_rows: int
    threads: int
    bytes: int
    limit: int


def parse_size(text: int | str) -> int:
    """Return a size in bytes: 268435456, "256M", "1.5 GiB"; K, M, G, T are powers of 1024. Raises UsageError."""
    match = SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if isinstance(text, str):
        size = int(float(match[1]) * UNITS[match[2].lower()]) if match else 0
    else:
        size = integer("max_memory", text)
    if size < 1:
        raise UsageError(
            f"max_memory: {describe_value(text)}, expected a size such as 256M, 2G or a number of bytes."
        )
    return size


def plan(
    scorers: Sequence[Scorer], source: Source, *, limit: int, chunk_rows: int, numbers_bytes: int
) -> Plan:
    """Plan a pass of all the scorers over each chunk in at most `limit` bytes beyond what the process holds already.

    chunk_rows     what is wanted; fewer rows are taken where memory is short, and then fewer threads than the scorers
                   have
    numbers_bytes  of the row numbers that are held

    Raises StorageError: not even one row on one thread fits.
    """
    fixed = _fixed_bytes(scorers, source) + numbers_bytes

    def needed(rows: int, threads: int) -> int:
        computing = sum(scorer.footprint(rows, threads) for scorer in scorers)
        return fixed + computing + rows * _row_bytes(scorers, source)

    for threads in range(scorers[0].threads, 0, -1):
        least = min(chunk_rows, ROWS_A_THREAD * threads if threads > 1 else 1)
        if needed(least, threads) <= limit:
            # The most rows that fit: what is needed grows with them.
            low, high = least, chunk_rows
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if needed(middle, threads) <= limit else (low, middle - 1)
            return Plan(low, threads, needed(low, threads), limit)
    raise StorageError(
        f"max_memory: {limit} bytes, but one row of {source.name} at a time on one thread takes {needed(1, 1)} with "
        f"this model, beyond what the process holds already. Allow more memory"
        f"{', or write the data uncompressed' if source.costs()[0] > limit // 2 else ''}."
    )


def planned_scorers(
    models: Sequence[Model],
    source: Source,
    loss: Loss,
    budget: Budget,
    chunk_rows: int | None,
    numbers_bytes: int = 0,
    *,
    detailed: bool = False,
) -> tuple[list[Scorer], int]:
    """The scorers, and the rows of a chunk, that keep a pass within the budget; what is asked for without a limit.

    chunk_rows  what is asked for; None leaves it to the scorers where the rows are in memory as they are
    detailed    whether probabilities are asked for beside the losses

    With a limit, the kernels are loaded now, so that they count as what the process holds already, and pages of
    files that are done with are given back however small the file is.

    Raises StorageError as `plan` does, and the errors of `make_scorer`.
    """
    scorers: list[Scorer] = [make_scorer(model, source, loss, budget) for model in models]
    if detailed:
        scorers = [DetailedScorer(scorer) for scorer in scorers]
    if chunk_rows is None:
        in_memory = budget.max_memory is None and source.costs() == (0, 0)
        chunk_rows = (
            min(getattr(one, "most_rows", CHUNK_ROWS) for one in scorers) if in_memory else CHUNK_ROWS
        )
    if budget.max_memory is None:
        return scorers, chunk_rows
    chosen = plan(
        scorers, source, limit=budget.max_memory, chunk_rows=chunk_rows, numbers_bytes=numbers_bytes
    )
    for scorer in scorers:
        scorer.threads = chosen.threads
    source.save_memory()
    load_kernels(scorers, source)
    return scorers, chosen.chunk_rows


def load_kernels(scorers: Sequence[Scorer], source: Source) -> None:
    """Compile or load whatever is needed, by the first row of the source."""
    first = Selection(np.zeros(1, np.int64)).tasks([Span(0, 1)])
    for _ in compute(scorers, source, first, chunk_rows=1, allow_nonfinite=True):
        pass


def _fixed_bytes(scorers: Sequence[Scorer], source: Source) -> int:
    """Bytes that do not grow with the rows of a chunk: what reading holds, and states."""
    reading, _ = source.costs()
    numbers = sum(8 * (scorer.classes or 1) + confusion_size(scorer.classes or 0) ** 2 for scorer in scorers)
    return OVERHEAD + reading + STATES * NUMBER_BYTES * numbers


def _row_bytes(scorers: Sequence[Scorer], source: Source) -> int:
    """Bytes of each row of a chunk, as it is read, and of what comes of it; a chunk is still there when the next
    one is made."""
    _, reading = source.costs()
    targets = 16 if not source.soft else 24 * (source.classes or 1)
    return reading + 2 * (ROW_BYTES * len(scorers) + targets)
