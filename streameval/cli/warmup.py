"""`streameval warmup`: compile all kernels now."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@options.as_json
def command(as_json: bool) -> None:
    """Compile all kernels and keep them, so that no later command has to.

    Takes up to a minute once for each version, Python and CPU; moments when they are there already.
    """
    from streameval.cli import compilation, output

    output.show(compilation.warmup(), as_json, compilation.text)
