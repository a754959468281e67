"""Small images in a terminal: two pixels a character, one above the other, several images side by side.

Knows characters and colours of terminals. Does not know what is on the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streameval.reports.numbers import count, nats
from streameval.reports.terminal import INDENT, TextStyle

if TYPE_CHECKING:
    from streameval.evaluation.worst import WorstRow

GAP = "  "
# Without colour a pixel is there or not: neither of the two, the lower, the upper, both.
HALVES = " ▄▀█"
SHADES = " .:-=+*#%@"
# The greys of the 256 colours of a terminal: 232 is nearly black, 255 nearly white.
BLACK, GREYS = 232, 24


def worst(rows: Sequence[WorstRow], style: TextStyle) -> list[str]:
    """The rows that are images, with number, true and predicted class and loss below each, as many a line as fit."""
    shown = [row for row in rows if row.image is not None]
    if not shown:
        return []
    # Below an image of few pixels its words are wider.
    wide = max(16, *(row.image.shape[1] for row in shown if row.image is not None))
    across = max(1, (style.width - len(INDENT)) // (wide + len(GAP)))
    lines = []
    for start in range(0, len(shown), across):
        lines += [*_beside([_cell(row, style, wide) for row in shown[start : start + across]]), ""]
    return lines[:-1]


def _beside(cells: list[list[str]]) -> list[str]:
    return [INDENT + GAP.join(parts) for parts in zip(*cells, strict=True)]


def _cell(row: WorstRow, style: TextStyle, wide: int) -> list[str]:
    """An image and its words, each line `wide` columns."""
    assert row.image is not None
    image = blocks(row.image, style)
    words = [f"row {count(row.row)}", " · ".join(filter(None, (classes(row), nats(row.loss, 2))))]
    margin = " " * (wide - row.image.shape[1])
    return [*(line + margin for line in image), *(style.dim(word.ljust(wide)) for word in words)]


def classes(row: WorstRow) -> str:
    """What a row is, and what it was taken for: "7 taken for 2"; nothing of a row without a class."""
    if row.label is None:
        return ""
    return f"class {row.label}" if row.predicted is None else f"{row.label} taken for {row.predicted}"


def blocks(image: NDArray[np.uint8], style: TextStyle) -> list[str]:
    """(height, width) or (height, width, 3) uint8 as ceil(height / 2) lines of `width` characters."""
    grey = image.astype(np.float64)
    if image.ndim == 3:
        grey = grey @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601: how bright red, green and blue look
    upper = grey[0::2]
    lower = np.vstack([grey[1::2], np.zeros((len(grey) % 2, grey.shape[1]))])
    if style.colour:
        return [_painted(one, two, style) for one, two in zip(upper, lower, strict=True)]
    if style.unicode:
        places = 2 * (upper >= 128).astype(int) + (lower >= 128)
        return ["".join(HALVES[place] for place in line) for line in places]
    shades = ((upper + lower) / 2 * (len(SHADES) - 1) / 255).round().astype(int)
    return ["".join(SHADES[shade] for shade in line) for line in shades]


def _painted(upper: NDArray[np.float64], lower: NDArray[np.float64], style: TextStyle) -> str:
    """One line: each upper pixel as the colour of a half block, each lower one as that of its ground."""
    codes = [
        f"38;5;{BLACK + int(one * (GREYS - 1) / 255)};48;5;{BLACK + int(two * (GREYS - 1) / 255)}"
        for one, two in zip(upper, lower, strict=True)
    ]
    parts, start = [], 0
    for k in range(1, len(codes) + 1):  # one code for a run of equal pixels
        if k == len(codes) or codes[k] != codes[start]:
            parts.append(style.painted("▀" * (k - start), codes[start]))
            start = k
    return "".join(parts)
