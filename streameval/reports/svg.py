"""Plots and matrices as inline SVG: plain strings, coloured by the page's style sheet.

Knows SVG. Does not know what is plotted, nor the page around it.
"""

from __future__ import annotations

import base64
import textwrap

from streameval.escaping import in_html
from streameval.reports.figures.plot import (
    Axis,
    Band,
    Bars,
    Cells,
    Dots,
    Figure,
    Gallery,
    Line,
    Mark,
    Plot,
    Point,
    Rule,
    legend,
)

WIDTH = 440
TOP, RIGHT, BOTTOM = 30, 16, 46
# Colours of the page on a light ground, besides those of `plot.COLOURS`.
PAPER = {"paper": "#ffffff", "card": "#f6f7f9", "dim": "#5b6068", "grid": "#d9dce1"}
# How an element of each class is drawn; colours by name, `c` is that of its own c-NAME or of the group it is in.
STYLES = {
    "grid": {"stroke": "grid", "stroke-width": "1", "fill": "none"},
    "axis": {"stroke": "dim", "stroke-width": "1", "fill": "none"},
    "line": {"stroke": "c", "stroke-width": "2", "fill": "none", "stroke-linejoin": "round"},
    "dashed": {"stroke-dasharray": "6 4"},
    "band": {"fill": "c", "fill-opacity": ".28"},
    "bar": {"fill": "c", "fill-opacity": ".85"},
    "dot": {"fill": "c", "stroke": "card", "stroke-width": "1"},
    "cell": {"fill": "c"},
    "card": {"fill": "paper"},
    "label": {"fill": "dim", "font-size": "12.5px"},
    "tick": {"fill": "dim", "font-size": "12.5px"},
    "number": {"fill": "ink", "font-size": "11px"},
    "title": {"fill": "ink", "font-size": "14px", "font-weight": "bold"},
    "small": {"fill": "dim", "font-size": "9px"},
}
MARGIN = 10
LETTER = 8.0  # width of a digit at a font size of 13.5, in a wide font


def draw(figure: Figure) -> str:
    """Return the figure's plot or matrix as an <svg> element with a title and a description."""
    drawing = figure.drawing
    if isinstance(drawing, Plot):
        return _svg(figure, drawing.height, _plot(drawing))
    if isinstance(drawing, Cells):
        height, parts = _cells(drawing)
        return _svg(figure, height, parts)
    raise TypeError(f"{type(drawing).__name__} is no drawing of lines")


def style(classes: list[str]) -> dict[str, str]:
    """What the classes of an element say together."""
    return {name: value for one in classes for name, value in STYLES.get(one, {}).items()}


def picture(figure: Figure) -> str:
    """Return the whole figure as one <svg>: title, drawing or images, and legend; for where there is no page."""
    titles = textwrap.wrap(figure.title, 50)
    parts = [f'<rect class="card" width="{WIDTH + 2 * MARGIN}" height="HEIGHT"/>']
    parts += [_words("title", MARGIN, 24 + 19 * k, line) for k, line in enumerate(titles)]
    y = 19.0 * len(titles) + 20
    drawing = figure.drawing
    if isinstance(drawing, Gallery):
        below, inner = _images(drawing)
    else:
        below, inner = (drawing.height, _plot(drawing)) if isinstance(drawing, Plot) else _cells(drawing)
    parts.append(f'<svg x="{MARGIN}" y="{_n(y)}">{"".join(inner)}</svg>')
    y += below + MARGIN
    for mark in legend(drawing.marks) if isinstance(drawing, Plot) else ():
        lines = textwrap.wrap(mark.name, 56)
        parts.append(swatch(mark).replace("<svg ", f'<svg x="{MARGIN}" y="{_n(y)}" ', 1))
        parts += [_words("label", MARGIN + 30, y + 10 + 16 * k, line) for k, line in enumerate(lines)]
        y += 16 * len(lines) + 3
    size = f"{WIDTH + 2 * MARGIN} {_n(y + MARGIN)}"
    return f'<svg viewBox="0 0 {size}">{"".join(parts)}</svg>'.replace("HEIGHT", _n(y + MARGIN), 1)


def _words(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}">{in_html(text)}</text>'


