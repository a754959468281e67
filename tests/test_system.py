"""Every call that some operating system lacks, taken away: the same results, read in every way there is.

The whole suite runs without one, too: TESTS_WITHOUT=preadv PYTHONPATH=tests/without python -m pytest
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from command_line import ROOT, environment, in_process

_FILE = ROOT / "tests" / "without" / "sitecustomize.py"

PROGRAM = """
import json, sys
import streameval as se
from streameval.storage import mapping

folder = sys.argv[1]
mapping.RELEASE_ABOVE = 1 << 20  # give pages back, as of a large file
model = se.Mlp([se.Layer([[0.01 * (i % 7) - 0.03 for _ in range(10)] for i in range(784)], [0.1 * k for k in range(10)],
                         "identity")])
found = {}
for name in ("rows.arrow", "rows.npy"):
    for io in ("auto", "mmap", "direct", "pread"):
        data = se.open(f"{folder}/{name}", io=io)
        found[f"{name} {io}"] = se.evaluate(model, data, chunk_rows=500, max_memory=1 << 29).digest
        found[f"{name} {io} batch"] = se.minibatch(model, data, seed=1).batches[0].loss
report = se.evaluate(model, f"{folder}/rows.arrow", checkpoint=f"{folder}/kept")
found["checkpoint"] = report.digest
found["again"] = se.evaluate(model, f"{folder}/rows.arrow", checkpoint=f"{folder}/kept").digest
found["peak"] = report.resources.peak_anon_bytes > 20 << 20 and report.resources.threads >= 1
json.dump(found, sys.stdout)
"""


def _calls() -> tuple[str, ...]:
    spec = importlib.util.spec_from_file_location("without", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    calls: tuple[str, ...] = module.ALL
    return calls


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    for name in ("rows.arrow", "rows.npy"):
        made = in_process(
            "digits", folder / name, "--rows", 4000, *(["--format", "npy"] if "npy" in name else [])
        )
        assert made.returncode == 0, made.stderr
    return folder


def run(folder, tmp_path, *without: str):
    for name in ("rows.arrow", "rows.npy"):
        (tmp_path / name).symlink_to(folder / name)
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        env=environment(TESTS_WITHOUT=",".join(without)),
        timeout=120,
    )
    assert out.returncode == 0, out.stderr.decode()
    return json.loads(out.stdout)


@pytest.fixture(scope="module")
def usual(folder, tmp_path_factory):
    return run(folder, tmp_path_factory.mktemp("usual"))


@pytest.mark.parametrize("without", [*((call,) for call in _calls()), _calls()], ids="+".join)
def test_a_missing_call_changes_no_result(folder, tmp_path, usual, without):
    found = run(folder, tmp_path, *without)

    assert (
        len({value for name, value in usual.items() if name.endswith(("mmap", "pread", "auto", "direct"))})
        == 1
    )
    assert found["peak"] is True
    assert found == usual
