"""Single pictures: the page's drawings and no others, the same on a machine with and without fonts."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from streameval.errors import UsageError
from streameval.reports import html, pictures, svg
from streameval.reports.figures.plot import (
    COLOURS,
    Bars,
    Dots,
    Figure,
    Gallery,
    Image,
    Line,
    Plot,
    Rule,
    linear,
)
from streameval.reports.png import grey

PLOT = Plot(
    linear("x", 0.0, 1.0),
    linear("y", 0.0, 1.0),
    (
        Bars(((0.1, 0.4, 0.0, 0.5),), "bars", "blue"),
        Dots(((0.7, 0.5),), "dots", "vermillion", "square"),
        Rule(0.9, "rule", "green", dashed=False),
        Line(((0.5, 0.1), (0.9, 0.1)), "line", "purple"),
    ),
)
FIGURE = Figure("a", "A title", "In words: ± 0.1 …", "caption", PLOT)


@pytest.fixture(autouse=True)
def _rasteriser():
    pytest.importorskip("resvg_py", reason="resvg_py is not installed: pip install 'streameval[report]'")


def pixels(png: bytes) -> np.ndarray:
    """(height, width, 3) of a PNG file of 8 bit RGBA, by the five filters of ISO/IEC 15948; all must be opaque."""
    at, data = 8, b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + content) == struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0]
        data += content if kind == b"IDAT" else b""
        at += 12 + size
    width, height, *form = struct.unpack(">2I5B", png[16:29])
    assert form == [8, 6, 0, 0, 0]
    lines, stride = zlib.decompress(data), 4 * width
    rows, above = [], [0] * (4 + stride)  # a pixel to the left of all others, and a row above
    for y in range(height):
        filtered, *line = lines[y * (1 + stride) : (y + 1) * (1 + stride)]
        now = [0] * 4
        for x, value in enumerate(line):
            a, b, c = now[x], above[x + 4], above[x]
            if filtered == 4:
                guess = min((a, b, c), key=lambda one, p=a + b - c: abs(p - one))
            else:
                guess = (0, a, b, (a + b) // 2)[filtered]
            now.append((value + guess) & 255)
        rows.append(now[4:])
        above = now
    image = np.array(rows).reshape(height, width, 4)
    assert (image[:, :, 3] == 255).all()
    return image[:, :, :3]


def over_white(colour: str, alpha: float = 1.0) -> np.ndarray:
    """(3,): a colour of the palette, seen through on white paper."""
    full = np.array([int(COLOURS[colour][k : k + 2], 16) for k in (1, 3, 5)])
    return alpha * full + (1 - alpha) * 255


def test_the_page_and_the_files_show_the_same_drawings(made):
    for page in made.values():
        text = html.render(page)
        for figure in page.figures:
            if isinstance(figure.drawing, Gallery):
                images = re.findall(r"data:image/png;base64,[^\"]+", pictures.document(figure))
                assert images == re.findall(r"data:image/png;base64,[^\"]+", text)
            else:
                _, content = svg.drawing(figure)
                assert content in text
                assert content in pictures.document(figure)


def test_every_figure_is_a_file_of_its_name_with_its_description(made, tmp_path):
    for k, page in made.items():
        written = pictures.write(page, tmp_path / k)
        assert [path.name for path in written] == [f"{figure.name}.png" for figure in page.figures]
        assert sorted(written) == sorted((tmp_path / k).iterdir())
        for path, figure in zip(written, page.figures, strict=True):
            png = path.read_bytes()
            assert f"Description\0\0\0\0\0{figure.description}".encode() in png
            width, height = struct.unpack(">2I", png[16:24])
            assert width == 3 * (440 + 24)
            assert height > 400


def test_everything_lies_inside_of_the_picture(made):
    """Texts by their middle or their ends, with letters of 0.5 of their height at least."""
    for figure in [figure for page in made.values() for figure in page.figures]:
        root = ElementTree.fromstring(pictures.document(figure))
        width, height = float(root.get("width")), float(root.get("height"))
        ends = []

        def walk(part, x, y, ends=ends):
            move = re.fullmatch(r"translate\((\S+) (\S+)\)", part.get("transform", ""))
            x, y = (x + float(move[1]), y + float(move[2])) if move else (x, y)
            if part.tag.endswith("text") and "rotate" not in part.get("transform", ""):
                left, wide = x + float(part.get("x")), 6.2 * len(part.text or "")
                left -= {"end": wide, "middle": wide / 2}.get(part.get("text-anchor"), 0)
                ends.append((left, left + wide, y + float(part.get("y"))))
            for child in part:
                walk(child, x, y)

        walk(root, 0.0, 0.0)
        assert ends
        assert all(left >= -6 and right <= width and 0 < down < height for left, right, down in ends), ends


def test_marks_have_their_colours_where_their_values_lie():
    image = pixels(pictures.render(FIGURE))
    view = svg._View(PLOT)
    head = pictures.MARGIN + pictures.TITLE + 6

    def at(x, y):
        return image[round(3 * (head + view.up(y))), round(3 * (pictures.MARGIN + view.across(x)))]

    assert np.abs(at(0.25, 0.23) - over_white("blue", 0.85)).max() <= 1
    assert np.abs(at(0.7, 0.5) - over_white("vermillion")).max() <= 1
    assert np.abs(at(0.33, 0.9) - over_white("green")).max() <= 1
    assert np.abs(at(0.7, 0.1) - over_white("purple")).max() <= 1
    for x, y in ((0.05, 0.25), (0.45, 0.25), (0.25, 0.57), (0.7, 0.57), (0.33, 0.95), (0.95, 0.1)):
        assert (at(x, y) == 255).all(), (x, y)
    # The corners are paper, and the title is ink.
    assert (image[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    assert image[3 * pictures.MARGIN : 3 * head, : 3 * 100].min() < 60


def test_images_are_shown_pixel_by_pixel():
    values = np.array([[0, 255], [200, 100]], np.uint8)
    gallery = Gallery((Image(grey(values), "Two by two", "row 1\nclass 1"),))
    image = pixels(pictures.render(Figure("w", "Worst", "Words", "caption", gallery)))
    top, left, side = pictures.MARGIN + pictures.TITLE + 6, pictures.MARGIN, svg.WIDTH / pictures.ACROSS - 8
    for y in (0, 1):
        for x in (0, 1):
            inside = [
                slice(int(3 * (s + side * k / 2)) + 3, int(3 * (s + side * (k + 1) / 2)) - 3)
                for s, k in ((top, y), (left, x))
            ]
            assert (image[inside[0], inside[1]] == values[y, x]).all()


def test_a_picture_does_not_depend_on_the_fonts_of_the_machine(monkeypatch):
    """Not one byte; and without the package's own font, or any other, the words would be missing."""
    import resvg_py

    rasterise = resvg_py.svg_to_bytes
    here = pictures.render(FIGURE)
    for system in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(
                resvg_py,
                "svg_to_bytes",
                lambda system=system, **given: rasterise(**(given | {"skip_system_fonts": system})),
            )
            assert pictures.render(FIGURE) == here
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **given: rasterise(**(given | {"font_files": []})))
    assert pictures.render(FIGURE) != here


