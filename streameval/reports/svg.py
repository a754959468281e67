"""How plots and matrices are drawn: SVG as plain strings, and the rules by which a style sheet colours them.

Knows SVG. Does not know what is plotted, nor the page or picture around it.
"""

from __future__ import annotations

from html import escape

from streameval.reports.figures.plot import (
    COLOURS,
    Axis,
    Band,
    Bars,
    Cells,
    Dots,
    Figure,
    Line,
    Mark,
    Plot,
    Point,
    Rule,
)

WIDTH = 440
TOP, RIGHT, BOTTOM = 30, 16, 46
LETTER = 8.0  # width of a digit at a font size of 13.5, in a wide font

# Colours on light paper, by their names in the rules; `--card` is what lies under a drawing.
LIGHT = {**COLOURS, "dim": "#5b6068", "grid": "#d9dce1"}

# How what is drawn below looks, on any paper.
RULES = """
.plot text { fill: var(--ink); font-size: 12.5px; font-family: system-ui, sans-serif; }
.plot .label, .plot .tick { fill: var(--dim); }
.plot .number { font-size: 11px; }
.grid { stroke: var(--grid); stroke-width: 1; fill: none; }
.axis { stroke: var(--dim); stroke-width: 1; fill: none; }
.line { stroke: currentColor; stroke-width: 2; fill: none; stroke-linejoin: round; }
.dashed { stroke-dasharray: 6 4; }
.band { fill: currentColor; fill-opacity: .28; }
.bar { fill: currentColor; fill-opacity: .85; }
.dot { fill: currentColor; stroke: var(--card); stroke-width: 1; }
.cell { fill: currentColor; }
""" + "\n".join(f".c-{name} {{ color: var(--{name}); }}" for name in COLOURS)


def draw(figure: Figure) -> str:
    """Return the figure's plot or matrix as an <svg> element with a title and a description."""
    height, content = drawing(figure)
    title, words = escape(figure.title), escape(figure.description)
    return (
        f'<svg class="plot" role="img" aria-label="{title}. {words}" viewBox="0 0 {WIDTH} {_n(height)}">'
        f"<title>{title}</title><desc>{words}</desc>{content}</svg>"
    )


def drawing(figure: Figure) -> tuple[float, str]:
    """Return height and content of the figure's plot or matrix, WIDTH wide; for an element of class "plot"."""
    if isinstance(figure.drawing, Plot):
        return figure.drawing.height, "".join(_plot(figure.drawing))
    if isinstance(figure.drawing, Cells):
        return _cells(figure.drawing)
    raise TypeError(f"{type(figure.drawing).__name__} is no drawing of lines")


def swatch(mark: Mark) -> str:
    """Return a small <svg> that shows what a mark looks like, for a legend; hidden from screen readers."""
    if isinstance(mark, Line | Rule):
        inner = f'<path class="line{_dash(mark)}" d="M0 6H22"/>'
    elif isinstance(mark, Band):
        inner = '<rect class="band" width="22" height="12"/>'
    elif isinstance(mark, Bars):
        inner = '<rect class="bar" x="4" width="14" height="12"/>'
    else:
        inner = _marker(mark.marker, 11, 6)
    return (
        f'<svg class="swatch c-{mark.colour}" viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">'
        f"{inner}</svg>"
    )


