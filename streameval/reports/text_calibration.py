"""Calibration as text: two numbers, and the accuracy by confidence and by class. Does not know how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import confidence, count, nats, percent
from streameval.reports.terminal import TextStyle, fields, paragraph, table
from streameval.reports.words import subject

if TYPE_CHECKING:
    from streameval.statistics.calibration import Estimate, ShareBand
    from streameval.studies.calibration import Calibration

CLASSES = 20


def calibration(result: Calibration, style: TextStyle) -> str:
    """A finished measurement."""
    level = confidence(result.level)
    who = "rows" if result.groups is None else f"{count(result.groups)} groups"
    pairs = [
        ("Brier", _estimate(result.brier, level)),
        ("error", _estimate(result.error, level)),
        ("rows", f"{count(result.rows)}; claims take {who} as independent"),
    ]
    lines = [style.bold(f"{subject(result.model, result.data)}: calibration"), "", *fields(pairs, style), ""]
    lines += table(
        ("confidence", "rows", "accuracy", f"{level} for all bins", ""),
        [(percent(one.confidence), *_band(one)) for one in result.bins],
        style,
    )
    shown = sorted(result.classes, key=lambda one: one.right / one.rows)[:CLASSES]
    lines += ["", *table(
        ("class", "rows", "accuracy", f"{level} for all classes", ""),
        [(str(one.label), *_band(one)) for one in sorted(shown, key=lambda one: one.label)],
        style,
    ), ""]  # fmt: skip
    tables = (
        f"Both tables: shares of these rows, with intervals for further data that hold for all bins, or all classes, "
        f"together in {level} of samples of independent rows. Off: the confidence lies outside. Brier and error: "
    )
    assumes = result.error.interval.assumes
    lines += paragraph(tables + assumes[:1].lower() + assumes[1:], style)
    for name, one in (("Brier", result.brier), ("error", result.error)):
        if one.interval.warning is not None:
            lines += paragraph(f"Warning, {name}: {one.interval.warning}", style)
    return style.finish(lines)


def _estimate(one: Estimate, level: str) -> str:
    ends = f"{nats(one.interval.low)} to {nats(one.interval.high)}"
    return f"{nats(one.value)} of these rows, {ends} of further data at about {level}"


def _band(one: ShareBand) -> tuple[str, str, str, str]:
    ends = f"{percent(one.interval.low, 1)} … {percent(one.interval.high, 1)}"
    outside = one.confidence is not None and one.confidence not in one.interval
    return count(one.rows), percent(one.right / one.rows), ends, "off" if outside else ""
