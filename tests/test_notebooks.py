"""The notebooks of examples/ run as they stand, cell by cell, in a kernel of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, environment

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook in `folder`; what its cells printed."""
    reason = "notebooks run where the extra [docs] is installed"
    nbclient = pytest.importorskip("nbclient", reason=reason)
    pytest.importorskip("ipykernel", reason=reason)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    import nbformat

    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), f"{path}: clear its outputs"
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(path, tmp_path, monkeypatch)
    if path.stem == "minibatch":
        assert "2000 rows, loss 0.127240" in printed
        held = re.search(r"(\d+) of 20 intervals held", printed)
        assert held is not None
        assert int(held[1]) >= 15
    else:
        assert printed.count("400 samples") == 2
        low, high = map(float, re.findall(r"second - first: (\S+) to (\S+)", printed)[0])
        assert -1 <= low < high <= 1


def test_the_site_leads_to_every_notebook() -> None:
    page = (ROOT / "docs" / "howto" / "index.md").read_text()
    assert NOTEBOOKS
    assert all(f"../../examples/{path.name}" in page for path in NOTEBOOKS)
