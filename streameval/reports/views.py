"""How each kind of result is looked at: one row for each type in the table `VIEWS`.

Knows which text and which page belong to a type. Does not know what stands in them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from streameval.errors import UsageError
from streameval.escaping import in_html
from streameval.reports.page import Page
from streameval.reports.terminal import TextStyle

# Type, by its full name -> (module and function of its text, function of `pages`; None where it has no pictures).
VIEWS: Final = {
    "streameval.evaluation.report.Report": ("text", "report", "report"),
    "streameval.evaluation.semantics.Semantics": ("text_semantics", "semantics", None),
    "streameval.evaluation.weighted_report.Weighted": ("text_weighted", "weighted", None),
    "streameval.evaluation.verify.Verified": ("text_verify", "verified", None),
    "streameval.statistics.ratios.Ratio": ("text_ratio", "ratio", None),
    "streameval.studies.calibration.Calibration": ("text_calibration", "calibration", "calibration"),
    "streameval.studies.comparison.Comparison": ("text_compare", "comparison", "comparison"),
    "streameval.studies.minibatch.MiniBatches": ("text", "minibatches", "minibatches"),
    "streameval.studies.paired.Paired": ("text_paired", "paired", "paired"),
    "streameval.studies.until.Until": ("text_until", "until", "until"),
}


def text(result: Any) -> str:
    """The result as a command prints it, in characters that stdout has, without colour: a text may go anywhere."""
    module, function, _ = _row(result)
    encoding = "utf-8" if sys.stdout is None else getattr(sys.stdout, "encoding", None) or "utf-8"
    style = TextStyle(unicode=encoding.lower().replace("-", "").startswith("utf"))
    written: str = getattr(import_module(f"streameval.reports.{module}"), function)(result, style)
    return written


def page(result: Any) -> Page:
    """The result's page. Raises UsageError for one that has none."""
    made = _page_of(result)
    if made is None:
        raise UsageError(f"a {type(result).__name__} has no pictures. Print it: print(result)")
    return made(result)


def html(result: Any) -> str:
    """The result as a part of somebody's page; without pictures, its text as it is."""
    from streameval.reports import html as to_html

    made = _page_of(result)
    return (
        to_html.fragment(made(result))
        if made is not None
        else f"<pre>{in_html(text(result), keep=chr(10))}</pre>"
    )


def write(result: Any, path: str | os.PathLike[str]) -> None:
    """Write the result's page to `path`. Raises UsageError for a result without one; StorageError, LockedError."""
    from streameval.reports import html as to_html

    to_html.write(page(result), path)


def plot(result: Any, name: str | None) -> Any:
    """The pictures of the result's page on one `matplotlib.figure.Figure`, or the one called `name`.

    Raises UsageError for a result or a name without a picture, and without matplotlib.
    """
    from streameval.reports import pyplot

    figures = page(result).figures
    chosen = [one for one in figures if name is None or one.name == name]
    if not chosen:
        there = ", ".join(repr(one.name) for one in figures) or "none"
        raise UsageError(f"plot: {name!r}, expected one of the pictures of this result: {there}.")
    return pyplot.canvas(chosen)


def _page_of(result: Any) -> Callable[[Any], Page] | None:
    from streameval.reports import pages

    name = _row(result)[2]
    made: Callable[[Any], Page] | None = None if name is None else getattr(pages, name)
    return made


def _row(result: Any) -> tuple[str, str, str | None]:
    for kind in type(result).__mro__:
        row = VIEWS.get(f"{kind.__module__}.{kind.__qualname__}")
        if row is not None:
            return row
    raise UsageError(f"{type(result).__name__}: no result that is shown.")
