"""The commands of docs/long_runs.md run as they stand, one after another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment
from long_runs import ROOT

import streameval as se

PAGE = ROOT / "docs" / "long_runs.md"


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    """And the shards, the checkpoint, the workers and the plain pass agree."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "streameval"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m streameval "$@"\n')
    program.chmod(0o755)
    (tmp_path / "model.safetensors").write_bytes((ROOT / "streameval/datasets/demo.safetensors").read_bytes())
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)).splitlines()
    commands = [command for command in commands if command]
    assert len(commands) == 17
    env = environment(PATH=f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin")
    digests = set()
    measurable = hasattr(os, "O_DIRECT") and hasattr(os, "preadv")
    for command in commands:
        if "long_run" in command and not measurable:
            continue  # it says that it needs them
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
        digests |= (
            set(re.findall(r"digest +([0-9a-f]{64})", done.stdout)) if "long_run" not in command else set()
        )
        if command.endswith("report.json"):
            digests.add(json.loads((tmp_path / "report.json").read_text())["digest"])
    # The three shards say their own; everything else says that of all rows.
    whole = se.evaluate(se.load_model(tmp_path / "model.safetensors"), tmp_path / "train.arrow").digest
    assert whole in digests
    assert len(digests) == 4
    assert (tmp_path / "long_run" / "long_run.md").exists() == measurable


def test_every_link_of_the_page_leads_somewhere() -> None:
    """To a file of the repository."""
    for target in re.findall(r"\]\(([^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
