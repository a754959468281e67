"""Numbers of thousands of digits, which Python itself refuses to read, end as any other number that means nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest
from command_line import in_process

from streameval.cli.commands import COMMANDS

NUMBERS = ("9" * 5000, "9" * 4000, "-" + "9" * 5000, "9" * 19)
# What takes numbers in a form of its own: option -> how it is written, the command that has it.
OTHERS = {"--rows": "{}:1", "--shard": "0/{}", "--max-memory": "{}G", "--sizes": "10,{}"}


def numeric() -> list[tuple[str, str]]:
    """(command, option) for every option that is an integer."""
    found = []
    for name in COMMANDS:
        command: click.Command = import_module(f"streameval.cli.{name}").command
        for one in command.params:
            if isinstance(one, click.Option) and one.type.name == "integer":
                found.append((name, max(one.opts, key=len)))
    return found


def test_integer_options_are_found() -> None:
    assert ("minibatch", "--size") in numeric()
    assert len(numeric()) > 20


@pytest.mark.parametrize(("command", "option"), numeric(), ids="".join)
def test_integers_of_thousands_of_digits_are_refused(command: str, option: str) -> None:
    called = import_module(f"streameval.cli.{command}").command
    required = [one.name for one in called.params if isinstance(one, click.Argument) and one.required]
    for number in NUMBERS:
        done = in_process(command, *required, f"{option}={number}")
        assert done.returncode == 2
        assert option in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr) < 600


@pytest.mark.parametrize("option", OTHERS)
def test_so_are_numbers_within_other_options(digits_file: Path, option: str) -> None:
    from streameval.datasets.digits import demo_network_path

    command = "compare" if option == "--sizes" else "evaluate"
    # A name of over 255 bytes cannot be that of a file of row numbers: that is an error of its own.
    for number in ("9" * 200,) if option == "--rows" else NUMBERS[:2]:
        extra = ("--state", "s.json") if option == "--shard" else ()
        done = in_process(
            command, demo_network_path(), digits_file, f"{option}={OTHERS[option].format(number)}", *extra
        )
        assert done.returncode == 2, done.stderr
        assert len(done.stderr) < 600
