"""How models and data are read and computed, as the options below say it.

Knows which of them go together. Does not know what is made of the losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from streameval.cli import options
from streameval.cli.column_options import ColumnOptions, column_options
from streameval.defaults import EPS, LOSSES, NATIVE
from streameval.errors import UsageError
from streameval.frozen import frozen

if TYPE_CHECKING:
    from streameval.losses.loss import Loss
    from streameval.models.model import Model
    from streameval.storage.source import Source


# Options of losses that are computed, and of which.
OF_LOSSES: Final = {"eps": "cross-entropy", "label_smoothing": "cross-entropy", "delta": "huber"}


def given(name: str) -> bool:
    """Whether an option stands on the command line itself; the environment sets defaults for all commands."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


@frozen
class InputOptions:
    """What was given of the options that every command with a model and a data set takes; those of the loss, and
    check, not by all."""

    threads: int | None
    columns: ColumnOptions
    activation: str | None
    dropout: str | None
    io: str
    runtime: str
    loss: str = LOSSES[0]
    eps: float = EPS
    label_smoothing: float = 0.0
    delta: float = 1.0
    check: bool = False

    def chosen_loss(self) -> Loss:
        """What a row costs. Raises UsageError for options of another loss, or that cannot mean anything."""
        from streameval.losses import losses_class

        for name, whose in OF_LOSSES.items():
            if self.loss != whose and given(name):
                raise UsageError(
                    f"--{name.replace('_', '-')}: belongs to --loss {whose}, but the loss is {self.loss}. Leave it out."
                )
        mine = {name: getattr(self, name) for name, whose in OF_LOSSES.items() if whose == self.loss}
        made: Loss = losses_class(self.loss)(**mine)
        return made

    def model(self, path: str, *, allow_nonfinite: bool = False) -> Model:
        """Load the model at `path`. Errors are those of `inputs.load_model`, or of another library."""
        from streameval.cli.inputs import load_model

        if self.runtime != NATIVE:
            from streameval.predictors.runtimes import load

            for name in ("activation", "dropout"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"--{name} with --with {self.runtime}: that library computes the file as it is. Leave one out."
                    )
            return load(self.runtime, path, self.threads)
        return load_model(path, self.activation, self.dropout, allow_nonfinite=allow_nonfinite)

    def data(self, path: str) -> Source:
        """Open the data set at `path`. Errors are those of `inputs.open_data`."""
        from streameval.cli.inputs import open_data

        return open_data(path, io=self.io, check=self.check, **self.columns.opening())


# What rows are read with, and by whom they are computed.
LOSS: Final = (options.loss, options.eps, options.label_smoothing, options.delta)
READING: Final = (options.threads, column_options, options.activation, options.dropout)
COMPUTING: Final = (options.io, options.runtime)

input_options = options.gathered("inputs", InputOptions, *LOSS, *READING, *COMPUTING, options.check)
# Of probabilities, which have no eps.
probability_input_options = options.gathered("inputs", InputOptions, *READING, *COMPUTING, options.check)
# Of a comparison with a report: it says its eps, and what is read is always hashed.
verify_input_options = options.gathered("inputs", InputOptions, *READING, options.allow_nonfinite, *COMPUTING)
# Of a pass over all rows: chunks and rows that are not finite are that command's own.
pass_input_options = options.gathered(
    "inputs",
    InputOptions,
    *LOSS,
    options.chunk_rows,
    *READING,
    options.allow_nonfinite,
    *COMPUTING,
    options.check,
)
