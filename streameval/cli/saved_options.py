"""What a command is about: MODEL and DATA, or the saved outputs of a model alone, as the options below say it.

Knows which of them go together. Does not know what is made of the values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import click

from streameval.cli import options
from streameval.cli.input_options import OF_LOSSES, given
from streameval.defaults import LOSSES, NUMBER_LOSSES
from streameval.errors import UsageError
from streameval.frozen import frozen

if TYPE_CHECKING:
    from streameval.cli.input_options import InputOptions
    from streameval.losses.loss import Loss
    from streameval.outputs.source import Outputs

# Options of models and data that mean nothing for saved outputs.
OF_MODELS: Final = (
    "scale",
    "features",
    "target",
    "image",
    "mean",
    "std",
    "activation",
    "dropout",
    "io",
    "runtime",
    "check",
    "images",
)
# Of several runs' saved outputs, beside those of `SavedOptions`.
OF_RUNS: Final = ("least_joined",)


@frozen
class Subject:
    """What is evaluated: a model on a data set, or saved outputs, then without `data`.

    loss    what a row costs, None where the values are what was saved
    rows    that there are
    groups  the column of the rows' groups in the data set; that of saved outputs was read with them
    """

    model: Any
    data: Any
    loss: Loss | None
    rows: int
    groups: str | None = None


@frozen
class SavedOptions:
    """What was given of the options for saved outputs."""

    loss_column: str | None
    score_column: str | None
    metric: str | None
    logits: str | None
    probabilities: str | None
    predictions: str | None
    label_column: str | None
    row_id: str | None
    bounds: str | None
    format: str | None

    def subject(
        self,
        model: str,
        data: str | None,
        inputs: InputOptions,
        *,
        group: str | None = None,
        allow_nonfinite: bool = False,
        evaluating: bool = False,
        whole: bool = False,
        ignore_index: int | None = None,
    ) -> Subject:
        """The model and the data set, or the outputs where no DATA was given. Errors are those of opening them."""
        if data is not None:
            self.check_models(allow_nonfinite and not evaluating)
            loss = inputs.chosen_loss()
            network = inputs.model(model, allow_nonfinite=allow_nonfinite)
            source = inputs.data(data)
            return Subject(network, source, loss, source.rows, group)
        outputs = self.open(
            model,
            inputs,
            group=group,
            allow_nonfinite=allow_nonfinite,
            whole=whole,
            ignore_index=ignore_index,
        )
        return Subject(outputs, None, self.loss(outputs, inputs), outputs.rows)

    def open(
        self,
        path: str,
        inputs: InputOptions,
        *,
        group: str | None = None,
        allow_nonfinite: bool = False,
        whole: bool = False,
        ignore_index: int | None = None,
    ) -> Outputs:
        """Open the saved outputs at `path`, with all that the loss needs of them; `whole`: all probabilities."""
        from streameval.outputs.opening import open_outputs

        _refuse([name for name in OF_MODELS if given(name)], "a model and its data", "saved outputs")
        classes = self.predictions is None and inputs.loss == LOSSES[0]
        return open_outputs(
            path,
            loss=self.loss_column,
            score=self.score_column,
            metric=self.metric,
            logits=self.logits,
            probabilities=self.probabilities,
            predictions=self.predictions,
            label=self.label_column if classes else None,
            target=None if classes else self.label_column,
            row_id=self.row_id,
            group=group,
            bounds=parse_bounds(self.bounds),
            format=self.format,
            allow_nonfinite=allow_nonfinite,
            whole=whole or inputs.label_smoothing != 0.0,
            ignore_index=ignore_index,
        )

    def loss(self, outputs: Outputs, inputs: InputOptions) -> Loss | None:
        """What a row costs; None for values that were saved, which are no other loss any more."""
        if outputs.value is None:
            return inputs.chosen_loss()
        named = [name for name in ("loss", *OF_LOSSES) if given(name)]
        if named:
            raise UsageError(
                f"--{named[0].replace('_', '-')}: {outputs.value.detail} of {outputs.name} was saved, and is no other "
                "loss any more. Leave it out, or name --logits, --probabilities or --predictions."
            )
        return None

    @property
    def any_given(self) -> bool:
        """Whether one of these options stands on the command line."""
        return any(given(field.name) for field in fields(self))

    def alone(self, path: str) -> bool:
        """Whether the first of several paths is a run's outputs, and no model: by these options, or by its name."""
        from streameval.outputs.formats import is_models_name

        return self.any_given or not (is_models_name(path) or given("runtime"))

    def check_models(self, allow_nonfinite: bool = False) -> None:
        """Raise UsageError if one of these options, or another of saved outputs, was given with a model and data."""
        if allow_nonfinite:
            _refuse(["allow_nonfinite"], "saved outputs, or evaluate", "a model and its data")
        named = [name for name in (*(field.name for field in fields(self)), *OF_RUNS) if given(name)]
        _refuse(named, "saved outputs, which are given alone, without DATA", "a model and its data")


def check_alone(flag: str, names: Iterable[str]) -> None:
    """Raise UsageError if one of these options stands beside one that does without them."""
    written = {one.name: one.opts[0] for one in click.get_current_context().command.params}
    beside = [written[name] for name in names if name in written and given(name)]
    if beside:
        raise UsageError(f"{written[flag]} with {', '.join(beside)}: it goes without. Leave one out.")


def parse_bounds(text: str | None) -> tuple[float, float] | None:
    """The two ends that `--bounds` names. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        raise UsageError(f"--bounds {text}: expected LOW:HIGH, such as 0:1 or -3:2.5.") from None
    return low, high


def _refuse(names: list[str], whose: str, what: str) -> None:
    if names:
        written = {one.name: one.opts[0] for one in click.get_current_context().command.params}
        shown = ", ".join(written[name] for name in names)
        raise UsageError(f"{shown}: for {whose}, but {what} were given. Leave it out.")


saved_options = options.gathered(
    "saved",
    SavedOptions,
    options.option("--loss-column", metavar="C", help="Of saved outputs: the column of losses."),
    options.option("--score-column", metavar="C", help="The column of scores; more is better."),
    options.option("--metric", metavar="NAME", help="The same by the name that an evaluation tool gave it."),
    options.option(
        "--logits",
        metavar="C",
        help="The column of lists of logits, or columns, with commas between or a pattern such as 'logit_*'.",
    ),
    options.option("--probabilities", metavar="C", help="The same of probabilities."),
    options.option(
        "--predictions",
        metavar="C",
        help=f"The same of numbers, for --loss {' or '.join(NUMBER_LOSSES)}.",
    ),
    options.option(
        "--label-column", metavar="C", help="True classes, or the numbers that outputs are compared with."
    ),
    options.option("--row-id", metavar="C", help="Column, or columns, that tell rows apart."),
    options.option("--bounds", metavar="LOW:HIGH", help="What no saved value can pass."),
    # Of this command line alone: STREAMEVAL_FORMAT is what `convert` writes.
    click.option(
        "--format", metavar="NAME", help="Of saved outputs, where the content does not say: lm-eval, ..."
    ),
)
