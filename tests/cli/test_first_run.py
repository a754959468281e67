"""A first run has two processes compile: what comes of the second, and that nothing of it stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
from command_line import environment, result, streameval

from streameval.cli import kernels

SUMS = ("folding.fold_losses", "folding.fold_classes")


@pytest.fixture(autouse=True)
def _two_cpus() -> object:
    with mock.patch("streameval.kernels.threads.available", return_value=2) as patched:
        yield patched


def kept(folder: Path) -> set[str]:
    """The kernels that lie in a cache folder, whole: an index is written after what it names."""
    return {path.name.rsplit("-", 1)[0] for path in folder.rglob("*.nbi")}


@pytest.mark.slow
def test_the_sums_are_compiled_beside(tmp_path: Path) -> None:
    with mock.patch.dict(os.environ, environment(STREAMEVAL_CACHE_DIR=str(tmp_path)), clear=True):
        started = time.monotonic()
        with kernels._sums_beside():
            while not all(any(name.startswith(one) for name in kept(tmp_path)) for one in SUMS):
                assert time.monotonic() - started < 60.0
                time.sleep(0.05)
    # Another process finds them, under the types that it asks for: it adds nothing.
    found = kept(tmp_path)
    program = "from streameval.evaluation.state import compile_sums; compile_sums()"
    subprocess.run(
        [sys.executable, "-c", program], env=environment(STREAMEVAL_CACHE_DIR=str(tmp_path)), check=True
    )
    assert kept(tmp_path) == found


def test_it_ends_with_what_it_was_begun_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless, number = tmp_path / "python", tmp_path / "number"
    endless.write_text(f"#!/bin/sh\necho $$ > {number}.part\nmv {number}.part {number}\nexec sleep 600\n")
    endless.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(endless))

    def interrupted() -> None:
        with kernels._sums_beside():
            while not number.exists():
                time.sleep(0.01)
            os.kill(int(number.read_text()), 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_where_no_process_can_be_begun_the_first_one_does_all(
    executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    reached = False
    with kernels._sums_beside():
        reached = True
    assert reached


@pytest.mark.slow
def test_a_first_command_is_right_and_needs_no_second(
    tmp_path: Path, network_file: Path, digits_file: Path
) -> None:
    first = result(
        "evaluate", network_file, digits_file, run=streameval, env={"STREAMEVAL_CACHE_DIR": str(tmp_path)}
    )
    found = kept(tmp_path)
    assert any(name.startswith("forward") for name in found)
    again = result(
        "evaluate", network_file, digits_file, run=streameval, env={"STREAMEVAL_CACHE_DIR": str(tmp_path)}
    )
    assert again["digest"] == first["digest"]
    assert kept(tmp_path) == found
