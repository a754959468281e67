"""`streameval doctor`: does everything work here, and what was found."""

from __future__ import annotations

import click

from streameval.cli import options


@click.command()
@options.as_json
def command(as_json: bool) -> None:
    """Check that kernels compile, give the right numbers and can be kept, and say what this machine is.

    Ends with 6 if a check does not hold.
    """
    from streameval.cli import checkup, output

    result = checkup.run()
    output.show(result, as_json, checkup.text)
    checkup.insist(result)
