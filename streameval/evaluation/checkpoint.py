"""A pass that was interrupted goes on where it was: what is done lies in a file, written every few seconds.

Knows the file, and what must not be mixed. Does not know how rows are computed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from streameval.errors import DataError, StorageError, StreamevalWarning, UnwrittenWarning
from streameval.evaluation import sealed
from streameval.evaluation.fields import flag, intact, integer, only, sha256, shown
from streameval.evaluation.identity import Identity
from streameval.evaluation.partial_results import PartialResults
from streameval.evaluation.passes import Part
from streameval.evaluation.tally import Tally, stored_tallies
from streameval.files import destination, lock, remove_leftovers, storage_errors
from streameval.frozen import frozen
from streameval.storage.checked import CheckedSource
from streameval.storage.source import Source, Span

SCHEMA, READABLE = "streameval/checkpoint/2", ("streameval/checkpoint/1", "streameval/checkpoint/2")
EVERY = 5.0
_log = logging.getLogger("streameval")
# A library is silent until its program asks for the log.
_log.addHandler(logging.NullHandler())


@frozen
class Checkpoint:
    """Where to keep what is done, and how often, in seconds, it is written at most; signed and demanded to be signed
    with a key where one is given."""

    path: str | os.PathLike[str]
    every: float = EVERY
    key: bytes | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class CheckpointWriter:
    """Writes the results of one pass to a file now and then. A sink, after those whose parts must be safe before.

    checked whether all rows that are done were hashed as they were read
    beside  called before each writing, for what goes into the file too: what lies elsewhere must be safe by then
    stored  what an earlier run wrote there
    """

    path: Path
    every: float
    identity: Identity
    results: PartialResults
    source: Source
    stored: dict[str, Any]
    checked: bool
    beside: Callable[[], dict[str, Any]] = dict
    key: bytes | None = None
    _next: float = 0.0
    _missed: str = ""

    def __post_init__(self) -> None:
        self._next = time.monotonic() + self.every

    def add(self, part: Part) -> None:
        """Write the file if the last time is long enough ago; where there is no room, warn, and go on without."""
        if time.monotonic() < self._next:
            return
        content = self._content()
        try:
            self._write(content)
        except StorageError as error:
            if not self._missed:
                warnings.warn(
                    f"{error} The checkpoint stays as it was, the pass goes on, and will try again.",
                    StreamevalWarning,
                    stacklevel=5,
                )
            self._missed = str(error)
            self._next = time.monotonic() + self.every

    def save(self) -> None:
        """Write the file now.

        Raises DataError if the data changed: then what was computed is worth nothing; and StorageError.
        """
        self._write(self._content())

    def kept(self) -> str:
        """What was written, and what becomes of it, in words."""
        done, total = self.results.rows, len(self.results.span)
        return f"{done} of {total} rows are kept in {self.path}. The same evaluation goes on from there."

    def _content(self) -> dict[str, Any]:
        self.source.check_unchanged()
        beside = self.beside()
        span = self.results.span
        return {
            "schema": SCHEMA,
            "identity": self.identity.to_dict(),
            "start": span.start,
            "stop": span.stop,
            "tallies": [one.to_dict() for one in self.results.tallies],
            "stamps": self.source.stamps(),
            "checked": self.checked,
            "hashes": self.source.hashes() if isinstance(self.source, CheckedSource) else [],
        } | beside

    def _write(self, content: dict[str, Any]) -> None:
        sealed.write(self.path, content, self.key)
        _log.debug("%s: %d of %d rows are done", self.path, self.results.rows, len(self.results.span))
        self._missed = ""
        self._next = time.monotonic() + self.every

    def remove(self) -> None:
        """Remove the file: the pass is complete. One that could not be written at the last try stays as it was."""
        if self._missed:
            warnings.warn(
                f"{self._missed} The checkpoint could not be written. The pass is complete, and its result holds; what "
                "an earlier run left there is as it was.",
                UnwrittenWarning,
                stacklevel=5,
            )
            return
        self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def resumed(
    where: str | os.PathLike[str] | Checkpoint, identity: Identity, span: Span, source: Source
) -> Iterator[CheckpointWriter]:
    """Yield the writer of a pass over `span`, its results being what an earlier run of the same pass has done.

    A file that is damaged is set aside, with a warning, and the pass starts again. A symbolic link stays, and stands
    for the file that it leads to.

    Raises:
        DataError: the file belongs to another pass; what differs is named.
        CheckError: it is not signed with the key.
        LockedError: another process is at this pass.
        StorageError: the file cannot be read or written.
    """
    wish = where if isinstance(where, Checkpoint) else Checkpoint(where)
    path = destination(wish.path)
    with lock(path):
        remove_leftovers(path)
        stored = _read(path, wish.key)
        tallies = _tallies(path, stored, identity, span, source) if stored else []
        results = PartialResults(span, tallies, f"{path}, a checkpoint")
        checked = isinstance(source, CheckedSource)
        if stored:
            _bind(path, stored, results, source, identity)
            checked = checked and (stored.get("checked", False) or not results.rows)
        if results.rows:
            _log.info("%s: going on after %d of %d rows", path, results.rows, len(span))
        yield CheckpointWriter(path, wish.every, identity, results, source, stored, checked, key=wish.key)


def _read(path: Path, key: bytes | None) -> dict[str, Any]:
    """What the file holds; nothing if there is no file, or a damaged one."""
    if not path.exists():
        return {}
    try:
        return sealed.read(path, READABLE, "a checkpoint", key)
    except sealed.DamagedError as error:
        aside = _free(path.with_name(f"{path.name}.damaged"))
        with storage_errors(path):
            path.replace(aside)
        warnings.warn(
            f"{error} It is kept as {aside}, and the pass starts again from its first row.",
            StreamevalWarning,
            stacklevel=5,
        )
        return {}


def _free(path: Path) -> Path:
    """This path, or the first of those with a number behind it at which nothing lies."""
    numbered = (path.with_name(f"{path.name}.{k}") for k in count(2))
    return next(one for one in chain([path], numbered) if not os.path.lexists(one))


FIELDS = ("schema", "identity", "start", "stop", "tallies", "losses", "stamps", "checked", "hashes")


def _tallies(
    path: Path, stored: dict[str, Any], identity: Identity, span: Span, source: Source
) -> list[Tally]:
    """What was done. Raises DataError for a checkpoint of another pass, and for what no pass has written."""
    with intact(path, "a checkpoint"):
        only(stored, (*FIELDS, sealed.SEAL, sealed.SIGNATURE))
        differences = identity.differences(Identity.from_dict(stored["identity"]))
        stored_span = Span(integer(stored, "start", least=0), integer(stored, "stop", least=0))
        for start, stop, check in stored.get("losses", ()):
            for number in (start, stop, check):
                integer([number], 0, least=0, most=2**64)
            if not stored_span.start <= start <= stop <= stored_span.stop:
                raise ValueError(f"losses of rows {start}:{stop}")
        if stored["schema"] == SCHEMA:  # earlier versions did not look
            flag(stored, "checked")
            for block, *hashes in stored["hashes"]:
                integer([block], 0, least=0)
                if len(hashes) != 2 or not (sha256(hashes, 0) and sha256(hashes, 1)):
                    raise ValueError(f"hashes of block {block}")
            if not isinstance(stored["stamps"], list):
                raise ValueError(f"stamps are {shown(stored['stamps'])}")
        if stored_span != span:
            differences += (
                f"{'; ' * bool(differences)}rows {stored_span.start}:{stored_span.stop}, "
                f"expected {span.start}:{span.stop}"
            )
        if differences:
            raise DataError(
                f"{path}: a checkpoint of another pass: {differences}. Finish that one with its own arguments, or "
                "remove the file, or choose another path."
            )
        return stored_tallies(stored["tallies"], identity, source.rows, earlier=stored["schema"] != SCHEMA)


def _bind(
    path: Path, stored: dict[str, Any], results: PartialResults, source: Source, identity: Identity
) -> None:
    """Make sure that what was done is of the content that is read from now on. Raises DataError if that is not known.

    The fingerprint may be recorded in the file, and says nothing then of what its rows are now.
    """
    stamps, checks = source.stamps(), isinstance(source, CheckedSource)
    if "stamps" not in stored:
        if stamps:
            warnings.warn(
                f"{path}: written by an earlier version, which did not note the file that it read. It is taken to be "
                f"{source.name} as it is now: if that may have changed, remove the checkpoint.",
                StreamevalWarning,
                stacklevel=5,
            )
    elif stored["stamps"] != stamps and results.rows:
        hashed = stored["checked"] and identity.data.startswith("sha256:")
        cure = "Remove the checkpoint to start again; with --check, a pass can go on with a copy."
        if hashed:
            cure = "The rows that are done were hashed: go on with --check, which hashes the others too."
        if not (hashed and checks):
            raise DataError(
                f"{path}: its rows were read from another file, or {source.name} was written to, moved or copied "
                f"since: (size, mtime_ns, ctime_ns, inode) were {str(stored['stamps'])[:200]}, found "
                f"{str(stamps)[:200]}. {cure}"
            )
    if isinstance(source, CheckedSource) and stored.get("checked"):
        source.remember(stored["hashes"])
        first = identity.first()
        for tally in results.tallies if first is not None else ():
            source.seen_elsewhere(Span((first or 0) + tally.span.start, (first or 0) + tally.span.stop))
