"""How text is laid out for where it is read: width, colour, characters, aligned columns.

Knows terminals. Does not know what is said.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Iterable, Sequence
from typing import TextIO

from streameval.escaping import escaped
from streameval.frozen import frozen

# What is written where the encoding has no such characters.
PLAIN = {
    "·": "-", "→": "->", "↓": "v", "±": "+-", "×": "x", "…": "...", "–": "-", "✓": "ok", "✗": "NO", "━": "-", "│": "|",
    "█": "#", "∞": "inf",
}  # fmt: skip
INDENT = "  "
# Around a code of colour until the text is finished: no name in a file can hold what is drawn anew for each process.
_OPEN, _CLOSE = (chr(one) for one in random.SystemRandom().sample(range(0x100000, 0x10FFFE), 2))
COLOUR = re.compile(f"{_OPEN}([\\d;]*){_CLOSE}")
FINISHED = re.compile(r"\x1b\[[\d;]*m")
# Where a line may be cut: at a space, but not after "±", nor before "%" or one word in brackets.
CUT = re.compile(r"(?<!±) (?!%|\([^ ()]*\))")


@frozen
class TextStyle:
    """How a stream is to be written to: columns, colour or not, only ASCII or more."""

    width: int = 80
    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: TextIO) -> TextStyle:
        """What suits a stream: colour only on a terminal and without NO_COLOR; 80 columns where none are known."""
        terminal = stream.isatty()
        width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(max(40, width), colour, _has(stream.encoding, "".join(PLAIN)))

    def bold(self, text: str) -> str:
        """`text`, to be seen first."""
        return self.painted(text, "1")

    def dim(self, text: str) -> str:
        """`text`, to be seen last."""
        return self.painted(text, "2")

    def good(self, text: str) -> str:
        """`text` that says that something is right."""
        return self.painted(text, "32")

    def bad(self, text: str) -> str:
        """`text` that says that something is not right."""
        return self.painted(text, "31")

    def finish(self, lines: Iterable[str]) -> str:
        """The lines as one text, in characters that the stream has; what cannot be printed is escaped."""
        text = "\n".join(escaped(line.rstrip(), keep=_OPEN + _CLOSE) for line in lines)
        if not self.unicode:
            for fancy, simple in PLAIN.items():
                text = text.replace(fancy, simple)
        return COLOUR.sub("\x1b[\\1m", text)

    def painted(self, text: str, code: str) -> str:
        """`text` with the codes of an SGR sequence, such as "38;5;240", where the stream has colour."""
        return f"{_OPEN}{code}{_CLOSE}{text}{_OPEN}0{_CLOSE}" if self.colour and text else text


def fields(pairs: Iterable[tuple[str, str]], style: TextStyle) -> list[str]:
    """Names and values in two columns; long values go on below themselves, cut at spaces."""
    listed = list(pairs)
    wide = max((len(name) for name, _ in listed), default=0)
    lines = []
    for name, value in listed:
        room = max(20, style.width - len(INDENT) - wide - 2)
        for number, part in enumerate(wrapped(value, room) or [""]):
            label = name if number == 0 else ""
            lines.append(f"{INDENT}{style.dim(label)}{' ' * (wide - len(label) + 2)}{part}")
    return lines


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], style: TextStyle, *, left: int = 0
) -> list[str]:
    """Columns aligned to the right, the first `left` of them to the left, under their dimmed heads."""
    body = [list(row) for row in rows]
    widths = [max(len(row[k]) for row in [list(head), *body]) for k in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = [
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        return INDENT + "  ".join(cells)

    return [style.dim(line(head).rstrip()), *map(line, body)]


def visible(line: str) -> int:
    """Columns that a line takes: colour takes none."""
    return len(FINISHED.sub("", COLOUR.sub("", line)))


def wrapped(text: str, width: int) -> list[str]:
    """`text` cut at spaces into lines of at most `width` characters; a longer word is left whole.

    A number keeps the "±" before it, the "%" after it, and what follows in brackets: "79019 (8.90)".
    """
    lines: list[str] = []
    line = ""
    for word in CUT.split(text):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def paragraph(text: str, style: TextStyle) -> list[str]:
    """`text` as lines that are pleasant to read: not wider than the terminal, nor than 88 characters."""
    return wrapped(text, min(style.width, 88))


def numbered(text: str, style: TextStyle) -> list[str]:
    """A paragraph that begins with "1. ", later lines below its first word."""
    mark, _, rest = text.partition(" ")
    first, *more = wrapped(rest, min(style.width, 88) - len(mark) - 1)
    return [f"{mark} {first}", *(f"{' ' * len(mark)} {line}" for line in more)]


def _has(encoding: str | None, characters: str) -> bool:
    try:
        characters.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
