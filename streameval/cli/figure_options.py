"""What `--html` and `--png` have in common: files of pictures, written before anything is printed.

Knows where pictures go. Does not know what is on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from streameval.cli import options
from streameval.files import Output, check_outputs
from streameval.frozen import frozen

if TYPE_CHECKING:
    from streameval.reports.page import Page


@frozen
class FigureOptions:
    """What was given of the options below."""

    html: str | None
    png: str | None

    def check(self, inputs: Mapping[str, object], *others: Output) -> None:
        """Raise before the work, not after it, if pictures cannot be drawn here, or an output be written.

        inputs  option or argument -> what it was given: a path, several, or None
        others  what the command writes besides pictures

        Errors are those of `files.check_outputs`, and UsageError without what draws.
        """
        from streameval.storage.input_files import input_files

        mine = Output("--html", self.html), Output("--png", self.png, inside="*.png")
        check_outputs((*others, *mine), {name: input_files(given or ()) for name, given in inputs.items()})
        if self.png is not None:
            from streameval.reports import pyplot

            pyplot.check()

    def write(self, page: str, result: Any) -> None:
        """Write the pictures that were asked for, of the page of this name in `pages`; draw nothing if none were."""
        if self.html is None and self.png is None:
            return
        from streameval.reports import html as to_html
        from streameval.reports import pages

        drawn: Page = getattr(pages, page)(result)
        if self.html is not None:
            to_html.write(drawn, self.html)
        if self.png is not None:
            from streameval.reports import pyplot

            pyplot.write(drawn, self.png)


figure_options = options.gathered(
    "figures",
    FigureOptions,
    options.option("--html", metavar="OUT.html", help="Write a report with pictures to this file."),
    options.option(
        "--png", metavar="FOLDER", help="Write each picture to this folder; needs streameval[report]."
    ),
)
