"""Single pictures as PNG files: the page's own SVG, drawn by matplotlib, which brings a font of its own.

Knows matplotlib and the few elements that `svg` writes. Does not know how a figure is laid out.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from streameval.errors import UsageError
from streameval.files import atomic_file, storage_errors
from streameval.reports import svg
from streameval.reports.figures.plot import COLOURS, Figure
from streameval.reports.page import Page

POINTS = 72.0  # in an inch: a unit of the drawing is a point, so sizes of lines and letters are the drawing's
DPI = 216  # three pixels for a unit
SCREEN_DPI = 108  # one and a half
STEP = re.compile(r"([MLHVZmlhv])([^MLHVZmlhv]*)")
NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
ALIGN = {"start": "left", "middle": "center", "end": "right"}


def check() -> None:
    """Raise UsageError, with what to type, if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise UsageError(
            "pictures (--png, plot): matplotlib is not installed. Install it: pip install 'streameval[report]'"
        )


def write(page: Page, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every figure to FOLDER/NAME.png, each whole or not at all; return the paths.

    The folder is made if it is not there. Raises UsageError without matplotlib, StorageError.
    """
    check()
    target, written = Path(folder), []
    with storage_errors(target):
        target.mkdir(exist_ok=True)
    for figure in page.figures:
        path = target / f"{figure.name}.png"
        with atomic_file(path) as file:
            _draw(figure, file)
        written.append(path)
    return written


def canvas(figures: Sequence[Figure], dpi: float = SCREEN_DPI) -> Any:
    """The figures on one `matplotlib.figure.Figure`, two side by side, for a notebook or a file.

    Raises UsageError without matplotlib.
    """
    check()
    # Figures are made without pyplot: no state is shared, and no window system is looked for.
    from matplotlib.figure import Figure as Canvas

    class Picture(Canvas):
        """Shown by a notebook as it is, with pyplot and without."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    roots = [ElementTree.fromstring(svg.picture(one)) for one in figures]
    sizes = [[float(one) for one in root.attrib["viewBox"].split()[2:]] for root in roots]
    ends, places = [0.0, 0.0], []
    for _, high in sizes:  # each where there is room first
        column = min(range(min(2, len(roots))), key=lambda k: ends[k])
        places.append((column * sizes[0][0], ends[column]))
        ends[column] += high
    width, height = sizes[0][0] * min(2, len(roots)), max(ends)
    drawn = Picture(figsize=(width / POINTS, height / POINTS), dpi=dpi)
    axes = drawn.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(0.0, width), ylim=(height, 0.0))
    axes.set_axis_off()
    for root, place in zip(roots, places, strict=True):
        _children(root, axes, place, "ink")
    return drawn


def _draw(figure: Figure, file: Any) -> None:
    drawn = canvas([figure], DPI)
    # Neither date nor version is written: the same figure gives the same bytes.
    drawn.savefig(file, format="png", metadata={"Description": figure.description, "Software": None})


def _children(parent: ElementTree.Element, axes: Any, origin: tuple[float, float], colour: str) -> None:
    for element in parent:
        name = element.tag
        classes = element.get("class", "").split()
        mine = next((one[2:] for one in classes if one.startswith("c-")), colour)
        if name in ("g", "svg"):
            x, y = float(element.get("x", 0)), float(element.get("y", 0))
            _children(element, axes, (origin[0] + x, origin[1] + y), mine)
        elif name == "text":
            _text(element, axes, origin, svg.style(classes))
        elif name == "image":
            _image(element, axes, origin)
        elif name in ("path", "rect", "circle"):
            axes.add_patch(_patch(element, origin, svg.style(classes) | dict(element.items()), mine))


def _patch(
    element: ElementTree.Element, origin: tuple[float, float], style: dict[str, str], colour: str
) -> Any:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Circle, PathPatch, Rectangle

    def paint(name: str, alpha: float) -> Any:
        value = style.get(name, "none")
        named = colour if value == "c" else value
        return "none" if value == "none" else to_rgba((COLOURS | svg.PAPER)[named], alpha)

    drawn: dict[str, Any] = {
        "facecolor": paint("fill", float(style.get("fill-opacity", 1))),
        "edgecolor": paint("stroke", 1.0),
        "linewidth": float(style.get("stroke-width", 0)),
        "joinstyle": "round",
        "capstyle": "butt",
        "clip_on": False,
        "zorder": 1,  # of all alike: what comes later lies above
    }
    if "stroke-dasharray" in style:
        dashes = [float(one) / drawn["linewidth"] for one in style["stroke-dasharray"].split()]
        drawn["linestyle"] = (0, dashes)
    if element.tag == "path":
        return PathPatch(_path(element.attrib["d"], origin), **drawn)
    at = [float(element.get(name, 0)) for name in (("cx", "cy") if element.tag == "circle" else ("x", "y"))]
    corner = (origin[0] + at[0], origin[1] + at[1])
    if element.tag == "circle":
        return Circle(corner, float(element.attrib["r"]), **drawn)
    return Rectangle(corner, float(element.attrib["width"]), float(element.attrib["height"]), **drawn)


def _path(text: str, origin: tuple[float, float]) -> Any:
    """The path of an SVG `d`, of the commands that `svg` writes: M, L, H, V, Z and m, l, h, v."""
    from matplotlib.path import Path as Outline

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    x, y = 0.0, 0.0
    for command, rest in STEP.findall(text):
        numbers = [float(one) for one in NUMBER.findall(rest)]
        base = (x, y) if command.islower() else (0.0, 0.0)
        kind = command.upper()
        if kind == "Z":
            points.append(points[-1])
            codes.append(Outline.CLOSEPOLY)
            continue
        x = x if kind == "V" else base[0] + numbers[0]
        y = y if kind == "H" else base[1] + numbers[-1]
        points.append((origin[0] + x, origin[1] + y))
        codes.append(Outline.MOVETO if kind == "M" else Outline.LINETO)
    return Outline(points, codes)


def _text(
    element: ElementTree.Element, axes: Any, origin: tuple[float, float], style: dict[str, str]
) -> None:
    moved = [float(one) for one in NUMBER.findall(element.get("transform", ""))]  # x, y, angle
    x, y = moved[:2] if moved else (float(element.attrib["x"]), float(element.attrib["y"]))
    axes.text(
        origin[0] + x,
        origin[1] + y,
        element.text or "",
        fontsize=float(style["font-size"].removesuffix("px")),
        fontweight=style.get("font-weight", "normal"),
        color=(COLOURS | svg.PAPER)[style["fill"]],
        ha=ALIGN[element.get("text-anchor", "start")],
        va="baseline",
        rotation=-moved[2] if moved else 0.0,
        rotation_mode="anchor",
        zorder=1,
        parse_math=False,
        family="DejaVu Sans",
    )


def _image(element: ElementTree.Element, axes: Any, origin: tuple[float, float]) -> None:
    from matplotlib.image import imread

    data = base64.b64decode(element.attrib["href"].partition(",")[2])
    x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
    left, top = origin[0] + x, origin[1] + y
    pixels = imread(io.BytesIO(data), format="png")
    limits = axes.get_xlim(), axes.get_ylim()
    extent = (left, left + width, top + height, top)
    image = axes.imshow(
        pixels, extent=extent, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    image.set_zorder(1)
    axes.set(xlim=limits[0], ylim=limits[1])
