"""A file of losses: one row for each row that was evaluated, in the order of the selection.

Knows the file's two columns and what it was made of, and how losses wait, by place, until the pass is over: parts come
in any order, and a pass that goes on after a crash still has those of its first part. Does not know who computes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streameval.defaults import CHUNK_ROWS
from streameval.errors import StreamevalWarning, UsageError
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.passes import Part
from streameval.evaluation.selection import Selection
from streameval.evaluation.state import LossSums, fold_losses
from streameval.evaluation.tally import Tally
from streameval.files import atomic_file, check_space, lock, remove_leftovers, storage_errors
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.storage.source import Source, Span
from streameval.storage.writing import NEVER_WRITTEN

VERSION = 1
RECORD = b"streameval.losses"
# What a spool beside a checkpoint begins with: as many bytes as four losses.
MARK = b"streameval: losses of a pass\n".ljust(32)
# Of a row: its loss while the pass goes on, then its number and its loss in the file.
ROW_BYTES = 24
PIECE_ROWS = 1 << 16
_GOLDEN, _MIXES = 0x9E3779B97F4A7C15, ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
# Feather is Arrow.
OTHER_FORMATS = NEVER_WRITTEN - {".feather"}


def check_ending(path: str | os.PathLike[str]) -> Path:
    """The path of a file of losses; raise UsageError if its ending promises another format than Arrow."""
    target = Path(path)
    if target.suffix.lower() in OTHER_FORMATS:
        raise UsageError(
            f"{target}: losses are written as an Arrow file, but {target.suffix} promises another format. Name it "
            f"{target.stem}.arrow; pyarrow, pandas and others read it."
        )
    return target


class LossSpool:
    """The losses of a pass over `span`, float64, each at its place in a file behind `MARK`. A sink.

    file  open for reading and writing · path  of the file, None for one without a name

    Of what was written a checksum is kept by span; those of neighbours add up.
    """

    def __init__(self, file: IO[bytes], path: Path | None, span: Span) -> None:
        self._file, self._path, self._span = file, path, span
        self._checks: dict[int, tuple[int, int]] = {}  # start -> stop, checksum

    def add(self, part: Part) -> None:
        """Keep the losses of one part."""
        span, losses = part.span, np.ascontiguousarray(part.losses[0])
        with storage_errors(self._path or "the folder of the file of losses"):
            self._file.seek(self._place(span))
            self._file.write(losses.data)
        self._remember(span, _checksum(span, losses))

    def sync(self) -> dict[str, Any]:
        """Make what was kept last through a crash of the system; return what a checkpoint must know of it."""
        with storage_errors(self._path or "the folder of the file of losses"):
            self._file.flush()
            os.fsync(self._file.fileno())
        return {"losses": [[start, stop, check] for start, (stop, check) in sorted(self._checks.items())]}

    def read(self, span: Span) -> NDArray[np.float64]:
        """The losses at the places `span`; fewer where the file ends before."""
        with storage_errors(self._path or "the folder of the file of losses"):
            self._file.seek(self._place(span))
            raw = self._file.read(8 * len(span))
        return np.frombuffer(raw[: len(raw) - len(raw) % 8], np.float64)

    def resume(self, results: PartialResults, stored: dict[str, Any]) -> PartialResults:
        """Those results of an earlier run whose losses are here as the checkpoint's content says; a warning tells of
        others."""
        for start, stop, check in stored.get("losses", ()):
            if self._check(Span(start, stop)) == check:
                self._remember(Span(start, stop), check)
        present = [one for one in results.tallies if self._has(one.span) and self._comes_to(one)]
        if len(present) < len(results.tallies):
            lost = results.rows - sum(len(one.span) for one in present)
            warnings.warn(
                f"{self._path}: the losses of {lost} rows that the checkpoint has are not here: computed again.",
                StreamevalWarning,
                stacklevel=4,
            )
        return PartialResults(results.span, present, results.name)

    def _comes_to(self, tally: Tally) -> bool:
        """Whether the losses that are here add up to a tally: a checksum alone could be written anew."""
        sums = LossSums()
        for part in tally.span.cut(CHUNK_ROWS):
            # A copy: what is read-only would be another type to the kernel.
            sums += fold_losses(self.read(part).copy(), range(part.start, part.stop))[0]
        # The worst rows have numbers of their own, of a selection.
        return replace(sums, worst=()) == replace(tally.state.sums, worst=())

    def remove(self) -> None:
        """Remove the file: the pass is complete. Another one that took its place is left alone."""
        if self._path is not None and self._is_here(self._path):
            self._path.unlink(missing_ok=True)

    def _is_here(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), path.stat())
        except OSError:
            return False

    def _place(self, span: Span) -> int:
        return len(MARK) + 8 * (span.start - self._span.start)

    def _remember(self, span: Span, check: int) -> None:
        for start, (stop, other) in list(self._checks.items()):
            if stop == span.start or start == span.stop:
                del self._checks[start]
                span, check = Span(min(start, span.start), max(stop, span.stop)), (check + other) % 2**64
        self._checks[span.start] = span.stop, check

    def _has(self, span: Span) -> bool:
        return any(start <= span.start and span.stop <= stop for start, (stop, _) in self._checks.items())

    def _check(self, span: Span) -> int | None:
        """The checksum of what is in the file at these places; None if some of it is missing."""
        total = 0
        for piece in span.cut(PIECE_ROWS):
            losses = self.read(piece)
            if len(losses) != len(piece):
                return None
            total += _checksum(piece, losses)
        return total % 2**64


def _checksum(span: Span, losses: NDArray[np.float64]) -> int:
    """The sum, modulo 2**64, of a mix of the bits of each loss and its place (the finaliser of SplitMix64)."""
    mixed = losses.view(np.uint64) + np.arange(span.start, span.stop, dtype=np.uint64) * np.uint64(_GOLDEN)
    for shift, factor in _MIXES:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return int((mixed ^ (mixed >> np.uint64(31))).sum(dtype=np.uint64))


def spool_of(checkpoint: str | os.PathLike[str]) -> Path:
    """Where a pass with this checkpoint keeps its losses until it is over: beside the file that a link leads to."""
    path = Path(os.path.realpath(checkpoint))
    return path.with_name(f"{path.name}.losses")


def remove_spool(checkpoint: Path) -> None:
    """Remove the losses that an earlier run kept, of a pass that ended without being asked for any; nothing else that
    lies there."""
    beside = spool_of(checkpoint)
    with contextlib.suppress(OSError):
        with beside.open("rb") as file:
            kept = file.read(len(MARK)) == MARK
        if kept:
            beside.unlink()


@contextlib.contextmanager
def spooling(path: str | os.PathLike[str], span: Span, checkpoint: Path | None) -> Iterator[LossSpool]:
    """Yield the spool of a file of losses; the only right to write that file is held meanwhile.

    checkpoint  of the pass: the spool lies beside it, and outlives the process; without one it has no name

    Raises:
        UsageError: `path` promises another format.
        LockedError: another process writes `path`. StorageError: it cannot be written, or does not fit on the disk.
    """
    target = check_ending(path)
    check_space(target, ROW_BYTES * len(span))
    with lock(target):
        remove_leftovers(target)
        if checkpoint is None:
            with _nameless(target.parent) as file:
                yield LossSpool(file, None, span)
            return
        beside = spool_of(checkpoint)
        with storage_errors(beside):
            handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "r+b") as named:
            _mark(named, beside)
            yield LossSpool(named, beside, span)


def _mark(file: IO[bytes], path: Path) -> None:
    """Make sure that a file is a spool, or new. Raises UsageError for one that no pass has written."""
    with storage_errors(path):
        # One that was begun as the machine failed may have a part of it.
        if not MARK.startswith(file.read(len(MARK))):
            raise UsageError(
                f"{path}: there is a file that no pass has written, where this one keeps its losses until it is over. "
                "Move it away, or name another --checkpoint."
            )
        file.seek(0)
        file.write(MARK)


def _nameless(folder: Path) -> IO[bytes]:
    """A file that vanishes when it is closed, on the disk that the losses go to."""
    with storage_errors(folder):
        return tempfile.TemporaryFile(prefix=".streameval-", dir=folder)


def write_losses(
    path: str | os.PathLike[str],
    spool: LossSpool,
    span: Span,
    selection: Selection,
    *,
    model: Model,
    data: Source,
    loss: Loss,
) -> None:
    """Write the losses of a pass to `path`, whole or not at all.

    An Arrow IPC file, uncompressed, of the columns `row` (int64) and `loss` (float64, in the loss's unit; NaN for rows
    that were left out), in the order of the selection; the schema's metadata key `streameval.losses` is JSON: version,
    model (sha256), data (fingerprint), loss, and eps where the loss has one.
    """
    import pyarrow as pa

    record = {
        "version": VERSION,
        "model": model.sha256,
        "data": data.fingerprint,
        "loss": loss.to_dict(),
        "eps": getattr(loss, "eps", None),
    }
    fields = [pa.field("row", pa.int64()), pa.field("loss", pa.float64())]
    schema = pa.schema(fields, metadata={RECORD: json.dumps(record, sort_keys=True)})
    with atomic_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        for piece in span.cut(PIECE_ROWS):
            columns: list[Any] = [selection.within(piece).numbers(), spool.read(piece)]
            writer.write_batch(pa.record_batch([pa.array(one) for one in columns], schema=schema))