class _View:
    """From values to points of the drawing."""

    def __init__(self, plot: Plot) -> None:
        widest = max((len(text) for _, text in plot.y.ticks), default=0)
        self.x, self.y = plot.x, plot.y
        self.left = 14 + LETTER * widest
        self.right = WIDTH - max(RIGHT, LETTER * len(plot.x.ticks[-1][1]) / 2 if plot.x.ticks else 0)
        self.top, self.bottom = TOP, plot.height - BOTTOM

    def across(self, value: float) -> float:
        return self.left + (self.right - self.left) * self.x.share(value)

    def up(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * self.y.share(value)

    def at(self, point: Point) -> str:
        return f"{_n(self.across(point[0]))} {_n(self.up(point[1]))}"


def _plot(plot: Plot) -> list[str]:
    view = _View(plot)
    parts = _axes(plot, view)
    for mark in plot.marks:
        parts.append(f'<g class="c-{mark.colour}">{_mark(mark, view)}</g>')
    return parts


def _axes(plot: Plot, view: _View) -> list[str]:
    parts = [f'<text class="label" x="2" y="14">{escape(plot.y.label)}</text>']
    for value, text in plot.y.ticks:
        y = view.up(value)
        if not _is_places(plot.y):
            parts.append(f'<path class="grid" d="M{_n(view.left)} {_n(y)}H{_n(view.right)}"/>')
        parts.append(
            f'<text class="tick" x="{_n(view.left - 7)}" y="{_n(y + 4)}" text-anchor="end">{escape(text)}</text>'
        )
    free = -1e9
    for value, text in plot.x.ticks:
        x = view.across(value)
        half = 0.5 * LETTER * len(text)
        # A tick's text that would run into the one before it is left out; its line stays.
        if not _is_places(plot.x):
            parts.append(f'<path class="grid" d="M{_n(x)} {_n(view.top)}V{_n(view.bottom)}"/>')
        if x - half > free:
            parts.append(
                f'<text class="tick" x="{_n(x)}" y="{_n(view.bottom + 17)}" text-anchor="middle">{escape(text)}</text>'
            )
            free = x + half + 5
    parts.append(f'<path class="axis" d="M{_n(view.left)} {_n(view.bottom)}H{_n(view.right)}"/>')
    middle, below = 0.5 * (view.left + view.right), plot.height - 8
    parts.append(
        f'<text class="label" x="{_n(middle)}" y="{_n(below)}" text-anchor="middle">{escape(plot.x.label)}</text>'
    )
    return parts


def _is_places(axis: Axis) -> bool:
    """True for an axis of names: its ticks need no lines."""
    return axis.low == 0.0 and bool(axis.ticks) and axis.ticks[0][0] == 0.5


def _mark(mark: Mark, view: _View) -> str:
    if isinstance(mark, Line):
        return f'<path class="line{_dash(mark)}" d="M{"L".join(view.at(p) for p in mark.points)}"/>'
    if isinstance(mark, Band):
        there = [view.at((x, low)) for x, low, _ in mark.points]
        back = [view.at((x, high)) for x, _, high in reversed(mark.points)]
        return f'<path class="band" d="M{"L".join(there + back)}Z"/>'
    if isinstance(mark, Bars):
        return "".join(_box(box, view) for box in mark.boxes)
    if isinstance(mark, Rule):
        if mark.upright:
            way = f"M{_n(view.across(mark.at))} {_n(view.top)}V{_n(view.bottom)}"
        else:
            way = f"M{_n(view.left)} {_n(view.up(mark.at))}H{_n(view.right)}"
        return f'<path class="line{_dash(mark)}" d="{way}"/>'
    return _dots(mark, view)


def _box(box: tuple[float, float, float, float], view: _View) -> str:
    x0, x1 = view.across(box[0]), view.across(box[1])
    y1, y0 = view.up(box[2]), view.up(box[3])
    if y1 - y0 < 0.05 or x1 - x0 < 0.05:
        return ""
    return f'<rect class="bar" x="{_n(x0)}" y="{_n(y0)}" width="{_n(x1 - x0)}" height="{_n(y1 - y0)}"/>'


def _dots(mark: Dots, view: _View) -> str:
    parts = []
    for (x, y), (low, high) in zip(mark.points, mark.reach, strict=False):
        ends = ((low, y), (high, y)) if mark.across else ((x, low), (x, high))
        parts.append(f'<path class="line" d="M{view.at(ends[0])}L{view.at(ends[1])}"/>')
    parts += [_marker(mark.marker, view.across(x), view.up(y)) for x, y in mark.points]
    return "".join(parts)


def _marker(kind: str, x: float, y: float) -> str:
    if kind == "circle":
        return f'<circle class="dot" cx="{_n(x)}" cy="{_n(y)}" r="4"/>'
    ways = {
        "square": "m-3.6-3.6h7.2v7.2h-7.2Z",
        "triangle": "m0-5l4.6 8.4h-9.2Z",
        "diamond": "m0-5.2l5 5.2l-5 5.2l-5-5.2Z",
    }
    return f'<path class="dot" d="M{_n(x)} {_n(y)}{ways[kind]}"/>'


def _dash(mark: Line | Rule) -> str:
    return " dashed" if mark.dashed else ""


def _cells(drawing: Cells) -> tuple[float, str]:
    count = len(drawing.labels)
    left, top = 26 + LETTER * max(map(len, drawing.labels)), 44
    size = (WIDTH - left - 4) / count
    shown = size >= 30  # numbers of up to five digits fit
    every = max(1, -(-count // 20))
    center = size * count / 2
    parts = [
        f'<text class="label" x="{_n(left + center)}" y="14" text-anchor="middle">{escape(drawing.across)}</text>',
        f'<text class="label" transform="translate(13 {_n(top + center)}) rotate(-90)" '
        f'text-anchor="middle">{escape(drawing.down)}</text>',
    ]
    for k, label in enumerate(drawing.labels):
        if k % every:
            continue
        middle = (k + 0.5) * size
        text = escape(label)
        parts.append(f'<text class="tick" x="{_n(left + middle)}" y="36" text-anchor="middle">{text}</text>')
        parts.append(
            f'<text class="tick" x="{_n(left - 6)}" y="{_n(top + middle + 4)}" text-anchor="end">{text}</text>'
        )
    for i, row in enumerate(drawing.shade):
        for j, shade in enumerate(row):
            x, y = left + j * size, top + i * size
            colour = "blue" if i == j else "orange"
            parts.append(
                f'<rect class="cell c-{colour}" x="{_n(x)}" y="{_n(y)}" width="{_n(size - 1)}" '
                f'height="{_n(size - 1)}" fill-opacity="{_n(0.06 + 0.55 * shade if shade > 0 else 0.03)}"/>'
            )
            if shown and drawing.text[i][j]:
                parts.append(
                    f'<text class="number" x="{_n(x + size / 2)}" y="{_n(y + size / 2 + 4)}" '
                    f'text-anchor="middle">{escape(drawing.text[i][j])}</text>'
                )
    return top + size * count + 4, "".join(parts)


def _n(value: float) -> str:
    """A number with at most two decimals, without needless ones."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
