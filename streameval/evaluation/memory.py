"""How large chunks may be, and how many threads may work, so that a pass stays within a given memory.

Knows what a pass allocates, in closed form. Does not measure anything: `resources` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from streameval.arguments import integer
from streameval.errors import StorageError, UsageError
from streameval.evaluation.scoring import NetworkScorer, check_fit, check_threads, packed
from streameval.evaluation.state import CONFUSION_CLASSES, fold
from streameval.models.mlp import Mlp
from streameval.storage.source import Source

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

# Of each row of a chunk: offset, loss, predicted class, row number, and the copies that masks and checks make.
ROW_BYTES = 8 * 8
# Python's own objects, the writing of checkpoints and events, what the allocator keeps.
OVERHEAD = 4 << 20
# States that are alive at once while two are joined, and what a number in one takes.
STATES, NUMBER_BYTES = 8, 40
# While a layer is packed it is there as float64, integers and digits too.
PACKING_BYTES = 40
# Fewer rows for a thread than this waste it: rather one thread less.
ROWS_A_THREAD = 64


@dataclass(frozen=True, slots=True)
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
        raise UsageError(f"max_memory: {text!r}, expected a size such as 256M, 2G or a number of bytes.")
    return size


def plan(
    model: Mlp, source: Source, network: Any, *, limit: int, chunk_rows: int, threads: int, rows: int
) -> Plan:
    """Plan a pass over `rows` rows in at most `limit` bytes beyond what the process holds already.

        bytes = fixed + threads * scratch + chunk_rows * row        (rows a selection by number: 8 bytes each more)

    network     the packed network (`kernels.packing.Packed`)
    chunk_rows, threads   what is wanted; less of both is taken where memory is short
    rows        row numbers that are held, 0 for consecutive rows

    Raises:
        StorageError: not even one row on one thread fits.
    """
    fixed, by_row, scratch = _costs(model, source, network, rows)
    for count in range(threads, 0, -1):
        fitting = (limit - fixed - count * scratch) // by_row
        if fitting >= min(chunk_rows, ROWS_A_THREAD * count if count > 1 else 1):
            chosen = min(chunk_rows, fitting)
            return Plan(chosen, count, fixed + count * scratch + chosen * by_row, limit)
    raise StorageError(
        f"max_memory: {limit} bytes, but one row of {source.name} at a time on one thread takes "
        f"{fixed + scratch + by_row} with this model, beyond what the process holds already. Allow more memory"
        f"{', or write the data uncompressed' if source.costs()[0] > limit // 2 else ''}."
    )


def planned_scorer(
    model: Mlp,
    source: Source,
    *,
    eps: float,
    chunk_rows: int,
    threads: int | None,
    max_memory: int | str | None,
    rows: int = 0,
) -> tuple[NetworkScorer, int]:
    """The scorer and the rows of a chunk that keep a pass within `max_memory`; what is asked for without one.

    With a limit, the kernels are loaded now, so that they count as what the process holds already, and pages of
    files that are done with are given back however small the file is.

    Raises StorageError as `plan` does, and the errors of `NetworkScorer`.
    """
    chunk_rows = integer("chunk_rows", chunk_rows, least=1)
    if max_memory is None:
        return NetworkScorer(model, source, eps=eps, threads=threads), chunk_rows
    limit = parse_size(max_memory)
    check_fit(model, source)
    check_packing(model, limit)
    small = NetworkScorer(model, source, eps=eps, threads=1)
    wanted = check_threads(threads) if threads is not None else available()
    found = plan(
        model, source, packed(model, source), limit=limit, chunk_rows=chunk_rows, threads=wanted, rows=rows
    )
    source.save_memory()
    _load_kernels(small, source)
    return NetworkScorer(model, source, eps=eps, threads=found.threads), found.chunk_rows


def available() -> int:
    """Threads that may run at once here."""
    from streameval.kernels import threads

    return threads.available()


def _load_kernels(scorer: NetworkScorer, source: Source) -> None:
    if source.rows:
        scores = scorer.score(source.take(np.zeros(1, np.int64)))
        fold(scores.loss, scores.target, scores.predicted, np.zeros(1, np.int64), scorer.classes)


def check_packing(model: Mlp, limit: int) -> None:
    """Raise StorageError if packing the network, which comes before the pass, would take more than `limit` bytes."""
    needed = PACKING_BYTES * max(layer.weight.size for layer in model.layers) + 4 * model.parameters
    if needed > limit:
        raise StorageError(
            f"max_memory: {limit} bytes, but {needed} are needed to prepare this model of {model.parameters} "
            "parameters. Allow more memory."
        )


def _costs(model: Mlp, source: Source, network: Any, rows: int) -> tuple[int, int, int]:
    """Fixed bytes, bytes of a row of a chunk, and bytes of a thread."""
    from streameval.kernels.running import Scratch

    reading, by_row = source.costs()
    targets = 16 if not source.soft else 24 * (source.classes or 1)
    classes = model.classes
    numbers = 8 * classes + (classes**2 if classes <= CONFUSION_CLASSES else 0)
    states = STATES * NUMBER_BYTES * numbers
    fixed = OVERHEAD + reading + _bytes(network) + states + 8 * rows
    # A chunk is still there when the next one is made.
    return fixed, by_row + 2 * (ROW_BYTES + targets), _bytes(Scratch.of(network, 1))


def _bytes(holder: Any) -> int:
    """The bytes of the arrays among the fields of a dataclass."""
    values = (getattr(holder, name) for name in holder.__dataclass_fields__)
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))
