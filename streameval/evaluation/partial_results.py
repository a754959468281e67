"""The parts of a pass as they come back: every row exactly once, in any order of arrival.

Knows spans and what came of them. Does not know who computed them, nor any file.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING

from streameval.errors import DataError, IncompleteError, StreamevalError
from streameval.evaluation.sealed import canonical
from streameval.evaluation.state import mean
from streameval.evaluation.tally import Tally
from streameval.storage.source import Span

if TYPE_CHECKING:
    from streameval.evaluation.passes import Part


class PartialResults:
    """Tallies of disjoint spans within `span`, neighbours joined. `name` is that of the pass, for messages.

    The same span may be added again if the same came of it, as when a worker that was given up answers after all.
    """

    def __init__(self, span: Span, tallies: Iterable[Tally] = (), name: str = "the pass") -> None:
        self.span, self.name = span, name
        self._tallies: list[Tally] = []
        self._seen: dict[Span, tuple[str, str, str]] = {}
        for tally in tallies:
            self.add_tally(tally)

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """What is there, ascending, neighbours joined."""
        return tuple(self._tallies)

    @property
    def rows(self) -> int:
        """Rows that are there."""
        return sum(len(tally.span) for tally in self._tallies)

    @property
    def loss(self) -> float | None:
        """Mean loss in nats of the rows that are there, None without any."""
        return mean(
            sum(one.state.sums.units for one in self._tallies), sum(one.state.rows for one in self._tallies)
        )

    def add(self, part: Part) -> None:
        """Take in a part of a pass of one scorer. A sink; errors are those of `add_tally`."""
        self.add_tally(part.tallies[0], origin=None if part.usage is None else "a worker")

    def add_tally(self, tally: Tally, *, origin: str | None = None) -> bool:
        """Add what came of one span; False if the same had come before.

        origin  names the tally in messages: the file or engine that it came from. A tally without one cannot come
                twice, and is not remembered by itself.

        Raises:
            StreamevalError: something else came of the same span before.
            DataError: the span lies outside of the pass, or over rows that are there; what came of it is of another
                form than what came of the rows beside it.
        """
        span, name = tally.span, origin or self.name
        if origin is not None and span in self._seen:
            known, taken_apart, earlier = self._seen[span]
            digest, anatomy = tally.state.digest, _anatomy(tally)
            if (known, taken_apart) != (digest, anatomy):
                what = f"digest {digest}, but {known}" if known != digest else "an anatomy, but another"
                raise StreamevalError(
                    f"{name}: rows {span.start}:{span.stop} have {what} came from {earlier}. Equal ones were expected: "
                    "check the memory of the machines, then compute both again."
                )
            return False
        if not self.span.start <= span.start <= span.stop <= self.span.stop:
            raise DataError(
                f"{name}: rows {span.start}:{span.stop}, expected rows within {self.span.start}:{self.span.stop}."
            )
        if len(span):
            self._insert(tally, name)
        if origin is not None:
            self._seen[span] = tally.state.digest, _anatomy(tally), name
        return True

    def gaps(self) -> list[Span]:
        """The spans that are missing, ascending."""
        missing, start = [], self.span.start
        for tally in self._tallies:
            if start < tally.span.start:
                missing.append(Span(start, tally.span.start))
            start = tally.span.stop
        if start < self.span.stop:
            missing.append(Span(start, self.span.stop))
        return missing

    def whole(self, classes: int | None) -> Tally:
        """The tally of all rows. Raises IncompleteError, naming the gaps, if some are missing."""
        gaps = self.gaps()
        if gaps:
            named = ", ".join(f"{gap.start}:{gap.stop}" for gap in gaps[:5]) + (
                ", ..." if len(gaps) > 5 else ""
            )
            raise IncompleteError(f"{sum(map(len, gaps))} of {len(self.span)} rows are missing: {named}.")
        return self._tallies[0] if self._tallies else Tally.empty(self.span.start, classes)

    def _insert(self, tally: Tally, name: str) -> None:
        at = bisect_left(self._tallies, tally.span.start, key=lambda one: one.span.start)
        for other in self._tallies[max(at - 1, 0) : at + 1]:
            if other.span.start < tally.span.stop and tally.span.start < other.span.stop:
                raise DataError(
                    f"{name}: rows {tally.span.start}:{tally.span.stop} overlap with rows {other.span.start}:"
                    f"{other.span.stop}, which are there already{self._among(other.span)}. Expected each row once."
                )
        if at < len(self._tallies) and tally.span.stop == self._tallies[at].span.start:
            tally = _joined(tally, self._tallies.pop(at), name)
        if at > 0 and self._tallies[at - 1].span.stop == tally.span.start:
            self._tallies[at - 1] = _joined(self._tallies[at - 1], tally, name)
        else:
            self._tallies.insert(at, tally)

    def _among(self, span: Span) -> str:
        names = [name for seen, (*_, name) in self._seen.items() if span.start <= seen.start < span.stop]
        return f" ({', '.join(names[:5])})" if names else ""


def _joined(one: Tally, following: Tally, name: str) -> Tally:
    try:
        return one + following
    except DataError as error:
        raise DataError(
            f"{name}: rows {following.span.start}:{following.span.stop} do not go with those before: {error} Compute "
            "both again."
        ) from error


def _anatomy(tally: Tally) -> str:
    """SHA-256 of the losses of rows taken apart, which their digest is not of; "" where they were not."""
    if tally.anatomy is None:
        return ""
    return hashlib.sha256(canonical(tally.anatomy.to_dict()).encode()).hexdigest()
