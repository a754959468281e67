"""Results as text for a terminal: what matters first, columns aligned, no wider than the window.

Knows what a reader looks for. Does not know how anything was computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streameval.defaults import GUARANTEED
from streameval.reports import about, text_anatomy
from streameval.reports.numbers import assumed, bytes_, confidence, count, ends, nats, percent
from streameval.reports.terminal import INDENT, TextStyle, fields, paragraph, table, visible, wrapped
from streameval.reports.words import called, in_unit, more_is_better, subject

if TYPE_CHECKING:
    from streameval.evaluation.report import Report
    from streameval.statistics.intervals.method import Interval
    from streameval.studies.minibatch import MiniBatches
    from streameval.studies.sampler import MiniBatch

# A table of more classes than this shows those with the largest losses.
CLASSES = 20
CONFUSIONS = 8
WORST = 5


def report(result: Report, style: TextStyle, *, images: bool = False) -> str:
    """A finished evaluation; `images`: with the worst rows as pictures."""
    lines = [
        style.bold(subject(result.model, result.data)),
        "",
    ]
    lines += fields(_figures(result), style)
    if result.rows and result.correct is not None:
        lines += ["", *_classes(result, style)]
        lines += ["", *_confusion(result, style)]
    if result.anatomy is not None:
        lines += ["", *text_anatomy.anatomy(result, style)]
    if images:
        from streameval.evaluation.worst import worst_rows
        from streameval.reports import pictures

        drawn = pictures.worst(worst_rows(result), style)
        lines += ["", *(drawn or _heading("no pictures: the rows are no small images of bytes", style))]
    lines += ["", *fields(_background(result), style)]
    return style.finish(lines)


def minibatches(result: MiniBatches, style: TextStyle) -> str:
    """Mini-batches with their intervals, and what to make of them."""
    first = result.batches[0]
    how = "with" if result.replace else "without"
    right, grouped = first.accuracy_interval is not None, first.clustered is not None
    level = confidence(first.interval.level)
    head = (
        "batch",
        called(result.loss_function),
        "standard error",
        *(("by groups",) if grouped else ()),
        f"{level} interval",
    )
    rows = [
        (
            str(k),
            nats(one.loss),
            nats(one.stderr),
            *((_by_groups(one),) if grouped else ()),
            span(one.interval),
            *(_accuracy(one) if right else ()),
        )
        for k, one in enumerate(result.batches, start=1)
    ]
    lines = [
        style.bold(
            f"Mini-batches of {count(first.size)} of the {count(result.data.rows)} rows of {result.data.name}"
        ),
        "",
        *table((*head, *(("accuracy", f"{level} interval") if right else ())), rows, style),
        "",
    ]
    lines += paragraph(f"Rows drawn {how} replacement, seed {result.seed}. {basis(result)}", style)
    if grouped:
        lines += paragraph(
            "By groups: the standard error for further data if the groups drawn, in brackets, are independent and rows "
            "of one need not be. The interval is of these rows, at random: it assumes nothing of which are alike.",
            style,
        )
    for said in warned(result):
        lines += paragraph(said, style)
    lines += fields(about.notes(result.model), style)
    return style.finish(lines)


def basis(result: MiniBatches) -> str:
    """What the intervals are, and rest on."""
    first, rows = result.batches[0], result.data.rows
    if first.population == first.size:
        return f"Each batch is all {count(rows)} rows: its {called(result.loss_function)} is exact."
    return f"Interval: {first.interval.method}, {_promise(result)} {assumed(first.interval.assumes)}"


def warned(result: MiniBatches) -> list[str]:
    """The first warning of an interval, and how many have one; nothing where none has."""
    found = [(k, one.interval.warning) for k, one in enumerate(result.batches, 1) if one.interval.warning]
    if not found:
        return []
    several = len(result.batches) > 1
    of = f" (batch {found[0][0]}; {len(found)} of {len(result.batches)} have one)" if several else ""
    return [f"Warning{of}: {found[0][1]}"]


def _promise(result: MiniBatches) -> str:
    """Of which rows an interval speaks, with which probability, and how many there are."""
    first = result.batches[0].interval
    level = confidence(first.level)
    rows = f"the mean {called(result.loss_function)} of these {count(result.data.rows)} rows"
    held = "guaranteed to hold" if first.method in GUARANTEED else "meant to hold, approximately,"
    alone = (
        f", each batch for itself: of {len(result.batches)} some may miss" if len(result.batches) > 1 else ""
    )
    return f"{held} {rows} in {level} of draws{alone}."


def _by_groups(one: MiniBatch) -> str:
    found = one.clustered
    return "–" if found is None else f"{nats(found.stderr)} ({count(found.groups)})"


def _accuracy(one: MiniBatch) -> tuple[str, str]:
    share = one.accuracy_interval
    if share is None:
        return "–", "–"
    return percent(one.accuracy, 1), f"{percent(share.low, 1)} … {percent(share.high, 1)}"


def span(interval: Interval) -> str:
    """The two ends of an interval."""
    return ends(interval.low, interval.high)


def _figures(result: Report) -> list[tuple[str, str]]:
    sums = result.state.sums
    pairs = [
        (
            called(result.loss_function),
            f"{in_unit(nats(result.loss, 10), result.loss_function)}  ({result.loss_function.detail})",
        ),
    ]
    if result.correct is not None:
        right = f"({count(result.correct)} of {count(result.rows)} rows right)"
        pairs.append(("accuracy", f"{percent(result.accuracy)}  {right}"))
    pairs += worse_than_equal(result) + errors(result)
    if result.rows:
        spread = f"smallest {nats(sums.smallest)}, largest {nats(sums.largest)}"
        if result.stddev is not None:
            spread = f"standard deviation {nats(result.stddev)}, {spread}"
        pairs.append(("spread", spread))
        listed = ", ".join(f"{row} ({nats(loss, 2)})" for loss, row in sums.worst[:WORST])
        pairs.append(("highest rows" if more_is_better(result.loss_function) else "worst rows", listed))
    return pairs + left_out(result)


def worse_than_equal(result: Report) -> list[tuple[str, str]]:
    """That a model which knows nothing would do better: most often the data are not as those that it was trained on."""
    classes = len(result.state.classes)
    if result.loss is None or result.loss_function.name != "cross-entropy" or classes < 2:
        return []
    equal = math.log(classes)
    # Equal ones themselves are as good, but for rounding.
    if result.loss <= equal + 1e-6:
        return []
    said = (
        f"equal probabilities for all {count(classes)} classes would have the smaller loss, {nats(equal)}: are the "
        "data's scale and labels, and the network's activations, those of its training?"
    )
    return [("warning", said)]


def left_out(result: Report) -> list[tuple[str, str]]:
    """How many rows count nowhere; nothing where all do."""
    rows = result.state.sums.left_out
    return [("left out", f"{count(rows)} rows whose loss is not finite")] if rows else []


def errors(result: Report) -> list[tuple[str, str]]:
    """How far the numbers of these rows, exact as they are, lie from those of further data of the same kind."""
    pairs, clusters = [], result.clusters
    if result.stderr is not None:
        said = f"standard error {nats(result.stderr)}{_share(result.accuracy_interval, '')}"
        pairs.append(("errors", f"{said}, for further data if rows are independent"))
    if clusters is not None:
        share, warning = result.accuracy_interval_clustered, clusters.loss.interval().warning
        if warning is None and share is not None and share.warning is not None:
            warning = f"Accuracy: {share.warning}"
        said = f"standard error {nats(clusters.loss.stderr)}{_share(share, 'about ')}"
        said += f", for further data if the {count(clusters.loss.groups)} groups are independent"
        pairs.append(("by groups", said if warning is None else f"{said}. Warning: {warning}"))
    return pairs


def _share(share: Interval | None, about: str) -> str:
    if share is None:
        return ""
    ends = f"{percent(share.low)} to {percent(share.high)}"
    return f", accuracy {ends} with {about}{confidence(share.level)}"


def _classes(result: Report, style: TextStyle) -> list[str]:
    listed = [(k, one) for k, one in enumerate(result.state.classes) if one.rows]
    rest: list[str] = []
    if len(listed) > CLASSES:
        listed.sort(key=lambda pair: -(pair[1].loss or 0.0))
        rest = _heading(f"the {CLASSES} classes of {len(listed)} with the largest losses", style)
        listed = listed[:CLASSES]
    top = max((one.loss or 0.0 for _, one in listed), default=0.0)
    room = min(24, style.width - 46)
    rows = [
        (
            str(k),
            count(one.rows),
            nats(one.loss),
            percent(one.accuracy, 1),
            _bar((one.loss or 0.0), top, room),
        )
        for k, one in listed
    ]
    lines = table(("class", "rows", "loss", "accuracy", ""), [(*row[:4], "") for row in rows], style)
    if room >= 6 and top > 0:
        lines[1:] = [f"{line.rstrip()}  {row[4]}" for line, row in zip(lines[1:], rows, strict=True)]
    return lines + rest


def _heading(words: str, style: TextStyle) -> list[str]:
    return [INDENT + style.dim(line) for line in wrapped(words, style.width - len(INDENT))]


def _bar(value: float, top: float, room: int) -> str:
    return "━" * max(0, round(room * value / top)) if top > 0 else ""


def _confusion(result: Report, style: TextStyle) -> list[str]:
    """The matrix where it fits, else the most frequent mistakes."""
    matrix = result.state.confusion
    head = ["true", *map(str, range(len(matrix)))]
    cells = [[str(k), *(str(n) if n else "·" for n in row)] for k, row in enumerate(matrix)]
    lines = table(head, cells, style)
    if matrix and len(matrix) <= CLASSES and max(map(visible, lines)) <= style.width:
        return [*_heading("rows by true class (down) and predicted class (across)", style), *lines]
    wrong = [(n, true, k) for true, row in enumerate(matrix) for k, n in enumerate(row) if n and k != true]
    wrong.sort(key=lambda one: (-one[0], one[1:]))
    rows = [(str(true), str(k), count(n)) for n, true, k in wrong[:CONFUSIONS]]
    return (
        [*_heading("most frequent mistakes", style), *table(("true", "predicted", "rows"), rows, style)]
        if rows
        else []
    )


def _background(result: Report) -> list[tuple[str, str]]:
    used = result.resources
    pairs = [
        ("time", about.time(result)),
        (
            "memory",
            f"at most {bytes_(used.peak_anon_bytes)}, and {bytes_(used.peak_file_bytes)} of mapped files and libraries",
        ),
        ("model", result.model.summary),
    ]
    pairs += about.notes(result.model)
    pairs += [
        ("data", result.data.fingerprint.removeprefix("sha256:")),
        *content(result),
        ("digest", result.digest),
    ]
    return pairs


def content(result: Report) -> list[tuple[str, str]]:
    """What is known of the rows' content beside what is recorded: nothing is said where nothing was asked for."""
    from streameval.evaluation.names import DataName

    hashed, all_rows = result.hashed, result.state.rows + result.state.sums.left_out
    if hashed is None:
        said = "not checked: no shard was evaluated with --check, so only recorded hashes say that all read the same"
        # Saved outputs are read whole, and their fingerprint is that of what was read.
        merged = isinstance(result.data, DataName) and result.data.merged
        unknown = merged and "saved" not in result.model.describe()
        return [("content", said)] if unknown else []
    how = "as recorded" if hashed.recorded else "nothing is recorded to compare with"
    part = (
        ""
        if hashed.rows >= all_rows
        else f" of {count(all_rows)}; of the others only recorded hashes are known"
    )
    return [("content", f"hashed as it was read, {how}: {count(hashed.rows)} rows{part}")]
