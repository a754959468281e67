"""The HTML report: whole in itself, told in words too, drawn without an error by a browser."""

from __future__ import annotations

import base64
import math
import os
import re
import shutil
import struct
import subprocess
import zlib
from fractions import Fraction
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from mnist_file import nudged

import streameval as se
from streameval.errors import UsageError
from streameval.reports import html, pages, pyplot, svg, views
from streameval.reports.figures import plot
from streameval.reports.figures.batches import falls_short
from streameval.reports.png import encode

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)
KINDS = ("comparison", "report", "until", "paired", "sequential")


@pytest.fixture(scope="module")
def made(network_file, digits_file):
    """A page of each kind."""
    model = se.load_model(network_file)
    other, third = nudged(model, 0.02), nudged(model, 0.05)
    return {
        "comparison": pages.comparison(se.compare(model, digits_file, trials=50)),
        "report": pages.report(se.evaluate(model, digits_file)),
        "until": pages.until(se.evaluate_until(model, digits_file, half_width=0.1)),
        "paired": pages.paired(se.paired([model, other, third], digits_file)),
        "sequential": pages.paired(se.paired([model, other], digits_file, half_width=0.1)),
    }


class Tags(HTMLParser):
    """Every start tag with its attributes, and a check that tags close in order."""

    VOID = ("meta", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.open = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def drawings(text):
    """The plots of a page, parsed as XML."""
    found = re.findall(r'<svg class="plot".*?</svg>', text, re.DOTALL)
    return [ElementTree.fromstring(one) for one in found]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_refers_to_nothing_outside_of_itself(made, kind):
    text = html.render(made[kind])
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    for tag, attributes in Tags(text).found:
        assert tag not in ("script", "iframe", "object", "base")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "data:").startswith("data:")
        assert not any(name.startswith("on") for name in attributes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_told_in_words_and_in_numbers(made, kind):
    page = made[kind]
    text = html.render(page)
    plots = drawings(text)
    galleries = text.count('class="gallery"')
    assert len(plots) + galleries == len(page.figures) > 0
    for one in plots:
        assert one.get("role") == "img"
        title, words = one.find("title"), one.find("desc")
        assert title is not None
        assert words is not None
        assert title.text
        assert len(words.text) > 20
        assert one.get("aria-label") == f"{title.text}. {words.text}"
    for figure in page.figures:
        assert figure.table.rows, figure.name
        assert {len(row) for row in figure.table.rows} == {len(figure.table.head)}
    assert text.count("<details>") == len(page.figures)
    images = [attributes for tag, attributes in Tags(text).found if tag == "img"]
    assert all(len(image["alt"]) > 10 for image in images)
    names = [figure.name for figure in page.figures]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_lies_inside_of_its_drawing(made, kind):
    """No coordinate is outside of the view, or not a number."""
    for one in drawings(html.render(made[kind])):
        _, _, width, height = map(float, one.get("viewBox").split())
        assert "nan" not in ElementTree.tostring(one, "unicode").lower().replace("naming", "")
        for part in one.iter():
            for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                if part.get(name) is not None and part.get("transform") is None:
                    assert -1 <= float(part.get(name)) <= most + 1, ElementTree.tostring(part)


def test_the_pictures_asked_for_are_there(made):
    names = {kind: [figure.name for figure in made[kind].figures] for kind in KINDS}
    assert names["comparison"] == [
        "spread", "coverage", "precision", "order", "histogram", "share", "classes", "confusion", "worst",
    ]  # fmt: skip
    assert names["report"] == ["classes", "worst", "confusion"]
    assert names["until"] == ["running", "narrowing"]
    assert names["sequential"] == ["gain", "classes", "running"]
    assert len(names["paired"]) == 4


def test_names_from_outside_are_escaped(digits_file, tmp_path, network_file):
    hostile = tmp_path / "<script>alert(1)</script>&\"'.arrow".replace("/", "_")
    shutil.copy(digits_file, hostile)
    text = html.render(pages.report(se.evaluate(se.load_model(network_file), hostile)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    Tags(text)


def test_a_file_name_that_is_not_utf8_has_a_page_too(digits_file, network_file, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.arrow")
    shutil.copy(digits_file, odd)
    page = pages.report(se.evaluate(se.load_model(network_file), odd))
    html.write(page, tmp_path / "out.html")
    assert r"\udcff.arrow</h1>" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_page_says_which_loss_it_is(digits_file, network_file):
    model = se.load_model(network_file)
    assert "<dt>loss</dt><dd>with log(y + 1e-07)</dd>" in html.render(
        pages.report(se.evaluate(model, digits_file))
    )
    exact = se.compare(model, digits_file, sizes=(5,), trials=5, eps=0)
    assert "<dt>loss</dt><dd>exact log-softmax</dd>" in html.render(pages.comparison(exact))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("trials", [1, 10, 100, 2000])
def test_an_interval_that_keeps_its_promise_is_hardly_ever_said_to_fall_short(level, trials):
    """By the binomial distribution, computed exactly; and one that covers nothing is found out in time."""
    short = [k for k in range(trials + 1) if falls_short(k / trials, level, trials)]
    keep = Fraction(str(level))
    miss = 1 - keep
    chance = sum(math.comb(trials, k) * keep**k * miss ** (trials - k) for k in short)
    assert chance < Fraction(1, 1000)
    assert short == list(range(len(short)))
    assert bool(short) is (trials * -math.log(1 - level) > math.log(1000))
    if trials == 2000 and level == 0.95:
        assert 0.93 < max(short) / trials < 0.94


def test_rows_that_are_no_images_and_no_rows_have_pages_too():
    model = se.Mlp([se.Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), "identity")])
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 3
    assert [f.name for f in pages.report(se.evaluate(model, rows)).figures] == ["classes", "confusion"]
    none = pages.report(se.evaluate(model, rows, rows=slice(0, 0)))
    assert none.figures == ()
    Tags(html.render(none))
    one = rows[0][:1], rows[1][:1]
    Tags(html.render(pages.comparison(se.compare(model, one, sizes=(1,), trials=1))))
    Tags(html.render(pages.until(se.evaluate_until(model, one))))
    Tags(html.render(pages.paired(se.paired([model, model], one))))


def test_a_page_says_when_not_to_trust_it_as_the_text_does():
    """Rows that are left out, errors by groups, warnings of intervals, and how runs were joined."""
    scores = se.open_outputs(
        {"right": [1, 0, 1, 1, np.nan], "id": list("abcde"), "topic": list("xxyyy")},
        score="right",
        row_id="id",
        group="topic",
        allow_nonfinite=True,
    )
    fewer = se.open_outputs({"right": [0, 1, 1, 0], "id": list("dbac")}, score="right", row_id="id")
    evaluated, drawn = se.evaluate(scores), se.minibatch(scores, size=2, batches=3, seed=0)
    compared = se.paired([scores, fewer])
    several = se.paired([scores, fewer, fewer])
    told = (
        (evaluated, ("left out", "standard error", "by groups", "Warning: 2 groups")),
        (drawn, ("Warning (batch ",)),
        (compared, ("Warning: ", "joined", "1 rows without a finite value", "independent of each other")),
        (several, ("Warning: ", "joined")),
    )
    for result, words in told:
        page, printed = html.render(views.page(result)), " ".join(str(result).split())
        for one in words:
            assert one in printed, one
            assert one in page, one


@pytest.mark.parametrize(
    ("bias", "loss", "warned"),
    [
        ((9.0, 0.0, 0.0), None, True),
        ((0.0, 0.0, 0.0), se.CrossEntropy(eps=0), False),
        ((1.0, 0.0, 0.0), se.CrossEntropy(eps=0), True),
        ((9.0, 0.0, 0.0), se.BinaryCrossEntropy(), False),
    ],
)
def test_a_loss_above_that_of_equal_probabilities_is_told(bias, loss, warned):
    """Data in another scale, or labels in another order, are seen by nothing else."""
    model = se.Mlp([se.Layer(np.zeros((4, 3), np.float32), np.array(bias, np.float32), "identity")])
    t = np.arange(300) % 3
    if isinstance(loss, se.BinaryCrossEntropy):
        t = np.eye(3)[t]
    report = se.evaluate(model, (np.zeros((300, 4), np.float32), t), loss=loss)
    printed = " ".join(str(report).split())
    said = "equal probabilities for all 3 classes would have the smaller loss, 1.0986: are the data"
    assert (said in printed) == (said in html.render(views.page(report))) == warned


def test_an_image_survives_the_way_through_png():
    """Read back by hand: signature, checksums, one filter byte a line."""
    image = np.random.default_rng(0).integers(0, 256, (7, 5), dtype=np.uint8)
    data = encode(image)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, parts = 8, {}
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        (check,) = struct.unpack(">I", data[place + 8 + size : place + 12 + size])
        assert check == zlib.crc32(kind + content)
        parts[kind] = content
        place += 12 + size
    assert struct.unpack(">2I5B", parts[b"IHDR"]) == (5, 7, 8, 0, 0, 0, 0)
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(7, 6)
    assert (lines[:, 0] == 0).all()
    assert np.array_equal(lines[:, 1:], image)


def test_the_worst_rows_are_shown_as_they_are(made, digits_file, network_file):
    report = se.evaluate(se.load_model(network_file), digits_file)
    chunk = se.open(digits_file).take(np.array([row for _, row in report.state.sums.worst]))
    images = re.findall(r"data:image/png;base64,([^\"]+)", html.render(made["report"]))
    assert [base64.b64decode(one) for one in images] == [encode(x.reshape(28, 28)) for x in chunk.x]


@pytest.mark.parametrize("low", [1e-9, 0.003, 0.9, 1.0, 57.0])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 30.0, 1e5])
def test_axes_cover_what_they_are_asked_for(low, ratio):
    high = low * ratio
    for axis in (plot.linear("x", low, high), plot.linear("x", -high, low), plot.logarithmic("x", low, high)):
        assert axis.low < axis.high
        assert 2 <= len(axis.ticks) <= 12
        assert len({text for _, text in axis.ticks}) == len(axis.ticks)
        assert axis.share(axis.low) == 0.0
        assert axis.share(axis.high) == pytest.approx(1.0)
        assert axis.share(high * 10 + 1) == axis.share(axis.high)
    assert plot.linear("x", low, high).high >= high * (1 - 1e-9)
    assert plot.logarithmic("x", low, high).low <= low * (1 + 1e-9)


