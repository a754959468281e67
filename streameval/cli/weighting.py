"""Options of `evaluate` that make rows count differently, and what they do: the ratio of two sums instead of a mean.

Knows how weights are written down. Does not know what is computed from them.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any, Final

from streameval.cli import options
from streameval.errors import UsageError
from streameval.frozen import frozen

if TYPE_CHECKING:
    from streameval.cli.input_options import InputOptions
    from streameval.cli.saved_options import SavedOptions

FORMS: Final = "a JSON list, text with one number a line or commas between, or .npy"
# A file of weights of classes is shorter than this.
MOST_BYTES: Final = 64 << 20


@frozen
class WeightingOptions:
    """What was given of the options below."""

    class_weights: str | None
    ignore_index: int | None
    weight_column: str | None

    @property
    def any_given(self) -> bool:
        """Whether rows are to count differently."""
        return (self.class_weights, self.ignore_index, self.weight_column) != (None, None, None)

    @property
    def named(self) -> str:
        """The first of them that was given."""
        names = ("class_weights", "ignore_index", "weight_column")
        return next(name for name in names if getattr(self, name) is not None)

    def show(
        self,
        saved: SavedOptions,
        model: str,
        data: str | None,
        inputs: InputOptions,
        rows: str | None,
        chunk_rows: int,
        allow_nonfinite: bool,
        as_json: bool,
    ) -> None:
        """Compute and print."""
        from streameval.cli import kernels, output
        from streameval.cli.inputs import parse_rows
        from streameval.evaluation.weighted import evaluate_weighted
        from streameval.reports import progress, text_weighted

        by_class = None if self.class_weights is None else read_weights(self.class_weights)
        subject = saved.subject(
            model,
            data,
            inputs,
            allow_nonfinite=allow_nonfinite,
            evaluating=True,
            ignore_index=self.ignore_index,
        )
        by_row: Any = self.weight_column
        if by_row is not None and data is None:
            by_row = _saved_weights(model, by_row, saved.format, subject.rows)
        selected = parse_rows(rows, subject.rows)
        kernels.ready(subject.data, subject.model, loss=subject.loss)
        with progress.progress("evaluating") as on_progress:
            result = evaluate_weighted(
                subject.model,
                subject.data,
                class_weights=by_class,
                ignore_index=self.ignore_index,
                weights=by_row,
                rows=selected,
                loss=subject.loss,
                chunk_rows=chunk_rows,
                threads=inputs.threads,
                allow_nonfinite=allow_nonfinite,
                progress=on_progress,
            )
        output.show(result, as_json, text_weighted.weighted)


def read_weights(path: str) -> list[float]:
    """The numbers in a file. Raises UsageError for what is none, StorageError."""
    from streameval import npy_header
    from streameval.files import read_small

    if not os.path.lexists(path):
        raise UsageError(f"--class-weights {options.shown(path)}: no such file. Expected {FORMS}.")
    content = read_small(path, "class weights", MOST_BYTES)
    try:
        if content.startswith(npy_header.MAGIC):
            found = npy_header.array(content).astype(float).ravel().tolist()
        elif content.lstrip().startswith(b"["):
            found = [float(one) for one in json.loads(content)]
        else:
            found = [float(one) for one in content.decode().replace(",", " ").split()]
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"--class-weights {path}: {str(error)[:200]}. Expected {FORMS}.") from None
    if not found or not all(map(math.isfinite, found)):
        raise UsageError(f"--class-weights {path}: {len(found)} numbers, expected finite ones, one a class.")
    return found


def _saved_weights(path: str, column: str, format: str | None, rows: int) -> Any:
    """The weights of saved outputs, row by row. Raises UsageError where rows of the file are no rows here."""
    from streameval.outputs.numbers import open_numbers

    values, _ = open_numbers(path, (column,), format=format)
    if len(values) != rows:
        raise UsageError(
            f"--weight-column {column}: {path} has {len(values)} rows, but {rows} are evaluated, since rows were left "
            "out or repetitions averaged. Correct the file, so that each row counts once."
        )
    return values[:, 0]


weighting_options = options.gathered(
    "weighting",
    WeightingOptions,
    options.option(
        "--class-weights",
        metavar="FILE",
        help="Weigh classes, a number each: .npy, JSON or text. The mean is over the sum of weights.",
    ),
    options.option("--ignore-index", metavar="I", type=int, help="A label whose rows count nowhere."),
    options.option(
        "--weight-column",
        metavar="C",
        help="Weigh rows by this column of DATA (.arrow, or a table), or of saved outputs.",
    ),
)
