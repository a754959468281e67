"""What the loss is made of, as text: few lines, and a table by value of a column. Does not know how it is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import count, nats, percent
from streameval.reports.terminal import TextStyle, fields, table
from streameval.reports.words import called

if TYPE_CHECKING:
    from streameval.evaluation.anatomy import Anatomy, Chances
    from streameval.evaluation.report import Report

VALUES = 20


def anatomy(result: Report, style: TextStyle) -> list[str]:
    """The lines about the anatomy of a report that has one."""
    found = result.anatomy
    if found is None:
        return []
    pairs = [("quantiles", _quantiles(found, result)), *_worst(found, result)]
    if found.chances is None:
        if result.correct is not None:
            pairs.append(("probabilities", "not known: the model gives none of all classes"))
    elif result.rows:
        pairs += _chances(found.chances)
    lines = fields(pairs, style)
    if found.slices is not None:
        lines += ["", *_slices(found, result, style)]
    return lines


def _quantiles(found: Anatomy, result: Report) -> str:
    from streameval.evaluation.anatomy import QUANTILES, RELATIVE

    listed = [found.grid.quantile(share, result.state.sums) for share in QUANTILES]
    said = ", ".join(
        f"{percent(one.share, 1).replace('.0 ', ' ')} {nats(one.loss)}" for one in listed if one is not None
    )
    return f"{said}  (of these rows, each within {percent(RELATIVE, 1)} of itself)" if said else "no rows"


def _worst(found: Anatomy, result: Report) -> list[tuple[str, str]]:
    from streameval.evaluation.anatomy import WORST_SHARE

    worst = found.grid.worst(WORST_SHARE, result.state.sums)
    if worst is None:
        return []
    part = percent(0.5 * (worst.low + worst.high), 1)
    rows = "row has" if worst.rows == 1 else "rows have"
    return [
        (
            f"worst {percent(WORST_SHARE, 0)}",
            f"the {count(worst.rows)} costliest {rows} {part} of the {_sum(result)}",
        )
    ]


def _sum(result: Report) -> str:
    return f"summed {called(result.loss_function)}"


def _chances(chances: Chances) -> list[tuple[str, str]]:
    from streameval.evaluation.anatomy import BINS, tops
    from streameval.evaluation.anatomy_report import stderr

    ks = zip(tops(chances.classes), chances.top, strict=True)
    listed = ", ".join(f"{k}: {percent(right / chances.rows)}" for k, right in ks if k > 1)
    pairs = [("right in top", listed)] if listed else []
    spread = stderr(chances.brier)
    pairs.append(("Brier", f"{nats(chances.brier.mean)}, standard error {nats(spread)}, for further data"))
    pairs.append(
        (
            "calibration",
            f"error {nats(chances.calibration_error)} over {BINS} bins of confidence, of which chance alone makes "
            f"about {nats(chances.by_chance)}; the largest gap is {nats(chances.largest_gap)}",
        )
    )
    return pairs


def _slices(found: Anatomy, result: Report, style: TextStyle) -> list[str]:
    from streameval.evaluation.anatomy_report import ordered, stderr

    every = ordered(found.slices or {})
    shown, rest = every, []
    if len(every) > VALUES:
        shown = sorted(every, key=lambda one: -(one[1].sums.mean or 0.0))[:VALUES]
        rest = [
            f"  {style.dim(f'the {VALUES} values of {len(every)} with the largest means; --json has all')}"
        ]
    right = result.correct is not None
    head = (
        str(found.column),
        "rows",
        called(result.loss_function),
        "standard error",
        *(("accuracy",) if right else ()),
    )
    rows = [
        (
            value if len(value) <= 24 else f"{value[:21]}...",
            count(one.sums.rows),
            nats(one.sums.mean),
            nats(stderr(one.sums)),
            *((percent(one.correct / one.sums.rows, 1),) if right else ()),
        )
        for value, one in shown
    ]
    return [*table(head, rows, style, left=1), *rest]
