"""What `--html` and `--png` have in common: files of pictures, written before anything is printed.

Knows where pictures go. Does not know what is on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streameval.cli import options

if TYPE_CHECKING:
    from streameval.reports.page import Page

html = options.option("--html", metavar="OUT.html", help="Write a report with pictures to this file.")
png = options.option(
    "--png", metavar="FOLDER", help="Write each picture to this folder; needs streameval[report]."
)


def write(page: Callable[[Any], Page], result: Any, html: str | None, png: str | None) -> None:
    """Write the pictures that were asked for; nothing is drawn if none were."""
    if html is None and png is None:
        return
    from streameval.reports import html as to_html

    drawn = page(result)
    if html is not None:
        to_html.write(drawn, html)
    if png is not None:
        from streameval.reports import pyplot

        pyplot.write(drawn, png)


def check(png: str | None) -> None:
    """Raise UsageError before the work, not after it, if pictures cannot be drawn here."""
    if png is not None:
        from streameval.reports import pyplot

        pyplot.check()
