"""Role `measured`: a figure of docs/performance.md, read when the site is built.

{measured}`seed / streameval / median` is the cell in column `median` of row `streameval` in the table under the heading
that begins with `seed:`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes

PAGE = Path(__file__).resolve().parent.parent / "performance.md"


def figure(path: str, text: str | None = None) -> str:
    """The cell that `path` names: heading / row / column. LookupError says what is not there."""
    page = PAGE.read_text() if text is None else text
    heading, row, column = (part.strip() for part in path.split("/"))
    found = re.search(
        rf"^##+ {re.escape(heading)}(?::[^\n]*)?\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise LookupError(f"performance.md has no heading {heading!r}")
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    names, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if column not in names:
        raise LookupError(
            f"the table under {heading!r} in performance.md has the columns {names}, not {column!r}"
        )
    for cells in rows:
        if cells[0] == row:
            return cells[names.index(column)]
    raise LookupError(f"the table under {heading!r} in performance.md has no row {row!r}")


def measured(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()
) -> tuple[list[Any], list[Any]]:
    """The role itself."""
    inliner.document.settings.env.note_dependency(str(PAGE))
    try:
        return [nodes.strong(rawtext, figure(text))], []
    except LookupError as error:
        message = inliner.reporter.error(str(error), line=lineno)
        return [inliner.problematic(rawtext, rawtext, message)], [message]


def setup(app: Any) -> dict[str, Any]:
    """Add the role."""
    app.add_role("measured", measured)
    return {"parallel_read_safe": True}
