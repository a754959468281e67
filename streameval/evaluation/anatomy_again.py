"""The anatomy that a report states beside that of all rows computed again: equal, or which part is not.

Knows both. Does not know how rows are computed.
"""

from __future__ import annotations

from typing import Any, Final

from streameval.errors import CheckError, UsageError
from streameval.evaluation.anatomizing import ARRAY, Anatomist
from streameval.evaluation.anatomy import Anatomy
from streameval.evaluation.certificate import Certificate
from streameval.storage.source import Source

# What of a report's anatomy comes of losses, of probabilities, and of the values of a column.
OF_LOSSES: Final[tuple[str, ...]] = ("quantiles", "worst")
OF_PROBABILITIES: Final[tuple[str, ...]] = ("top_k", "brier", "calibration")
OF_VALUES: Final[tuple[str, ...]] = ("by",)


def anatomist_of(stated: Anatomy, source: Source) -> Anatomist:
    """What takes the losses apart as the report says it; without values where the data have no such column: they were
    given as an array, which is not here."""
    try:
        return Anatomist(source, stated.column)
    except UsageError:
        return Anatomist(source)


def compare(certificate: Certificate, found: Anatomy, blame: str) -> dict[str, Any]:
    """Compare what a report states with what all rows come to. Return what cannot be, by its name in the report.

    blame  what it means if they differ

    Raises CheckError.
    """
    stated = certificate.anatomy
    assert stated is not None
    differing = OF_LOSSES if found.grid != stated.grid else ()
    if found.chances != stated.chances:
        differing += OF_PROBABILITIES
    known = found.column == stated.column and (found.slices == stated.slices or stated.column != ARRAY)
    if known and found.slices != stated.slices:
        differing += OF_VALUES
        blame = (
            f"Column {stated.column!r} may have other values than then, which no fingerprint covers. {blame}"
        )
    if differing:
        raise CheckError(
            f"{certificate.name}: of its anatomy, {', '.join(differing)} are not what all rows come to when they are "
            f"computed again, though their losses add up to the same. {blame}"
        )
    said = certificate.said["anatomy"]
    return {} if known else {f"anatomy.{name}": said[name] for name in OF_VALUES}
