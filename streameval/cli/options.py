"""Options that several commands share, and the one rule for all: STREAMEVAL_<OPTION> sets the default.

Knows how arguments are spelled. Does not know what is done with them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from streameval.defaults import CHUNK_ROWS, EPS, FORMATS, IO, LEVEL, LOSSES, OF, RUNTIMES, SEED

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


# Beyond these, no count, seed or row number means anything, and Python itself refuses to read 5,000 digits.
MOST_DIGITS, LARGEST = 20, 2**63 - 1


def integer(value: Any) -> int:
    """A number of 64 bits, as click wants it. Raises click.BadParameter."""
    try:
        number = int(value) if not isinstance(value, str) or len(value) <= MOST_DIGITS else LARGEST + 1
    except ValueError:
        raise click.BadParameter(f"{shown(value)} is not a valid integer.") from None
    if abs(number) > LARGEST:
        raise click.BadParameter(f"{shown(value)}: expected an integer of at most {LARGEST}.")
    return number


def factor(value: Any) -> float:
    """A number, or a fraction such as 1/255, as click wants it. Raises click.BadParameter."""
    above, *below = str(value).split("/", 1)
    try:
        return float(above) / float(below[0] if below else 1)
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{shown(value)}: expected a number, or a fraction such as 1/255.") from None


def shown(value: Any) -> str:
    """What was given, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def option(*names: str, **settings: Any) -> Decorator[Any]:
    """An option whose default the environment sets: --chunk-rows is STREAMEVAL_CHUNK_ROWS."""
    if settings.get("type") is int:
        settings["type"] = integer
    longest = next(name for name in names if name.startswith("--"))
    variable = "STREAMEVAL_" + longest.split("/")[0].removeprefix("--").replace("-", "_").upper()
    return click.option(*names, envvar=variable, **settings)


model_argument = click.argument("model")
data_argument = click.argument("data")
# Saved outputs are given in place of the model, without data.
optional_data_argument = click.argument("data", required=False)

as_json = option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
eps = option(
    "--eps",
    type=float,
    default=EPS,
    show_default=True,
    help="E = -log(y + EPS); 0 is the exact log-softmax.",
)
loss = option(
    "--loss",
    type=click.Choice(LOSSES),
    default=LOSSES[0],
    show_default=True,
    help="What a row costs.",
)
delta = option(
    "--delta", metavar="D", type=float, default=1.0, show_default=True, help="Of loss huber: where it turns."
)
label_smoothing = option(
    "--label-smoothing",
    metavar="S",
    type=float,
    default=0.0,
    show_default=True,
    help="Of cross-entropy: a target t_k counts as (1 - S) t_k + S / classes.",
)
threads = option(
    "--threads", type=int, help="Default: what affinity and cgroup allow. No result depends on it."
)
chunk_rows = option(
    "--chunk-rows",
    type=int,
    default=CHUNK_ROWS,
    show_default=True,
    help="Rows read at a time. No result depends on it.",
)
max_memory = option(
    "--max-memory", metavar="SIZE", help="Hold no more than this, such as 256M, beyond imports."
)
io = option(
    "--io",
    type=click.Choice(IO),
    default=IO[0],
    show_default=True,
    help="auto maps files, and reads those that memory cannot hold past the page cache; pread is for file systems "
    "where mapping is unsafe.",
)
activation = option("--activation", help="Of the hidden layers, where the model file does not say.")
dropout = option(
    "--dropout",
    type=click.Choice(["book", "identity"]),
    help="What dropout does when a network of the book predicts: book multiplies by 0.5 as its code does, identity "
    "does nothing. For files that do not say.",
)
runtime = option(
    "--with",
    "runtime",
    type=click.Choice(RUNTIMES),
    default=RUNTIMES[0],
    show_default=True,
    help="Who computes MODEL: this program, or another library, whose results have bits of their own.",
)
allow_nonfinite = option(
    "--allow-nonfinite", is_flag=True, help="Accept NaN and infinity: such rows are left out and counted."
)
check = option(
    "--check",
    is_flag=True,
    help="Hash the rows as they are read, and compare with the hashes recorded beside the data.",
)
key = option(
    "--key",
    metavar="FILE",
    help="Sign what is written with the key in FILE, and ask what is read to be signed.",
)
seed = option("--seed", type=int, default=SEED, show_default=True, help="The same seed draws the same rows.")
level = option("--level", type=float, default=LEVEL, show_default=True, help="Confidence level of intervals.")
of = option(
    "--of",
    type=click.Choice(OF),
    default=OF[0],
    show_default=True,
    help="What is estimated: the mean loss, or the accuracy.",
)
group = option(
    "--group",
    metavar="COLUMN",
    help="Column of DATA (.arrow, or a table), or of saved outputs, that says which rows belong together, such as a "
    "document: errors take groups, not rows, as independent.",
)
without_replacement = option(
    "--without-replacement", is_flag=True, help="Let the rows of a batch differ. Default: they may repeat."
)
output_format = option("--format", type=click.Choice(FORMATS), help="Default: by the ending of DEST.")


def joined(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Several decorators as one, in the order in which --help shows them."""

    def decorate(command: Any) -> Any:
        for one in reversed(decorators):
            command = one(command)
        return command

    return decorate


def gathered(name: str, kind: type[Any], *decorators: Decorator[Any]) -> Decorator[Any]:
    """Several options whose values reach the command as one argument, `name`, of the dataclass `kind`.

    An option that is no field of `kind` reaches the command by itself; a field without an option keeps its default.
    """

    def decorate(command: Any) -> Any:
        @functools.wraps(command)
        def together(**given: Any) -> Any:
            mine = {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
            return command(**given, **{name: kind(**mine)})

        return joined(*decorators)(together)

    return decorate
