"""The README does what it says: every command and every program in it is run, as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import ROOT, environment

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(*, real: bool) -> list[tuple[str, str]]:
    """The fenced blocks that need real MNIST, or those that do not; installing is what .ci/run does."""
    return [
        (kind, text)
        for kind, text in BLOCKS
        if ("mnist" in text) is real and not text.startswith("pip install")
    ]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder in which `streameval` is a command."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "streameval"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streameval "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(kind: str, text: str, place: Path, **env: str) -> str:
    """Run a block as a shell, or Python, would; what it printed."""
    command = ["bash", "-euo", "pipefail", "-c", text] if kind == "sh" else [sys.executable, "-c", text]
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=place, env=environment(PATH=path, **env), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_two_commands_for_a_fresh_machine_are_on_the_first_screen() -> None:
    top = "\n".join(README.splitlines()[:25])
    assert "pip install . && streameval demo" in top
    assert "pip install '.[test]' && python -m pytest -q -n 2\n" in top


def test_the_commands_for_a_fresh_machine_are_those_that_ci_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "'.[test]'" in script
    assert "streameval demo" in script
    assert "python -m pytest -q -n 2 " in script


def test_the_tour_of_the_command_line_runs(place: Path) -> None:
    shown = "".join(run(kind, text, place) for kind, text in blocks(real=False))
    assert "full loss" in shown
    assert (place / "losses.arrow").exists()


def test_the_textbooks_steps_run_and_give_its_numbers(place: Path, mnist_dir: Path) -> None:
    shutil.copy(mnist_dir / "sample_weight.pkl", place)
    printed = {
        kind: run(kind, text, place, STREAMEVAL_FROM=str(mnist_dir)) for kind, text in blocks(real=True)
    }
    assert "56,146 of 60,000 rows right" in printed["sh"]
    one_hot, integer, full, again, batch, streamed = printed["python"].splitlines()
    assert float(streamed) == float(batch.split()[0])
    assert float(one_hot) == pytest.approx(float(integer), abs=1e-12)
    assert float(again) == pytest.approx(float(one_hot), abs=1e-6)
    assert f"{float(full.split()[0]):.10f}" == "0.2240008760"


def test_every_file_that_the_readme_points_to_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [one for one in links if not (ROOT / one).exists()] == []


def test_every_option_that_the_readme_names_exists() -> None:
    """Options are read from the commands, so that a renamed one does not live on in the text."""
    from streameval.cli.commands import COMMANDS, cli

    context = click.Context(cli)
    known = {"--help", "--version"}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        known |= {text for one in command.params for text in (*one.opts, *one.secondary_opts)}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert named <= known
