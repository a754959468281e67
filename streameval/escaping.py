"""Text for a terminal or a page: what files, paths and exceptions say cannot move the cursor, or reorder what is read.

Knows characters. Does not know where text comes from: everything that is printed goes through here.
"""

from __future__ import annotations

import html


def escaped(text: str, keep: str = "") -> str:
    """`text` as one line of printable characters: others as Python writes them, ESC as \\x1b, U+202E as \\u202e.

    keep  characters that are left as they are, such as a newline of the project's own

    Not printable are control characters, line and paragraph separators, marks that change the direction of writing or
    join letters, halves of surrogate pairs, and what Unicode has not assigned (`str.isprintable`).
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def in_html(text: str, keep: str = "") -> str:
    """The same, as text of a page or an attribute."""
    return html.escape(escaped(text, keep))


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
