"""The list of commands: what `streameval --help` shows, and where each one lives.

Knows names, one-line helps and modules. Imports a command's module only when that command is run.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Final

import click

# Name -> what `--help` says. The command is `command` in the module of that name in this folder.
COMMANDS: Final = {
    "demo": "Show the whole idea on drawn digits: no network, no file needed.",
    "fetch": "Download a data set and verify it: streameval fetch mnist DIR.",
    "convert": "Turn data of any form into a file that can be mapped.",
    "digits": "Draw handwritten-like digits, any number of rows.",
    "info": "Say what a data set or a model is.",
    "evaluate": "The exact loss of a model over a data set.",
    "minibatch": "Losses of random mini-batches, and what they say of the full loss.",
    "compare": "Many mini-batches of several sizes against the full loss.",
    "until": "Read random rows until the loss is known well enough.",
    "paired": "Two or more models on the same rows.",
    "calibration": "Whether probabilities mean what they say: Brier score, calibration error.",
    "perplexity": "Saved losses by token or byte, with errors that know documents.",
    "merge": "Put the shards of an evaluation together.",
    "verify": "Compare a report with its model and data, bit by bit.",
    "warmup": "Compile all kernels now, not at their first use.",
    "doctor": "Check that everything works here, and say what was found.",
    "completion": "Print the shell's completion script.",
}

EPILOG = """\
Environment: STREAMEVAL_<OPTION> sets an option's default (STREAMEVAL_THREADS=2 for --threads);
STREAMEVAL_CACHE_DIR is the folder of compiled kernels.

Exit codes: 0 done, 2 usage, 3 bad data, 4 bad model, 5 I/O or disk, 6 a check did not hold, 7 incomplete,
8 locked, 130 and 143 interrupted, 1 anything else."""


def with_option(option: str) -> list[str]:
    """The commands that take an option, such as "--rows"; all are imported to know."""
    return [
        name
        for name in COMMANDS
        if any(option in (*one.opts, *one.secondary_opts) for one in _command(name).params)
    ]


def _command(name: str) -> click.Command:
    command: click.Command = import_module(f"streameval.cli.{name}").command
    return command


class LazyGroup(click.Group):
    """Commands that are imported when they are run, listed without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return _command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        close = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and close and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"streameval {version('streameval')}")
        except PackageNotFoundError:
            click.echo("streameval, not installed: run from its source folder")
        ctx.exit()


@click.command(cls=LazyGroup, epilog=EPILOG, no_args_is_help=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def cli() -> None:
    """The loss of a model over all of the data, exact and fast; and what a mini-batch tells of it."""
