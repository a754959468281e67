"""Single pictures as PNG files, by matplotlib. Knows matplotlib; does not know what is plotted."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from streameval.errors import UsageError
from streameval.files import atomic_file, storage_errors
from streameval.reports.figures.plot import (
    COLOURS,
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
)
from streameval.reports.figures.plot import legend as named
from streameval.reports.page import Page

MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D"}
INCH = 70.0  # units of a plot's height
DPI = 200


def check() -> None:
    """Raise UsageError, with what to type, if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError("--png: matplotlib is not installed. Install it: pip install 'streameval[report]'")


def write(page: Page, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every figure to FOLDER/NAME.png, each whole or not at all; return the paths.

    The folder is made if it is not there. Raises UsageError without matplotlib, StorageError.
    """
    check()
    place, written = Path(folder), []
    with storage_errors(place):
        place.mkdir(exist_ok=True)
    for figure in page.figures:
        path = place / f"{figure.name}.png"
        with atomic_file(path) as file:
            _draw(figure, file)
        written.append(path)
    return written


def _draw(figure: Figure, file: Any) -> None:
    # Figures are made without pyplot: no state is shared, and no window system is looked for.
    from matplotlib.figure import Figure as Canvas

    drawing = figure.drawing
    height = (
        drawing.height / INCH if isinstance(drawing, Plot) else 6.0 if isinstance(drawing, Cells) else 3.4
    )
    canvas = Canvas(figsize=(6.3, height + 0.9), layout="constrained", dpi=DPI)
    canvas.suptitle(figure.title, fontsize=12)
    if isinstance(drawing, Plot):
        _plot(drawing, canvas)
    elif isinstance(drawing, Cells):
        _cells(drawing, canvas.subplots())
    else:
        _gallery(drawing, canvas)
    canvas.savefig(file, format="png", metadata={"Description": figure.description})


def _plot(plot: Plot, canvas: Any) -> None:
    axes = canvas.subplots()
    for mark in plot.marks:
        _mark(mark, axes, plot)
    _axis(plot.x, axes.set_xlim, axes.set_xscale, axes.set_xticks, axes.set_xlabel)
    _axis(plot.y, axes.set_ylim, axes.set_yscale, axes.set_yticks, axes.set_ylabel)
    axes.minorticks_off()
    axes.grid(True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if named(plot.marks):
        canvas.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)


def _axis(axis: Axis, limits: Any, scale: Any, ticks: Any, label: Any) -> None:
    if axis.log:
        scale("log")
    limits(axis.low, axis.high)
    ticks([value for value, _ in axis.ticks], [text for _, text in axis.ticks], fontsize=8)
    label(axis.label, fontsize=9)


def _mark(mark: Mark, axes: Any, plot: Plot) -> None:
    colour = COLOURS[mark.colour]
    if isinstance(mark, Line):
        axes.plot(
            *zip(*mark.points, strict=True),
            color=colour,
            label=mark.name,
            linestyle="--" if mark.dashed else "-",
        )
    elif isinstance(mark, Band):
        x, low, high = zip(*mark.points, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.28, linewidth=0, label=mark.name)
    elif isinstance(mark, Bars):
        left, right, bottom, top = (np.array(ends) for ends in zip(*mark.boxes, strict=True))
        axes.bar(left, top - bottom, right - left, bottom, align="edge", color=colour, label=mark.name)
    elif isinstance(mark, Dots):
        _dots(mark, axes, colour)
    else:
        line = axes.axvline if mark.upright else axes.axhline
        line(mark.at, color=colour, linewidth=1.2, linestyle="--" if mark.dashed else "-", label=mark.name)


def _dots(mark: Dots, axes: Any, colour: str) -> None:
    x, y = zip(*mark.points, strict=True)
    for (a, b), (low, high) in zip(mark.points, mark.reach, strict=False):
        ends = ([low, high], [b, b]) if mark.across else ([a, a], [low, high])
        axes.plot(*ends, color=colour, linewidth=1.6)
    axes.plot(x, y, MARKERS[mark.marker], color=colour, label=mark.name, markersize=5, clip_on=False)


def _cells(drawing: Cells, axes: Any) -> None:
    count = len(drawing.labels)
    for i, row in enumerate(drawing.shade):
        for j, shade in enumerate(row):
            colour = COLOURS["blue" if i == j else "orange"]
            axes.add_patch(_box(j - 0.5, i - 0.5, colour, 0.05 + 0.55 * shade))
            if count <= 12:
                axes.text(j, i, drawing.text[i][j], ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(count), drawing.labels, fontsize=8)
    axes.set_yticks(range(count), drawing.labels, fontsize=8)
    axes.set_xlabel(drawing.across)
    axes.set_ylabel(drawing.down)


def _box(left: float, bottom: float, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), 0.97, 0.97, color=colour, alpha=alpha, linewidth=0)


def _gallery(drawing: Gallery, canvas: Any) -> None:
    import io

    from matplotlib.image import imread

    across = min(5, len(drawing.images))
    grid = canvas.subplots(-(-len(drawing.images) // across), across, squeeze=False)
    for k, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if k < len(drawing.images):
            axes.imshow(imread(io.BytesIO(drawing.images[k].png), format="png"), cmap="gray", vmin=0, vmax=1)
            axes.set_title(drawing.images[k].caption, fontsize=7)
