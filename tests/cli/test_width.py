"""Text of every command that computes: no line wider than 80 columns, and a score is called one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import in_process

COMMANDS = {
    "evaluate": (),
    "minibatch": ("--batches", "2"),
    "until": ("--half-width", "0.2"),
    "compare": ("--sizes", "10,100", "--trials", "50"),
    "calibration": (),
}


def wide(text: str) -> list[str]:
    """Lines over 80 columns, but for those with a path, which may be longer than any window."""
    return [line for line in text.splitlines() if len(line) > 80 and "/" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_80_columns(command: str, network_file: Path, digits_file: Path) -> None:
    done = in_process(command, network_file, digits_file, *COMMANDS[command])
    assert done.returncode == 0, done.stderr
    assert wide(done.stdout) == []


@pytest.mark.parametrize("command", ["evaluate", "minibatch", "until", "compare"])
def test_scores_are_called_scores(command: str, tmp_path: Path) -> None:
    """A thousand scores, all of them read; nine bounds of an unseen kind of 12 % and more."""
    np.savez(tmp_path / "scores.npz", quality=np.random.default_rng(0).random(1000))
    more = {"minibatch": ("--size", "10"), "until": ("--half-width", "1e-9"), "evaluate": ()}
    given = ("--score-column", "quality", "--bounds", "0:1")
    done = in_process(command, tmp_path / "scores.npz", *given, *more.get(command, COMMANDS.get(command, ())))
    assert done.returncode == 0, done.stderr
    assert wide(done.stdout) == []
    said = " ".join(done.stdout.split())
    assert "score" in said
    for false in ("the loss is exact", "of the loss", "nats", "e+0"):
        assert false not in said


def test_a_share_is_never_written_with_an_exponent() -> None:
    from streameval.statistics.intervals.unseen import rough_percent

    shares = (0.0031, 0.0949, 0.0951, 0.126, 0.999, 1.0)
    assert [*map(rough_percent, shares)] == ["0.31 %", "9.5 %", "10 %", "13 %", "100 %", "100 %"]
