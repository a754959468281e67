"""What the site shows is what its programs print: the tutorial on real MNIST, the other pages on drawn digits."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pages
import pytest
from command_line import ROOT, in_process

import streameval as se

DOCS = ROOT / "docs"
HOWTO = sorted(path for path in (DOCS / "howto").glob("*.md") if path.stem != "index")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `docs/howto/index.md` says: the demo's network and 2,000 drawn digits."""
    from streameval.datasets.digits import demo_network_path

    folder = tmp_path_factory.mktemp("pages")
    (folder / "demo").mkdir()
    se.load_model(demo_network_path()).save(folder / "demo" / "network.safetensors")
    assert in_process("digits", "rows.arrow", "--rows", "2000", "--seed", "1", cwd=folder).returncode == 0
    return folder


def check(page: Path, folder: Path, env: dict[str, str] | None = None) -> int:
    """Run a page; the number of blocks whose output it shows, all of them rightly."""
    ran = pages.run(page, folder, env)
    wrong = [one for one in ran if one.said is not None and not pages.agrees(one.said, one.printed)]
    assert wrong == []
    return sum(one.said is not None for one in ran)


@pytest.mark.parametrize(
    "page", [*HOWTO, DOCS / "exact_sums.md", DOCS / "index.md"], ids=lambda page: page.stem
)
def test_a_page_shows_what_its_programs_print(page: Path, digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path, dirs_exist_ok=True)
    assert check(page, tmp_path) >= 1


def test_the_tutorial_shows_what_its_programs_print(mnist_dir: Path, tmp_path: Path) -> None:
    shutil.copy(mnist_dir / "sample_weight.pkl", tmp_path)
    assert check(DOCS / "tutorial.md", tmp_path, {"STREAMEVAL_FROM": str(mnist_dir)}) == 12


def test_output_that_differs_is_noticed() -> None:
    assert pages.agrees("a\n...\nb\n", "a\n1.2 ms\n3 MiB\nb\n")
    assert not pages.agrees("a\n...\nb\n", "a\n1.2 ms\nc\n")
    assert not pages.agrees("loss 0.2240\n", "loss 0.2241\n")


def test_every_task_is_listed() -> None:
    listed = re.search(r"maxdepth: 1\n\n(.*?)```", (DOCS / "howto" / "index.md").read_text(), re.DOTALL)
    assert listed is not None
    assert sorted(listed[1].split()) == [page.stem for page in HOWTO]
