"""A weighted mean loss as text: what is divided by what, and how sure it is. Does not know how it was computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports import about
from streameval.reports.numbers import confidence, count, ends, nats, percent
from streameval.reports.terminal import TextStyle, fields, paragraph, table
from streameval.reports.words import in_unit, subject

if TYPE_CHECKING:
    from streameval.evaluation.weighted_report import Weighted

# A table of more classes than this shows those with the largest losses.
CLASSES = 20


def weighted(result: Weighted, style: TextStyle) -> str:
    """The weighted mean, its two sums, its error, and what classes come to."""
    sums, interval = result.sums, result.interval()
    lines = [style.bold(subject(result.model, result.data)), ""]
    found = in_unit(nats(result.loss, 10), result.loss_function)
    apart = ((sums.ignored, "ignored"), (sums.left_out, "left out"))
    out = "".join(f"; {count(rows)} {what}" for rows, what in apart if rows)
    pairs = [
        ("weighted loss", f"{found}  ({result.loss_function.detail})"),
        ("is", f"{result.loss_sum:.10g} over {result.weight_sum:.10g}, the {result.denominator}"),
        ("rows", f"{count(result.rows)}{out}"),
    ]
    if result.correct is not None and result.rows:
        pairs.append(("accuracy", f"{percent(result.correct / result.rows)}, each row counted once"))
    if interval is not None:
        said = f"standard error {nats(result.stderr)}, about {confidence(interval.level)} within "
        pairs.append(("errors", f"{said}{ends(interval.low, interval.high)}, by the delta method"))
    lines += [*fields(pairs, style), ""]
    lines += _classes(result, style)
    if interval is not None:
        lines += paragraph(interval.assumes, style)
        lines += paragraph(f"Warning: {interval.warning}", style) if interval.warning else []
    lines += ["", *fields([*about.notes(result.model), ("digest", result.digest)], style)]
    return style.finish(lines)


def _classes(result: Weighted, style: TextStyle) -> list[str]:
    """A row for each class, those with the largest losses where there are many."""
    found = [one for one in result.per_class if one["rows"]]
    if len(found) > CLASSES:
        found = sorted(found, key=lambda one: -(one["loss"] or 0.0))[:CLASSES]
    rows = [
        (
            str(one["class"]),
            count(one["rows"]),
            f"{one['weight']:.6g}",
            nats(one["loss"]),
            percent(one["accuracy"], 1),
        )
        for one in found
    ]
    return [*table(("class", "rows", "weight", "loss", "accuracy"), rows, style), ""] if rows else []
