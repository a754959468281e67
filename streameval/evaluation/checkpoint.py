"""A pass that was interrupted goes on where it was: what is done lies in a file, written every few seconds.

Knows the file, and what must not be mixed. Does not know how rows are computed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streameval.errors import DataError, StreamevalWarning
from streameval.evaluation import sealed
from streameval.evaluation.blocks import Tally
from streameval.evaluation.book import Book
from streameval.evaluation.identity import Identity
from streameval.files import lock, remove_leftovers, storage_errors
from streameval.storage.source import Source, Span

SCHEMA = "streameval/checkpoint/1"
EVERY = 5.0
_log = logging.getLogger("streameval")
# A library is silent until its program asks for the log.
_log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where to keep what is done, and how often, in seconds, it is written at most."""

    path: str | os.PathLike[str]
    every: float = EVERY


class Keeper:
    """The book of one pass and the file that it is kept in; without a file, the book alone."""

    def __init__(
        self, book: Book, path: Path | None, every: float, content: dict[str, Any], source: Source
    ) -> None:
        self.book = book
        self._path = path
        self._every = every
        self._content = content
        self._source = source
        self._next = time.monotonic() + every

    def add(self, tally: Tally, *, origin: str | None = None) -> None:
        """Add what came of a span, and write the file if the last time is long enough ago."""
        self.book.add(tally, origin=origin)
        if self._path is not None and time.monotonic() >= self._next:
            self.save()
            self._next = time.monotonic() + self._every

    def save(self) -> None:
        """Write the file now. Raises DataError if the data changed: then what was computed is worth nothing."""
        if self._path is None:
            return
        self._source.check_unchanged()
        sealed.write(self._path, self._content | {"tallies": [one.to_dict() for one in self.book.tallies]})
        _log.debug("%s: %d of %d rows are done", self._path, self.book.rows, len(self.book.span))

    def remove(self) -> None:
        """Remove the file: the pass is complete."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def keeping(
    where: str | os.PathLike[str] | Checkpoint | None, identity: Identity | None, span: Span, source: Source
) -> Iterator[Keeper]:
    """Yield the keeper of a pass over `span`, with what an earlier run of the same pass has done.

    where  path, Checkpoint, or None to keep nothing

    A file that is damaged is set aside, with a warning, and the pass starts again.

    Raises:
        DataError: the file belongs to another pass; what differs is named.
        LockedError: another process is at this pass.
        StorageError: the file cannot be read or written.
    """
    if where is None or identity is None:
        yield Keeper(Book(span), None, EVERY, {}, source)
        return
    wish = where if isinstance(where, Checkpoint) else Checkpoint(where)
    path = Path(wish.path)
    content = {"schema": SCHEMA, "identity": identity.to_dict(), "start": span.start, "stop": span.stop}
    with lock(path):
        remove_leftovers(path)
        book = _load(path, identity, span)
        if book.rows:
            _log.info("%s: going on after %d of %d rows", path, book.rows, len(span))
        yield Keeper(book, path, wish.every, content, source)


def _load(path: Path, identity: Identity, span: Span) -> Book:
    """The book that the file holds; an empty one if there is no file, or a damaged one."""
    if not os.path.lexists(path):
        return Book(span)
    try:
        stored = sealed.read(path, SCHEMA, "a checkpoint")
    except sealed.DamagedError as error:
        aside = path.with_name(f"{path.name}.damaged")
        with storage_errors(path):
            path.replace(aside)
        warnings.warn(
            f"{error} It is kept as {aside}, and the pass starts again from its first row.",
            StreamevalWarning,
            stacklevel=5,
        )
        return Book(span)
    differences = identity.differences(Identity.from_dict(stored["identity"]))
    there = Span(int(stored["start"]), int(stored["stop"]))
    if there != span:
        differences += (
            f"{'; ' * bool(differences)}rows {there.start}:{there.stop}, expected {span.start}:{span.stop}"
        )
    if differences:
        raise DataError(
            f"{path}: a checkpoint of another pass: {differences}. Finish that one with its own arguments, or remove "
            "the file, or choose another path."
        )
    return Book(span, (Tally.from_dict(one) for one in stored["tallies"]))
