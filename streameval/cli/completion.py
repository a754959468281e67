"""`streameval completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import os

import click

PROGRAM, VARIABLE = "streameval", "_STREAMEVAL_COMPLETE"
WHERE = {
    "bash": "~/.bashrc:  source <(streameval completion bash)",
    "zsh": "~/.zshrc:  source <(streameval completion zsh)",
    "fish": "~/.config/fish/completions/streameval.fish:  streameval completion fish | source",
}


def _places() -> str:
    return "\b\nPut this line into\n" + "\n".join(f"  {line}" for line in WHERE.values())


@click.command(epilog=_places())
@click.argument("shell", type=click.Choice(list(WHERE)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())


def answer(cli: click.Command) -> bool:
    """Answer the shell if it is the shell that asks; False if it does not."""
    instruction = os.environ.get(VARIABLE)
    if not instruction:
        return False
    from click.shell_completion import shell_complete

    shell_complete(cli, {}, PROGRAM, VARIABLE, instruction)
    return True
