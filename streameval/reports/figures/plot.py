"""What a picture is: marks on two axes, cells, or images; with words and a table that say the same.

Knows shapes and numbers. Does not know how they are rendered: `svg` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import field

from streameval.frozen import frozen

# The palette of Okabe & Ito (2008), told apart by people with any kind of colour vision; `ink` is the text's.
COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "ink": "#222222",
}
MARKERS = ("circle", "square", "triangle", "diamond")

Point = tuple[float, float]


@frozen
class Axis:
    """From `low` to `high`, with (value, text) ticks; `log` places values by their logarithm."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1; what lies outside is moved to the end."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            return math.log(inside / self.low) / math.log(self.high / self.low)
        return (inside - self.low) / (self.high - self.low)


@frozen
class Line:
    """Points joined by a line."""

    points: tuple[Point, ...]
    name: str
    colour: str
    dashed: bool = False


@frozen
class Band:
    """The area between (x, low) and (x, high)."""

    points: tuple[tuple[float, float, float], ...]
    name: str
    colour: str


@frozen
class Bars:
    """Rectangles (x from, x to, y from, y to)."""

    boxes: tuple[tuple[float, float, float, float], ...]
    name: str
    colour: str


@frozen
class Dots:
    """Markers at points; `reach` is a line for each from one end of its interval to the other, in x or in y."""

    points: tuple[Point, ...]
    name: str
    colour: str
    marker: str = "circle"
    reach: tuple[Point, ...] = ()
    across: bool = False  # True: `reach` runs along x


@frozen
class Rule:
    """A straight line through the whole picture at a value of y, or of x if `upright`."""

    at: float
    name: str
    colour: str = "ink"
    upright: bool = False
    dashed: bool = True


Mark = Line | Band | Bars | Dots | Rule


@frozen
class Plot:
    """Marks, drawn in this order, on two axes. `height` in the unit in which the width is 440."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    height: int = 290


@frozen
class Cells:
    """A square matrix; `shade` (0 to 1) is how strongly a cell is coloured, the diagonal in another colour."""

    labels: tuple[str, ...]
    shade: tuple[tuple[float, ...], ...]
    text: tuple[tuple[str, ...], ...]
    down: str
    across: str


@frozen
class Image:
    """A PNG file's bytes, with what it shows, in words that replace it, and below it."""

    png: bytes
    alternative: str
    caption: str


@frozen
class Gallery:
    """Images side by side."""

    images: tuple[Image, ...]


@frozen
class Table:
    """The numbers of a picture; the first `left` columns are words."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 0


@frozen
class Figure:
    """A picture.

    name         of its file and anchor, [a-z-]+
    title        one line · caption: what to see in it, shown below
    description  what a reader who does not see it should know
    """

    name: str
    title: str
    description: str
    caption: str
    drawing: Plot | Cells | Gallery
    table: Table = field(default=Table((), ()))


def linear(label: str, low: float, high: float, *, percent: bool = False) -> Axis:
    """An axis with four to eight round ticks that covers low to high."""
    if not high > low:
        low, high = low - 0.5 * abs(low) - 1e-9, high + 0.5 * abs(high) + 1e-9
    step = _round_step((high - low) / 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    values = [k * step for k in range(first, last + 1)]
    return Axis(label, values[0], values[-1], tuple((v, _tick(v, step, percent)) for v in values))


def logarithmic(label: str, low: float, high: float) -> Axis:
    """A logarithmic axis from low to high, both positive, with powers of ten where at least two lie between."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last <= first:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        last = max(last, first + 1)
        low, high = 10.0**first, 10.0**last
    every = max(1, math.ceil((last - first) / 7))
    ticks = tuple((10.0**k, power(k)) for k in range(first, last + 1, every))
    return Axis(label, low, high, ticks, log=True)


def categories(label: str, names: Sequence[str]) -> Axis:
    """An axis of places: name k lies at k + 0.5; where they are many, only some are written."""
    every = max(1, math.ceil(len(names) / 20))
    ticks = tuple((k + 0.5, name) for k, name in enumerate(names) if k % every == 0)
    return Axis(label, 0.0, float(max(1, len(names))), ticks)


def power(exponent: int) -> str:
    """A power of ten as people write it."""
    if -3 <= exponent <= -1:
        return f"{10.0**exponent:.{-exponent}f}"
    if 0 <= exponent <= 6:
        return f"{10**exponent:,}"
    return "10" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] if c != "-" else "⁻" for c in str(exponent))


def legend(marks: Iterable[Mark]) -> list[Mark]:
    """The marks that have a name, each name once."""
    seen: dict[str, Mark] = {}
    for mark in marks:
        if mark.name:
            seen.setdefault(mark.name, mark)
    return list(seen.values())


def _round_step(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return next(k * size for k in (1, 2, 5, 10) if k * size >= step * 0.999)


def _tick(value: float, step: float, percent: bool) -> str:
    if percent:
        digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
        return f"{100 * value:.{digits}f} %"
    if step < 1e-4:
        return _tiny(value, step)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}" if abs(value) > 1e-12 else "0"


def _tiny(value: float, step: float) -> str:
    """A tick in powers of ten, with as many digits as tell it from the next one."""
    if abs(value) < 0.5 * step:
        return "0"
    digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - math.floor(math.log10(step) + 1e-9))
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
