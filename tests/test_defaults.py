"""What is used where nothing was said stands in one place: tables, signatures and the command line agree with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

import streameval as se
from streameval import defaults
from streameval.errors import DataError, UsageError
from streameval.losses import LOSSES, CrossEntropy, choose_loss, losses_class
from streameval.models import formats
from streameval.statistics.intervals import INTERVALS
from streameval.statistics.sequences import SEQUENCES
from streameval.storage.writing import WRITERS

# Parameter -> what it is where nothing was said; (function, parameter) where functions differ.
COMMON = {
    "chunk_rows": defaults.CHUNK_ROWS,
    "level": defaults.LEVEL,
    "seed": defaults.SEED,
    "sizes": defaults.SIZES,
    "trials": defaults.TRIALS,
    "half_width": defaults.HALF_WIDTH,
    "io": defaults.IO[0],
    "size": defaults.BATCH_SIZE,
    "threads": None,
    "max_memory": None,
    "eps": None,
    "loss": None,
}
OWN = {
    ("stream", "chunk_rows"): defaults.STREAM_ROWS,
    # As the scorer and the rows are: tests/evaluation/test_memory.py.
    ("evaluate", "chunk_rows"): None,
    ("cross_entropy_error", "eps"): defaults.EPS,
    ("minibatch", "method"): defaults.METHOD,
    ("evaluate_until", "method"): defaults.SEQUENTIAL_METHOD,
    # Reads all rows unless a half-width is asked for.
    ("paired", "half_width"): None,
    # Drawn anew: who made the report must not know which blocks are computed again.
    ("verify", "seed"): None,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(se, name) for name in se.__all__ if inspect.isfunction(getattr(se, name))
}


def test_the_methods_are_those_of_the_tables_in_their_order() -> None:
    assert tuple(INTERVALS) == defaults.METHODS
    assert tuple(SEQUENCES) == defaults.SEQUENTIAL_METHODS
    assert set(defaults.SEQUENTIAL_METHODS) <= set(defaults.METHODS)
    assert tuple(name for name, row in INTERVALS.items() if row.bounded) == defaults.GUARANTEED
    assert defaults.METHOD in defaults.METHODS
    assert defaults.SEQUENTIAL_METHOD in defaults.SEQUENTIAL_METHODS


def test_the_losses_that_can_be_chosen_are_those_that_are_computed() -> None:
    assert set(defaults.LOSSES) == set(LOSSES) - {"recorded", "clipped-cross-entropy"}
    assert {LOSSES[name][1] for name in defaults.LOSSES} <= set(se.__all__)
    numbers = [name for name in LOSSES if getattr(losses_class(name), "outputs", None) == "numbers"]
    assert tuple(numbers) == defaults.NUMBER_LOSSES


def test_names_of_models_end_as_weight_formats_say() -> None:
    """But .npz, which the content has to tell apart."""
    endings = [ending for form in formats.FORMATS.values() for ending in form.endings]
    assert sorted(defaults.WEIGHTS) == sorted(set(endings) - {".npz"})


@pytest.mark.parametrize("ending", defaults.WEIGHTS)
def test_a_model_in_place_of_rows_is_told_by_its_name(ending: str, tmp_path: Path) -> None:
    """In small and large letters, whatever its bytes look like."""
    for name in (f"model{ending}", f"MODEL{ending.upper()}"):
        path = tmp_path / name
        path.write_bytes(b"PK\x03\x04" if ending in (".pt", ".pth") else b"\x80\x02 of anything")
        with pytest.raises(DataError, match="a file of weights, expected data"):
            se.open(path)
        with pytest.raises(UsageError, match="its name is that of a model, expected saved outputs"):
            se.open_outputs(path, loss="loss")


def test_the_ways_to_read_are_those_that_opening_knows(digits_file) -> None:
    for way in defaults.IO:
        assert se.open(digits_file, io=way).rows == 3000
    with pytest.raises(UsageError, match=f"expected one of {', '.join(defaults.IO)}"):
        se.open(digits_file, io="by post")


def test_the_formats_that_can_be_chosen_are_those_that_are_written() -> None:
    assert tuple(WRITERS) == defaults.FORMATS


def test_the_loss_is_cross_entropy_with_the_default_eps() -> None:
    assert choose_loss() == CrossEntropy() == CrossEntropy(eps=defaults.EPS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_s_defaults_are_these(name: str) -> None:
    parameters = inspect.signature(FUNCTIONS[name]).parameters.values()
    for one in parameters:
        expected = OWN.get((name, one.name), COMMON.get(one.name, one.default))
        assert one.default == expected or one.default is inspect.Parameter.empty, one


def test_the_functions_that_are_looked_at_have_what_is_looked_for() -> None:
    """A parameter of another name would be compared with nothing."""
    there = {(name, one) for name, call in FUNCTIONS.items() for one in inspect.signature(call).parameters}
    assert set(OWN) <= there
    assert set(COMMON) <= {parameter for _, parameter in there}


COMMANDS: dict[tuple[str, str], Any] = {
    **{
        (command, option): value
        for command in ("evaluate", "compare", "until", "paired", "minibatch")
        for option, value in (("eps", defaults.EPS), ("io", defaults.IO[0]), ("threads", None))
    },
    **{
        (command, option): value
        for command in ("compare", "until", "paired", "minibatch")
        for option, value in (("level", defaults.LEVEL), ("seed", defaults.SEED))
    },
    **{(command, "max_memory"): None for command in ("evaluate", "compare", "paired")},
    ("evaluate", "chunk_rows"): defaults.CHUNK_ROWS,
    ("compare", "sizes"): ",".join(map(str, defaults.SIZES)),
    ("compare", "trials"): defaults.TRIALS,
    ("until", "half_width"): defaults.HALF_WIDTH,
    ("until", "method"): defaults.SEQUENTIAL_METHOD,
    ("paired", "half_width"): None,
    ("minibatch", "size"): defaults.BATCH_SIZE,
    ("minibatch", "method"): defaults.METHOD,
}


def parameters(command: str) -> dict[str | None, click.Parameter]:
    found: click.Command = import_module(f"streameval.cli.{command}").command
    return {one.name: one for one in found.params}


@pytest.mark.parametrize(("command", "option"), COMMANDS)
def test_a_command_s_defaults_are_these(command: str, option: str) -> None:
    found: click.Command = import_module(f"streameval.cli.{command}").command
    context = found.make_context(
        command, ["model", "model", "data"] if command == "paired" else ["model", "data"]
    )
    assert context.params[option] == COMMANDS[command, option]


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("minibatch", "method", defaults.METHODS),
        ("until", "method", defaults.SEQUENTIAL_METHODS),
        ("evaluate", "io", defaults.IO),
        ("convert", "format", defaults.FORMATS),
    ],
)
def test_a_command_s_choices_are_these(command: str, option: str, names: tuple[str, ...]) -> None:
    kind = parameters(command)[option].type
    assert isinstance(kind, click.Choice)
    assert tuple(kind.choices) == names