def letters(font: Path) -> set[str]:
    """The characters that a TrueType file has, by its table cmap (format 4)."""
    data = font.read_bytes()
    (tables,) = struct.unpack(">H", data[4:6])
    where = {data[12 + 16 * k :][:4]: struct.unpack(">I", data[20 + 16 * k :][:4])[0] for k in range(tables)}
    cmap = data[where[b"cmap"] :]
    (count,) = struct.unpack(">H", cmap[2:4])
    starts = [struct.unpack(">I", cmap[8 + 8 * k :][:4])[0] for k in range(count)]
    table = next(cmap[start:] for start in starts if cmap[start : start + 2] == b"\0\4")
    (double,) = struct.unpack(">H", table[6:8])
    ends = struct.unpack(f">{double // 2}H", table[14 : 14 + double])
    firsts = struct.unpack(f">{double // 2}H", table[16 + double : 16 + 2 * double])
    return {chr(c) for first, last in zip(firsts, ends, strict=True) for c in range(first, last + 1)}


def test_the_font_has_the_letters_that_are_left_to_it():
    covered = {chr(c) for c in range(0x20, 0x10000) if pictures.COVERED.fullmatch(chr(c))}
    assert covered - letters(pictures.FONT) == set()
    assert set("aZ09±×…–·%|⁰¹²³⁴⁵⁶⁷⁸⁹⁻→≥λΩéß") <= covered


def test_titles_from_outside_are_drawn_whatever_they_are(tmp_path):
    for title in ("<b>&\"'", "模型", "a\x01b", "\udcff", "x" * 200, "one two " * 20):
        figure = Figure("odd", title, title, "caption", PLOT)
        ElementTree.fromstring(pictures.document(figure))
        assert len(pictures.render(figure)) > 5000


def test_without_the_rasteriser_the_error_says_what_to_type(monkeypatch, made, tmp_path):
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"resvg_py is not installed.*pip install 'streameval\[report\]'"):
        pictures.write(made["until"], tmp_path)
    assert list(tmp_path.iterdir()) == []
