"""Docstrings as they are written here, in plain text, to reStructuredText.

A line `name  what it means`, two spaces or more between, describes an argument, and what is indented below goes on with
it; so does `Error: when` under `Raises:`. A paragraph that is indented by itself is a formula. Backquotes are code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ARGUMENT = re.compile(r"(?P<name>[\w.]+(?:, [\w.]+)*)  +(?P<text>\S.*)")
ERROR = re.compile(r" {4}(?P<name>[A-Z]\w+(?:, [A-Z]\w+)*): (?P<text>.*)")


def converted(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    text = "\n".join(lines).strip("\n")
    out: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        out += [*_paragraph(paragraph.splitlines()), ""]
    return out


def _paragraph(lines: list[str]) -> Iterator[str]:
    if lines and all(line.startswith("    ") for line in lines):
        yield from ("::", "", *lines)
        return
    pattern, below = ARGUMENT, False
    for line in lines:
        if line == "Raises:":
            yield from ("", "**Raises**", "")
            pattern, below = ERROR, False
        elif found := pattern.fullmatch(line):
            yield from ("", f"``{found['name']}``", f"    {_inline(found['text'])}")
            below = True
        elif below and line.startswith(" "):
            yield f"    {_inline(line.strip())}"
        else:
            if below:
                yield ""
            below = False
            yield _inline(line.strip())


def _inline(text: str) -> str:
    parts = re.split(r"`+([^`]*)`+", text)
    plain = [re.sub(r"([*|\\]|_(?!\w))", r"\\\1", part) for part in parts]
    return "".join(f"``{parts[at]}``" if at % 2 else part for at, part in enumerate(plain))


def _process(_app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = converted(lines)


def setup(app: Any) -> dict[str, Any]:
    """Convert what autodoc reads."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
