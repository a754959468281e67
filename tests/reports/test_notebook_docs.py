"""The program of docs/notebooks.md runs, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import ROOT


def test_the_program_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "notebooks.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(program, "docs/notebooks.md", "exec"), {})
    assert "quantiles" in capsys.readouterr().out
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
