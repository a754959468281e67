"""The programs of docs/metrics.md are run, one after the other, and print what they say."""

from __future__ import annotations

import re

import pytest
from command_line import ROOT


def test_the_programs_of_the_docs_run(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/metrics.md", "exec"), names)
    assert "3 2 0.0\n" in capsys.readouterr().out
    assert names["total"].rows == 1000  # type: ignore[attr-defined]
