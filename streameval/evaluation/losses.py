"""A file of losses: one row for each row that was evaluated, written as the pass goes on.

Knows the file's two columns and what it was made of. Does not know how a loss is computed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import UsageError
from streameval.evaluation.blocks import Tally
from streameval.evaluation.evaluate import EPS, steps
from streameval.evaluation.identity import inputs
from streameval.evaluation.report import Report
from streameval.evaluation.resources import Meter
from streameval.evaluation.rows import CHUNK_ROWS, Rows, selected
from streameval.evaluation.scoring import NetworkScorer
from streameval.files import Output, atomic_file, check_outputs, check_space, lock, remove_leftovers
from streameval.models.mlp import Mlp
from streameval.storage.opening import open
from streameval.storage.source import Source, Span

VERSION = 1
RECORD = b"streameval.losses"
ROW_BYTES = 16
TEXTS = frozenset((".csv", ".html", ".json", ".jsonl", ".tsv", ".txt", ".xml", ".yaml"))
BINARIES = frozenset(
    (".gz", ".h5", ".npy", ".npz", ".orc", ".parquet", ".pkl", ".sqlite", ".xlsx", ".zip", ".zst")
)


class LossWriter:
    """Adds rows to a file of losses."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Add rows: their numbers (n,) int64, their losses (n,) float64 in nats."""
        import pyarrow as pa

        columns = [pa.array(rows, pa.int64()), pa.array(losses, pa.float64())]
        self._file.write_batch(pa.record_batch(columns, names=["row", "loss"]))


def check_ending(path: str | os.PathLike[str]) -> Path:
    """The path of a file of losses; raise UsageError if its ending promises another format than Arrow."""
    target = Path(path)
    if target.suffix.lower() in TEXTS | BINARIES:
        raise UsageError(
            f"{target}: losses are written as an Arrow file, but {target.suffix} promises another format. Name it "
            f"{target.stem}.arrow; pyarrow, pandas and others read it."
        )
    return target


@contextlib.contextmanager
def loss_file(path: str | os.PathLike[str], *, model: Mlp, data: Source, eps: float) -> Iterator[LossWriter]:
    """Open a file of losses for writing; it gets its name only when the block ends without an error.

    An Arrow IPC file, uncompressed, of the columns `row` (int64) and `loss` (float64, nats), in the order of the pass;
    the schema's metadata key `streameval.losses` is JSON: version, model (sha256), data (fingerprint), eps.

    Raises:
        UsageError: `path` promises another format, is the model or the data set itself, or would become part of it.
        LockedError: another process writes `path`. StorageError: it cannot be written.
    """
    target = check_ending(path)
    check_outputs([Output("losses", target)], inputs(model, data))
    import pyarrow as pa

    record = {"version": VERSION, "model": model.sha256, "data": data.fingerprint, "eps": eps}
    schema = pa.schema(
        [pa.field("row", pa.int64()), pa.field("loss", pa.float64())],
        metadata={RECORD: json.dumps(record, sort_keys=True)},
    )
    with lock(target):
        remove_leftovers(target)
        with atomic_file(target) as file, pa.ipc.new_file(file, schema) as writer:
            yield LossWriter(writer)


def evaluate_to_file(
    model: Mlp,
    data: Any,
    path: str | os.PathLike[str],
    *,
    rows: Rows = None,
    eps: float = EPS,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    allow_nonfinite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Evaluate, write every row's loss to `path` as the pass goes on, and return the report.

    The file appears when the pass is over and the data are seen to be unchanged. Rows that `allow_nonfinite` leaves
    out of the sums have a loss of NaN in it. Memory does not grow with the rows. Arguments and errors as for
    `evaluate`, and those of `loss_file`.
    """
    source = open(data)
    scorer = NetworkScorer(model, source, eps=eps, threads=threads)
    which = selected(rows, source)
    check_space(path, ROW_BYTES * len(which))
    meter, tally = Meter(), Tally.empty(0, scorer.classes)
    with loss_file(path, model=model, data=source, eps=float(eps)) as out:
        for step in steps(scorer, source, which, chunk_rows=chunk_rows, allow_nonfinite=allow_nonfinite):
            out.write(_numbers(which, step.span), step.losses)
            tally = step.tally
            meter.look()
            if progress is not None:
                progress(step.span.stop, step.total)
    kept = tally if isinstance(which, Span) and len(which) == source.rows else None
    used = meter.resources(len(which), scorer.threads)
    return Report(tally.state, float(eps), model, source, used, kept)


def _numbers(which: Span | NDArray[np.int64], part: Span) -> NDArray[np.int64]:
    """The row numbers of a part of a selection."""
    if isinstance(which, Span):
        return np.arange(which.start + part.start, which.start + part.stop)
    return which[part.start : part.stop]