def test_colours_differ_in_lightness_or_hue_for_the_colour_blind():
    """Seen by deuteranopes and protanopes (Viénot, Brettel & Mollon 1999), colours used together differ."""
    matrices = {
        "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
        "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
    }
    together = [("blue", "vermillion"), ("blue", "orange"), ("sky", "vermillion"), ("blue", "green")]
    for palette in (plot.COLOURS, html.DARK):
        for matrix in matrices.values():
            seen = {
                name: np.array(matrix)
                @ (np.array([int(text[k : k + 2], 16) for k in (1, 3, 5)]) / 255.0) ** 2.2
                for name, text in palette.items()
            }
            for one, two in together:
                assert np.abs(seen[one] - seen[two]).sum() > 0.15, (one, two)


def test_a_file_appears_whole(made, tmp_path):
    place = tmp_path / "out.html"
    html.write(made["until"], place)
    assert place.read_text() == html.render(made["until"])
    assert [one.name for one in tmp_path.iterdir()] == ["out.html"]


def test_without_matplotlib_the_error_says_what_to_type(monkeypatch, made, tmp_path):
    monkeypatch.setattr(pyplot, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'streameval\[report\]'"):
        pyplot.write(made["until"], tmp_path)


def test_single_pictures_are_written(made, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'streameval[report]'")
    for kind in ("comparison", "until", "sequential"):
        written = pyplot.write(made[kind], tmp_path / kind)
        assert [path.stem for path in written] == [figure.name for figure in made[kind].figures]
        for path in written:
            width, height = struct.unpack(">2I", path.read_bytes()[16:24])
            view = ElementTree.fromstring(
                svg.picture(next(f for f in made[kind].figures if f.name == path.stem))
            )
            units = [float(one) for one in view.get("viewBox").split()[2:]]
            assert abs(width - 3 * units[0]) <= 1
            assert abs(height - 3 * units[1]) <= 1
        again = pyplot.write(made[kind], tmp_path / f"{kind}-again")
        assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def pixels(path):
    """A picture as (height, width, 3) in 0 to 1."""
    image = pytest.importorskip("matplotlib.image", reason="pip install 'streameval[report]'")
    return image.imread(path)[:, :, :3]


def test_a_bar_is_on_the_picture_where_the_page_has_it(made, tmp_path):
    """Every bar's middle has the bar's colour, laid over white; text is dark on its line, and not elsewhere."""
    pyplot.write(made["report"], tmp_path)
    shown = pixels(tmp_path / "classes.png")
    figure = next(one for one in made["report"].figures if one.name == "classes")
    root = ElementTree.fromstring(svg.picture(figure))
    inner = next(one for one in root.iter("svg") if one.get("y") and one.get("class") is None)
    left, top = float(inner.get("x")), float(inner.get("y"))
    blue = np.array([int(plot.COLOURS["blue"][k : k + 2], 16) for k in (1, 3, 5)]) / 255
    bars = [one for one in inner.iter("rect") if one.get("class") == "bar"]
    assert bars
    for bar in bars:
        x, y, width, height = (float(bar.get(name)) for name in ("x", "y", "width", "height"))
        if height < 4:
            continue
        row, column = round(3 * (top + y + 0.97 * height)), round(3 * (left + x + width / 2))
        assert np.abs(shown[row, column] - (0.85 * blue + 0.15)).max() < 0.01
    titled = [float(one.get("y")) for one in root.iter("text") if one.get("class") == "title"]
    assert titled
    for y in titled:
        assert (shown[round(3 * (y - 9)) : round(3 * y)].min(axis=2) < 0.3).sum() > 300
    assert (shown[:20] == 1).all()


def test_the_worst_rows_are_on_their_picture(made, tmp_path):
    pyplot.write(made["report"], tmp_path)
    shown = pixels(tmp_path / "worst.png")
    assert 0.01 < (shown < 0.02).all(axis=2).mean() < 0.9, "the digits' black ground"


def browse(place, folder, *, width=1200, dark=False):
    """Draw a page; return what the console said, and the screenshot's size in bytes."""
    shot = folder / f"{place.stem}-{width}-{dark}.png"
    colours = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    done = subprocess.run(
        [
            str(BROWSER), *FLAGS, *colours, f"--user-data-dir={folder / 'user'}", f"--window-size={width},1500",
            f"--screenshot={shot}", place.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    shutil.rmtree(folder / "user", ignore_errors=True)
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], shot.stat().st_size


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium")
def test_a_browser_draws_it_without_a_word_on_the_console(made, tmp_path):
    broken = tmp_path / "broken.html"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{html.POLICY}">'
    broken.write_text(f"<!DOCTYPE html><title>x</title>{policy}<script>let x = 1</script>")
    said, _ = browse(broken, tmp_path)
    assert said, "a page with an error must be noticed, or this test could not fail"
    place = tmp_path / "page.html"
    for kind, width, dark in (
        ("comparison", 1200, False),
        ("comparison", 390, True),
        ("sequential", 390, False),
    ):
        html.write(made[kind], place)
        said, size = browse(place, tmp_path, width=width, dark=dark)
        assert said == []
        assert size > 20_000
