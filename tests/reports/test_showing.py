"""Every result can be looked at: printed, in a notebook, as a page, as a picture; and nothing is loaded before that."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from command_line import environment
from mnist_file import nudged

import streameval as se
from streameval.errors import UsageError
from streameval.evaluation.semantics import semantics
from streameval.reports import html, pages, progress, views
from streameval.reports.terminal import TextStyle
from streameval.showing import Shown

PICTURES = ("report", "anatomy", "minibatches", "comparison", "until", "paired", "calibration")
KINDS = (*PICTURES, "verified", "ratio", "semantics", "weighted")


@pytest.fixture(scope="module")
def results(network_file: Path, digits_file: Path) -> dict[str, Any]:
    """A result of each kind."""
    model = se.load_model(network_file)
    report = se.evaluate(model, digits_file)
    return {
        "report": report,
        "anatomy": se.evaluate(model, digits_file, anatomy=True),
        "minibatches": se.minibatch(model, digits_file, size=20, batches=3),
        "comparison": se.compare(model, digits_file, trials=50),
        "until": se.evaluate_until(model, digits_file, half_width=0.1),
        "paired": se.paired([model, nudged(model, 0.02), nudged(model, 0.05)], digits_file),
        "calibration": se.calibration(model, digits_file),
        "verified": se.verify(report.to_dict(), model, digits_file),
        "semantics": semantics(model, digits_file),
        "weighted": se.evaluate_weighted(model, digits_file, class_weights=range(1, 11)),
        "ratio": se.perplexity([1.0, 2.0, 3.0], [3, 4, 5]),
    }


class Elements(HTMLParser):
    """Checks that tags close in order, and keeps what they are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_kind_of_result_has_a_view(results: dict[str, Any]) -> None:
    shown = {f"{type(one).__module__}.{type(one).__qualname__}" for one in results.values()}
    assert shown == set(views.VIEWS)
    assert all(isinstance(one, Shown) for one in results.values())
    for module, function, page in views.VIEWS.values():
        assert callable(getattr(import_module(f"streameval.reports.{module}"), function))
        assert page is None or callable(getattr(pages, page))


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_is_short_in_a_prompt_and_whole_when_printed(results: dict[str, Any], kind: str) -> None:
    result = results[kind]
    assert len(repr(result)) < 260
    assert "\n" not in repr(result)
    module, function, _ = views._row(result)
    said = getattr(import_module(f"streameval.reports.{module}"), function)(result, TextStyle())
    assert str(result) == f"{result}" == said
    assert "\x1b" not in str(result)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_was_pickled_is_told_as_before(results: dict[str, Any], kind: str) -> None:
    again = pickle.loads(pickle.dumps(results[kind]))
    assert (str(again), repr(again)) == (str(results[kind]), repr(results[kind]))
    # Without the data, the worst rows have no pictures.
    left = {one.name for one in views.page(again).figures} if kind in PICTURES else set()
    assert left == ({one.name for one in views.page(results[kind]).figures} if left else set()) - {"worst"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_shows_it_whole_in_itself(results: dict[str, Any], kind: str) -> None:
    shown = results[kind]._repr_html_()
    elements = Elements(shown)
    assert "script" not in elements.seen
    assert all(one.startswith("data:image/png") for one in elements.addresses)
    assert "http:" not in shown.replace("http://www.w3.org", "")
    assert len(shown) < 200_000
    if kind not in PICTURES:
        assert elements.seen == ["pre"]
        return
    assert "svg" in elements.seen
    # Every rule is about what lies in this element alone: nothing of the notebook changes.
    sheet = shown[shown.index("<style>") + 7 : shown.index("</style>")]
    for rule in re.findall(r"([^{}]+)\{", re.sub(r"@media[^{]*\{", "", sheet)):
        for selector in rule.split(","):
            parts = selector.split()
            assert ".streameval" in parts[:2], selector
    assert "prefers-color-scheme: dark" in sheet
    for theme in (*html.DARK_THEMES, *html.LIGHT_THEMES):
        assert f"{theme} .streameval" in sheet


@pytest.mark.parametrize("kind", PICTURES)
def test_a_result_is_written_as_a_page(results: dict[str, Any], kind: str, tmp_path: Path) -> None:
    results[kind].to_html(tmp_path / "page.html")
    page = getattr(pages, str(views._row(results[kind])[2]))(results[kind])
    assert (tmp_path / "page.html").read_text() == html.render(page)
    Elements(re.sub(r"<(meta|link)[^>]*>|<!DOCTYPE html>", "", html.render(page)))


@pytest.mark.parametrize("kind", PICTURES)
def test_a_result_is_drawn_by_matplotlib(results: dict[str, Any], kind: str) -> None:
    pytest.importorskip("matplotlib")
    figure = results[kind].plot()
    drawn = io.BytesIO()
    figure.savefig(drawn)
    assert drawn.getvalue().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")
    names = [one.name for one in views.page(results[kind]).figures]
    alone = results[kind].plot(names[0])
    assert alone.get_size_inches()[1] <= figure.get_size_inches()[1]
    with pytest.raises(UsageError, match=f"expected one of the pictures of this result: '{names[0]}'"):
        results[kind].plot("nothing")


def test_what_has_no_pictures_says_so(results: dict[str, Any], tmp_path: Path) -> None:
    for kind in ("verified", "ratio"):
        for show in (results[kind].plot, lambda kind=kind: results[kind].to_html(tmp_path / "page.html")):
            with pytest.raises(UsageError, match="has no pictures"):
                show()
    assert list(tmp_path.iterdir()) == []


def test_a_printed_result_fits_an_output_of_letters_alone(results: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    print(results["anatomy"])
    str(results["comparison"]).encode("ascii")


def test_results_load_no_reports_before_they_are_looked_at() -> None:
    code = (
        "import sys, numpy as np, streameval as se\n"
        "result = se.perplexity([1.0, 2.0], [3, 4])\n"
        "from streameval.studies import calibration, comparison, minibatch, paired, until\n"
        "assert not any(name.startswith('streameval.reports') for name in sys.modules)\n"
        "str(result)\nassert 'streameval.reports.views' in sys.modules\nassert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_progress_can_be_asked_for(
    network_file: Path, digits_file: Path, monkeypatch: Any, capsys: Any
) -> None:
    model = se.load_model(network_file)
    plain = se.evaluate(model, digits_file)
    assert se.evaluate(model, digits_file, progress=True).digest == plain.digest
    assert capsys.readouterr().err == ""  # nobody is there to see it
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PERIOD", 0.0)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    for run in (
        lambda: se.evaluate(model, digits_file, progress=True, chunk_rows=100),
        lambda: se.compare(model, digits_file, trials=20, progress=True),
        lambda: se.paired([model, nudged(model, 0.02)], digits_file, progress=True),
    ):
        run()
        said = capsys.readouterr().err
        assert re.search(r"\r(evaluating|comparing): [\d,]+ of [\d,]+ rows", said)
        assert said.endswith("\r")
    assert se.evaluate(model, digits_file, progress=False).digest == plain.digest


NOTEBOOK = """
import streameval as se
from streameval.evaluation.semantics import semantics
model, data = se.load_model({network!r}), {digits!r}
report = se.evaluate(model, data, anatomy=True, progress=True)
report
---
print(report)
---
report.plot("reliability")
---
se.minibatch(model, data, size=20, batches=5)
---
from streameval.reports.progress import in_notebook
in_notebook()
"""


@pytest.mark.slow
def test_a_notebook_runs(network_file: Path, digits_file: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="no kernel for notebooks is installed")
    cells = NOTEBOOK.format(network=str(network_file), digits=str(digits_file)).split("---")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one.strip()) for one in cells])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute(env=environment())
    kinds = [
        [set(one.get("data", {})) | set(one.get("text", "") and ["text"]) for one in cell.outputs]
        for cell in book.cells
    ]
    assert kinds[0][-1] == {"text/html", "text/plain"}
    assert "nats" in book.cells[1].outputs[0]["text"]
    assert "image/png" in kinds[2][-1]
    assert "text/html" in kinds[3][-1]
    assert book.cells[4].outputs[-1]["data"]["text/plain"] == "True"
