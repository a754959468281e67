"""Single pictures as PNG files: the page's drawings with title and legend, rasterised by resvg.

Knows where title, drawing and legend go. Does not know how a plot is drawn: `svg` does. Letters are drawn with a
font of the package's own, so that a picture is the same on every machine; those that it lacks with the machine's.
The font: DejaVu Sans (https://dejavu-fonts.github.io), its Latin and Greek letters, digits and signs.
"""

from __future__ import annotations

import base64
import os
import re
from html import escape
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap

from streameval.errors import UsageError
from streameval.files import atomic_file, storage_errors
from streameval.reports import svg
from streameval.reports.figures.plot import Figure, Gallery, Image, Mark, Plot, legend
from streameval.reports.page import Page
from streameval.reports.png import described

FONT = Path(__file__).parent / "font" / "DejaVuSans.ttf"
# What the font has; other letters come only from outside, in names of files.
COVERED = re.compile(
    "[\n -~\u00a0-\u017f\u0391-\u03a1\u03a3-\u03ce\u2010-\u2026\u2190-\u2193\u2200-\u2265⁰¹²³⁴⁵⁶⁷⁸⁹⁻]*"
)
# What XML has no way to write.
UNWRITABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

MARGIN, ZOOM = 12, 3  # units around a picture; pixels a unit
TITLE, TITLE_LETTERS = 22, 46  # height of a line; letters that fit into one
ENTRY, LETTER, GAP = 20, 6.8, 16  # a legend's line; width of its letters; between its entries
ACROSS = 5  # images side by side


def check() -> None:
    """Raise UsageError, with what to type, if resvg_py is not installed."""
    if find_spec("resvg_py") is None:
        raise UsageError("--png: resvg_py is not installed. Install it: pip install 'streameval[report]'")


def write(page: Page, folder: str | os.PathLike[str]) -> list[Path]:
    """Write every figure to FOLDER/NAME.png, each whole or not at all; return the paths.

    The folder is made if it is not there. Raises UsageError without resvg_py, StorageError.
    """
    check()
    target, written = Path(folder), []
    with storage_errors(target):
        target.mkdir(exist_ok=True)
    for figure in page.figures:
        path = target / f"{figure.name}.png"
        with atomic_file(path) as file:
            file.write(render(figure))
        written.append(path)
    return written


def render(figure: Figure) -> bytes:
    """Return the figure as a PNG file, with its description in words."""
    import resvg_py

    text = document(figure)
    values = {**svg.LIGHT, "card": "#ffffff"}
    png = resvg_py.svg_to_bytes(
        svg_string=text,
        style_sheet=re.sub(r"var\(--(\w+)\)", lambda name: values[name[1]], svg.RULES),
        background=values["card"],
        zoom=ZOOM,
        font_files=[str(FONT)],
        sans_serif_family="DejaVu Sans",
        skip_system_fonts=COVERED.fullmatch(text) is not None,
    )
    return described(bytes(png), figure.description)


def document(figure: Figure) -> str:
    """Return the figure as one SVG document: title, drawing or images, legend."""
    parts, y = [], 0.0
    for line in wrap(figure.title, TITLE_LETTERS):
        y += TITLE
        parts.append(f'<text x="0" y="{y - 8:g}" style="font-size: 15px">{escape(line)}</text>')
    y += 6
    if isinstance(figure.drawing, Gallery):
        height, content = _gallery(figure.drawing.images)
    else:
        height, content = svg.drawing(figure)
    parts.append(_at(0, y, content))
    y += height
    if isinstance(figure.drawing, Plot):
        height, content = _legend(legend(figure.drawing.marks))
        parts.append(_at(0, y + 6, content))
        y += height
    size = f'width="{svg.WIDTH + 2 * MARGIN}" height="{y + 2 * MARGIN:.0f}"'
    text = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" {size}>{_at(MARGIN, MARGIN, "".join(parts))}</svg>'
    # A file name need not be UTF-8: what is not is shown as an escape.
    return UNWRITABLE.sub("\ufffd", text.encode(errors="backslashreplace").decode())


def _at(x: float, y: float, content: str) -> str:
    return f'<g transform="translate({x:g} {y:g})">{content}</g>'


def _legend(marks: list[Mark]) -> tuple[float, str]:
    """Height and content of the entries, as many in a line as fit."""
    x, y, parts = 0.0, 0.0, []
    for mark in marks:
        wide = 30 + LETTER * len(mark.name)
        if x and x + wide > svg.WIDTH:
            x, y = 0.0, y + ENTRY
        parts.append(_at(x, y, f'{svg.swatch(mark)}<text x="30" y="10">{escape(mark.name)}</text>'))
        x += wide + GAP
    return (y + ENTRY if parts else 0.0), "".join(parts)


def _gallery(images: tuple[Image, ...]) -> tuple[float, str]:
    """Height and content of the images with their captions, in rows of the same height."""
    step, parts = svg.WIDTH / ACROSS, []
    most = max((image.caption.count("\n") + 1 for image in images), default=0)
    tall = step + 14 * most + 4
    for k, image in enumerate(images):
        data = base64.b64encode(image.png).decode()
        content = f'<image width="{step - 8:g}" height="{step - 8:g}" image-rendering="optimizeSpeed" '
        content += f'href="data:image/png;base64,{data}"/>'
        for n, line in enumerate(image.caption.split("\n")):
            content += f'<text class="number" x="0" y="{step + 6 + 14 * n:g}">{escape(line)}</text>'
        parts.append(_at(k % ACROSS * step, k // ACROSS * tall, content))
    return -(-len(images) // ACROSS) * tall, "".join(parts)
