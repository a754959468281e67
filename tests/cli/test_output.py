"""What is printed where: one JSON object or text on stdout, everything else on stderr, bars only for a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import PROGRAM, environment, in_process

from streameval.reports import progress
from streameval.reports.json import dumps, plain


def commands(digits: Path, network: Path, place: Path) -> list[list[object]]:
    """A call of every command that prints JSON."""
    return [
        ["evaluate", network, digits],
        ["minibatch", network, digits, "--batches", 2],
        ["info", digits],
        ["info", network],
        ["digits", place / "d.arrow", "--rows", 5],
        ["demo", "--rows", 200],
        ["doctor"],
        ["warmup"],
    ]


def test_json_is_one_object_on_stdout_and_nothing_else(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    for arguments in commands(digits_file, network_file, tmp_path):
        done = in_process(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), arguments
        found = json.loads(done.stdout, parse_constant=pytest.fail)
        assert found["schema"].startswith("streameval/")
        assert done.stdout.count("\n") == 1


def test_text_goes_to_stdout_without_colour_or_bars_when_it_is_no_terminal(
    digits_file: Path, network_file: Path, tmp_path: Path
) -> None:
    for arguments in commands(digits_file, network_file, tmp_path):
        done = in_process(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert done.stdout
        assert "\x1b" not in done.stdout


def test_a_failed_command_prints_nothing_on_stdout_and_one_line_on_stderr(tmp_path: Path) -> None:
    done = in_process("info", tmp_path / "nothing", "--json")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("streameval: error: ")
    assert done.stderr.count("\n") == 1


def test_a_wrong_option_shows_the_usage_and_ends_with_2() -> None:
    done = in_process("evaluate", "--nonsense")
    assert done.returncode == 2
    assert "Usage: streameval evaluate" in done.stderr
    assert "--nonsense" in done.stderr
    assert in_process("nonsense").returncode == 2


def test_a_warning_of_the_project_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "warn.py"
    script.write_text(
        "import warnings\n"
        "from streameval.cli import commands, main\n"
        "from streameval.errors import StreamevalWarning\n"
        "show = commands.cli.get_command\n"
        "def warned(*arguments):\n"
        "    for _ in range(3):\n"
        "        warnings.warn('the cheese is old', StreamevalWarning)\n"
        "    return show(*arguments)\n"
        "commands.cli.get_command = warned\n"
        "main(['completion', 'bash'])\n"
    )
    done = subprocess.run([sys.executable, script], env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "streameval: warning: the cheese is old\n")


def on_a_terminal(*command: object, **env: str) -> str:
    """Run a program at a terminal of its own; what it showed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*map(str, command)],
        env=environment(TERM="xterm-256color", **env),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # raised when the other end is closed
            while part := os.read(ours, 65536):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def test_colour_is_for_terminals_and_no_color_takes_it_away(digits_file: Path) -> None:
    assert "\x1b[1m" in on_a_terminal(*PROGRAM, "info", digits_file)
    assert "\x1b" not in on_a_terminal(*PROGRAM, "info", digits_file, NO_COLOR="1")


def test_a_bar_is_drawn_on_a_terminal_for_what_takes_long(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from streameval.reports import progress\n"
        "progress.PATIENCE = 0.05\n"
        "with progress.progress('counting') as told:\n"
        "    for k in range(5):\n"
        "        time.sleep(0.05)\n"
        "        told(k + 1, 5)\n"
    )
    (tmp_path / "bar.py").write_text(program)
    shown = on_a_terminal(sys.executable, tmp_path / "bar.py")
    assert "counting" in shown
    assert "of 5 rows" in shown


def test_no_bar_and_no_rich_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = io.StringIO()
    monkeypatch.setattr(sys, "stderr", silent)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.progress("counting") as told:
        time.sleep(0.01)
        told(1, 2)
    assert silent.getvalue() == ""


def test_json_writes_numbers_that_read_back_and_null_for_those_it_does_not_know() -> None:
    values = {"a": [0.1, np.float32(0.1), np.int64(3), float("nan"), -np.inf, None, True], "p": Path("x/y")}
    read = json.loads(dumps(values))
    assert read == {"a": [0.1, float(np.float32(0.1)), 3, None, None, None, True], "p": "x/y"}
    assert plain(np.array([[1.5, np.nan]])) == [[1.5, None]]
    with pytest.raises(TypeError, match="object has no form in JSON"):
        dumps({"x": object()})


def test_percent_is_written_alike_in_the_demo() -> None:
    shown = " ".join(in_process("demo", "--rows", 200).stdout.split())
    assert "in 95 % of cases" in shown
    assert "%" not in shown.replace(" %", "")
