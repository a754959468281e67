"""The program of docs/statistics.md runs as it stands there, and says what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"


def test_the_program_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(program, str(PAGE), "exec"), {})
    betting, until, order, blocks, strata = capsys.readouterr().out.splitlines()
    assert "method='betting'" in betting
    assert "stopped='precision'" in until
    assert order.startswith("Nothing that was looked at in these 60,000 rows speaks against a random order")
    assert "method='student'" in blocks
    assert "10 blocks can miss" in blocks
    assert "method='student'" in strata
