"""Who wants to know how a pass goes: callbacks, and a file of one JSON record a line.

Knows what is told. Does not know who listens, nor how rows are computed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from streameval.errors import UsageError
from streameval.evaluation.report import Report
from streameval.files import storage_errors
from streameval.frozen import frozen
from streameval.losses.loss import Loss
from streameval.models.model import Model
from streameval.storage.source import Span

SCHEMA = "streameval/events/1"
BEGIN = json.dumps({"schema": SCHEMA}).removesuffix("}").encode()


@frozen
class Started:
    """A pass begins: `total` rows, of which a checkpoint had `done`."""

    model_path: str | None
    model_sha256: str
    data: str
    loss: Loss
    total: int
    done: int


@frozen
class Advanced:
    """A chunk (with an engine: a span) is done.

    span   its rows, by their place in the selection
    loss   mean loss in nats of all rows done so far, None without any
    rows   rows done so far, those of a checkpoint too, out of `total`
    seconds, rows_per_second   since the pass began, of this run alone
    """

    span: Span
    loss: float | None
    rows: int
    total: int
    seconds: float
    rows_per_second: float


class Callback(Protocol):
    """What `PassOptions(callbacks=...)` calls. An error raised in it ends the pass."""

    def started(self, event: Started) -> None:
        """The pass begins."""

    def advanced(self, event: Advanced) -> None:
        """A chunk is done: a few hundred times a second."""

    def finished(self, report: Report) -> None:
        """The pass is complete."""

    def stopped(self, error: BaseException) -> None:
        """The pass ended before, with this error, which is raised again: Ctrl-C is one too."""


class Listeners:
    """All callbacks of one pass, as one."""

    def __init__(self, callbacks: Iterable[Callback], total: int, done: int) -> None:
        self._callbacks = tuple(callbacks)
        self._total = total
        self.before = done
        self._start = time.perf_counter()

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def started(self, model: Model, data: str, loss: Loss) -> None:
        """Tell that the pass begins."""
        for callback in self._callbacks:
            callback.started(Started(model.path, model.sha256, data, loss, self._total, self.before))

    def advanced(self, span: Span, rows: int, loss: float | None) -> None:
        """Tell that a chunk is done."""
        seconds = time.perf_counter() - self._start
        rate = (rows - self.before) / seconds if seconds > 0 else 0.0
        for callback in self._callbacks:
            callback.advanced(Advanced(span, loss, rows, self._total, seconds, rate))

    def finished(self, report: Report) -> None:
        """Tell that the pass is complete."""
        for callback in self._callbacks:
            callback.finished(report)

    @contextlib.contextmanager
    def told_of_errors(self) -> Iterator[None]:
        """Tell of an error inside the block, and raise it again."""
        try:
            yield
        except BaseException as error:
            for callback in self._callbacks:
                callback.stopped(error)
            raise


class EventFile:
    """Adds a record a line to a file, for `PassOptions(callbacks=[EventFile(path)])`.

    Every record has `schema`, `event` (start, chunk, end, stop) and `time` (seconds since 1970). The file is added
    to, so a pass that goes on after an interruption goes on in it; each record is a single write.

    Raises UsageError if something else is in the file, StorageError if it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with storage_errors(self.path):
            with self.path.open("ab"):
                pass
            begin = self._begin()
        if begin not in (b"", BEGIN):
            raise UsageError(
                f"{self.path}: begins with {begin!r}, expected records of events ({SCHEMA}), to which this pass adds "
                "its own. Choose a new file."
            )

    def started(self, event: Started) -> None:
        """See `Callback`."""
        self._write(
            "start",
            model={"path": event.model_path, "sha256": event.model_sha256},
            data=event.data,
            loss_name=event.loss.name,
            eps=getattr(event.loss, "eps", None),
            total=event.total,
            rows=event.done,
        )

    def advanced(self, event: Advanced) -> None:
        """See `Callback`."""
        self._write(
            "chunk",
            start=event.span.start,
            stop=event.span.stop,
            loss=event.loss,
            rows=event.rows,
            total=event.total,
            seconds=event.seconds,
            rows_per_second=event.rows_per_second,
        )

    def finished(self, report: Report) -> None:
        """See `Callback`."""
        self._write("end", loss=report.loss, rows=report.rows, digest=report.digest)

    def stopped(self, error: BaseException) -> None:
        """See `Callback`."""
        self._write("stop", error=type(error).__name__, message=str(error))

    def _begin(self) -> bytes:
        """The first bytes of what is there; of a pipe, which cannot be read here, none."""
        if not self.path.is_file():
            return b""
        with self.path.open("rb") as file:
            return file.read(len(BEGIN))

    def _write(self, event: str, **values: Any) -> None:
        record = {"schema": SCHEMA, "event": event, "time": time.time(), **values}
        with storage_errors(self.path), self.path.open("ab", buffering=0) as file:
            file.write(json.dumps(record).encode() + b"\n")
