"""The page on models: its code runs, and its table names what the adapters' table has."""

from __future__ import annotations

import re

from command_line import ROOT

from streameval.predictors.adapting import ADAPTERS
from streameval.predictors.runtimes import RUNTIMES

PAGE = (ROOT / "docs" / "models.md").read_text()


def test_the_code_of_the_page_runs(capsys) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/models.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert "callable" in first
    assert float(second) > 0


def test_every_adapter_and_runtime_has_a_line_in_the_table() -> None:
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    names = {
        "torch": "torch",
        "onnxruntime": "ONNX Runtime",
        "openvino": "OpenVINO",
        "sklearn": "scikit-learn",
        "keras": "Keras",
    }
    libraries = {kind.split(".")[0] for kind in ADAPTERS} - {"streameval"}
    assert libraries == {*names}
    assert all(names[one] in table for one in libraries)
    assert all(f"--with {runtime}" in table for runtime in RUNTIMES)
