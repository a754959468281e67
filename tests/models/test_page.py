"""The page on networks that are read: its code runs."""

from __future__ import annotations

import re

from command_line import ROOT

PAGE = (ROOT / "docs" / "networks.md").read_text()


def test_the_code_of_the_page_writes_a_network_that_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/networks.md", "exec"), {})

    assert capsys.readouterr().out == "Network(64-256-64-3, relu, max_pool2d, identity)\n"
    assert (tmp_path / "net.safetensors").is_file()