def _images(drawing: Gallery) -> tuple[float, list[str]]:
    across, size = min(5, len(drawing.images)), 76
    lines = [image.caption.splitlines() for image in drawing.images]
    row = size + 10 + 12 * max(map(len, lines))
    parts = []
    for k, image in enumerate(drawing.images):
        x, y = k % across * (WIDTH / across), k // across * row
        data = base64.b64encode(image.png).decode()
        parts.append(
            f'<image x="{_n(x)}" y="{_n(y)}" width="{size}" height="{size}" href="data:image/png;base64,{data}"/>'
        )
        parts += [_words("small", x, y + size + 11 + 12 * j, line) for j, line in enumerate(lines[k])]
    return -(-len(drawing.images) // across) * row, parts


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


def _svg(figure: Figure, height: float, parts: list[str]) -> str:
    title, words = in_html(figure.title), in_html(figure.description)
    return (
        f'<svg class="plot" role="img" aria-label="{title}. {words}" viewBox="0 0 {WIDTH} {_n(height)}">'
        f"<title>{title}</title><desc>{words}</desc>{''.join(parts)}</svg>"
    )


class _Scale:
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
    scale = _Scale(plot)
    parts = _axes(plot, scale)
    for mark in plot.marks:
        parts.append(f'<g class="c-{mark.colour}">{_mark(mark, scale)}</g>')
    return parts


def _axes(plot: Plot, scale: _Scale) -> list[str]:
    parts = [f'<text class="label" x="2" y="14">{in_html(plot.y.label)}</text>']
    for value, text in plot.y.ticks:
        y = scale.up(value)
        if not _is_names(plot.y):
            parts.append(f'<path class="grid" d="M{_n(scale.left)} {_n(y)}H{_n(scale.right)}"/>')
        parts.append(
            f'<text class="tick" x="{_n(scale.left - 7)}" y="{_n(y + 4)}" text-anchor="end">{in_html(text)}</text>'
        )
    free = -1e9
    for value, text in plot.x.ticks:
        x = scale.across(value)
        half = 0.5 * LETTER * len(text)
        # A tick's text that would run into the one before it is left out; its line stays.
        if not _is_names(plot.x):
            parts.append(f'<path class="grid" d="M{_n(x)} {_n(scale.top)}V{_n(scale.bottom)}"/>')
        if x - half > free:
            parts.append(
                f'<text class="tick" x="{_n(x)}" y="{_n(scale.bottom + 17)}" text-anchor="middle">'
                f"{in_html(text)}</text>"
            )
            free = x + half + 5
    parts.append(f'<path class="axis" d="M{_n(scale.left)} {_n(scale.bottom)}H{_n(scale.right)}"/>')
    middle, below = 0.5 * (scale.left + scale.right), plot.height - 8
    parts.append(
        f'<text class="label" x="{_n(middle)}" y="{_n(below)}" text-anchor="middle">{in_html(plot.x.label)}</text>'
    )
    return parts


def _is_names(axis: Axis) -> bool:
    """True for an axis of names: its ticks need no lines."""
    return axis.low == 0.0 and bool(axis.ticks) and axis.ticks[0][0] == 0.5


def _mark(mark: Mark, scale: _Scale) -> str:
    if isinstance(mark, Line):
        return f'<path class="line{_dash(mark)}" d="M{"L".join(scale.at(p) for p in mark.points)}"/>'
    if isinstance(mark, Band):
        there = [scale.at((x, low)) for x, low, _ in mark.points]
        back = [scale.at((x, high)) for x, _, high in reversed(mark.points)]
        return f'<path class="band" d="M{"L".join(there + back)}Z"/>'
    if isinstance(mark, Bars):
        return "".join(_box(box, scale) for box in mark.boxes)
    if isinstance(mark, Rule):
        if mark.upright:
            way = f"M{_n(scale.across(mark.at))} {_n(scale.top)}V{_n(scale.bottom)}"
        else:
            way = f"M{_n(scale.left)} {_n(scale.up(mark.at))}H{_n(scale.right)}"
        return f'<path class="line{_dash(mark)}" d="{way}"/>'
    return _dots(mark, scale)


def _box(box: tuple[float, float, float, float], scale: _Scale) -> str:
    x0, x1 = scale.across(box[0]), scale.across(box[1])
    y1, y0 = scale.up(box[2]), scale.up(box[3])
    if y1 - y0 < 0.05 or x1 - x0 < 0.05:
        return ""
    return f'<rect class="bar" x="{_n(x0)}" y="{_n(y0)}" width="{_n(x1 - x0)}" height="{_n(y1 - y0)}"/>'


def _dots(mark: Dots, scale: _Scale) -> str:
    parts = []
    for (x, y), (low, high) in zip(mark.points, mark.reach, strict=False):
        ends = ((low, y), (high, y)) if mark.across else ((x, low), (x, high))
        parts.append(f'<path class="line" d="M{scale.at(ends[0])}L{scale.at(ends[1])}"/>')
    parts += [_marker(mark.marker, scale.across(x), scale.up(y)) for x, y in mark.points]
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


def _cells(drawing: Cells) -> tuple[float, list[str]]:
    count = len(drawing.labels)
    left, top = 26 + LETTER * max(map(len, drawing.labels)), 44
    size = (WIDTH - left - 4) / count
    shown = size >= 30  # numbers of up to five digits fit
    every = max(1, -(-count // 20))
    center = size * count / 2
    parts = [
        f'<text class="label" x="{_n(left + center)}" y="14" text-anchor="middle">{in_html(drawing.across)}</text>',
        f'<text class="label" transform="translate(13 {_n(top + center)}) rotate(-90)" '
        f'text-anchor="middle">{in_html(drawing.down)}</text>',
    ]
    for k, label in enumerate(drawing.labels):
        if k % every:
            continue
        middle = (k + 0.5) * size
        text = in_html(label)
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
                    f'text-anchor="middle">{in_html(drawing.text[i][j])}</text>'
                )
    return top + size * count + 4, parts


def _n(value: float) -> str:
    """A number with at most two decimals, without needless ones."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
