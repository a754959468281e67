"""The documentation site: built without a warning in both languages, by what the project's own files say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command_line import ROOT, environment

import streameval as se

sys.path.append(str(ROOT / "docs" / "_ext"))


def module(name: str) -> ModuleType:
    """A module of docs/_ext, where the extra [docs] is installed."""
    for needed in ("sphinx", "myst_parser", "furo", "babel"):
        pytest.importorskip(needed, reason="the site is built where the extra [docs] is installed")
    return __import__(name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as .ci/docs builds it."""
    module("catalogues")
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [ROOT / ".ci" / "docs", place],
        env=environment(PYTHON=sys.executable),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(place / "index.html") in done.stdout
    return place


@pytest.mark.slow
def test_both_languages_are_built_and_lead_to_each_other(site: Path) -> None:
    for language, other in (("en", "ja"), ("ja", "en")):
        page = (site / language / "statistics.html").read_text()
        assert f'<html class="no-js" lang="{language}"' in page
        assert f'href="./../{other}/statistics.html"' in page
    assert "ja/index.html" in (site / "index.html").read_text()


@pytest.mark.slow
def test_the_reference_has_the_docstring_of_every_public_name(site: Path) -> None:
    page = (site / "en" / "reference.html").read_text()
    ids = set(re.findall(r'<(?:dt|section|span)\b[^>]*? id="(?:module-)?streameval\.(\w+)"', page))
    assert ids == set(se.__all__) - {"__version__"}
    assert "chunk_rows" in page


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"(https?:[^\"]*)", text)
        assert loaded == [], page


@pytest.mark.slow
def test_no_link_of_a_page_is_dead(site: Path) -> None:
    dead = []
    for page in site.rglob("*.html"):
        for target in re.findall(r'<a\b[^>]*\bhref="([^"#?]+)', page.read_text()):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                dead.append((str(page.relative_to(site)), target))
    assert dead == []


@pytest.mark.slow
def test_the_landing_page_shows_figures_as_they_were_measured_and_a_comparison_as_it_was_made(
    site: Path,
) -> None:
    page = (site / "en" / "index.html").read_text()
    measured = module("measured")
    for path in ("seed / streameval / median", "memory / 2,000,000 / over the imports"):
        assert f"<strong>{measured.figure(path)}</strong>" in page
    report = (site / "en" / "report.html").read_text()
    (full,) = re.findall(r"The full loss is (0\.\d+)", report)
    assert f"full loss, {float(full):.4f}" in page
    assert page.count('<svg class="plot"') == 2


def index(site: Path, language: str) -> dict[str, Any]:
    """The search index of a language: terms, with the pages that have them."""
    text = (site / language / "searchindex.js").read_text()
    found = re.fullmatch(r"Search\.setIndex\((.*)\);?\s*", text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["交差エントロピー誤差", "エントロピー", "ミニバッチ学習", "訓練データ", "損失関数"]
)
def test_search_finds_the_articles_words_in_the_tutorial(site: Path, query: str) -> None:
    """Every term of the query, as the browser cuts it, is in the index with the tutorial's number."""
    found = index(site, "ja")
    tutorial = found["docnames"].index("tutorial")
    for term in module("japanese").terms(query):
        pages = [found[where].get(term, []) for where in ("terms", "titleterms")]
        assert any(tutorial in (one if isinstance(one, list) else [one]) for one in pages), term


def test_japanese_is_cut_into_pairs_wherever_a_word_begins() -> None:
    japanese = module("japanese")
    assert japanese.terms("交差エントロピー誤差 (A)") == [
        *("交差", "差エ", "エン", "ント", "トロ", "ロピ", "ピー", "ー誤", "誤差"),
        "A",
    ]
    assert japanese.terms("MNIST の 図") == ["MNIST", "の", "図"]
    inside = japanese.terms("損失関数は交差エントロピー誤差です。")
    assert set(japanese.terms("エントロピー誤差")) <= set(inside)


def test_a_docstring_becomes_a_list_of_its_arguments() -> None:
    plain = module("plain_docstrings")
    given = [
        "Do it.",
        "",
        "    E = a * b",
        "",
        "rows, cols  how many,",
        "            of `name_` *",
        "",
        "Raises:",
        "    DataError, LabelError: not so;",
        "        or so.",
        "And more.",
    ]
    assert plain.converted(given) == [
        *("Do it.", "", "::", "", "    E = a * b", ""),
        *("", "``rows, cols``", "    how many,", r"    of ``name_`` \*", ""),
        *(
            "",
            "**Raises**",
            "",
            "",
            "``DataError, LabelError``",
            "    not so;",
            "    or so.",
            "",
            "And more.",
            "",
        ),
    ]


def test_a_figure_is_read_from_the_page_of_measurements_or_refused() -> None:
    measured = module("measured")
    page = "## A\n\n### one: x\n\n| who | fast |\n| --- | ---: |\n| us  | 3 ms |\n"
    page += "\n## B\n| who | fast |\n|-|-|\n| they | 1 |\n"
    assert measured.figure("one / us / fast", page) == "3 ms"
    for path, missing in (
        ("two / us / fast", "two"),
        ("one / they / fast", "they"),
        ("one / us / slow", "slow"),
    ):
        with pytest.raises(LookupError, match=repr(missing)):
            measured.figure(path, page)


def test_what_a_catalogue_lacks_is_told(tmp_path: Path) -> None:
    catalogues = module("catalogues")
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    template, catalogue = tmp_path / "a.pot", tmp_path / "a.po"
    template.write_text(head + 'msgid "one"\nmsgstr ""\n\nmsgid "two"\nmsgstr ""\n')
    catalogue.write_text(head + 'msgid "one"\nmsgstr "一"\n\nmsgid "three"\nmsgstr "三"\n')
    lacks, left = catalogues.complaints(catalogue, template)
    assert lacks.endswith("not translated: 'two'")
    assert left.endswith("no longer says 'three'")
    catalogue.write_text(head + 'msgid "one"\nmsgstr "一"\n\n#, fuzzy\nmsgid "two"\nmsgstr "二"\n')
    assert len(catalogues.complaints(catalogue, template)) == 1
    assert os.access(ROOT / ".ci" / "translate", os.X_OK)
