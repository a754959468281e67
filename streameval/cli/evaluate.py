"""`streameval evaluate`: the exact loss of a model over a data set."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, pass_input_options
from streameval.cli.pass_options import OF_A_REPORT, PassOptions, pass_options
from streameval.cli.saved_options import SavedOptions, check_alone, saved_options
from streameval.cli.weighting import WeightingOptions, weighting_options

if TYPE_CHECKING:
    from streameval.evaluation.report import Report


@click.command()
@options.model_argument
@options.optional_data_argument
@options.option("--rows", metavar="FILE|START:STOP", help="Only these rows; repeats count. Default: all.")
@options.group
@options.option(
    "--anatomy",
    is_flag=True,
    help="Take the loss apart: quantiles, the worst 1 %, top-k accuracies, Brier score, calibration.",
)
@options.option("--by", metavar="COLUMN", help="Results by value of a column of the data, and --anatomy.")
@options.option(
    "--images", is_flag=True, help="Show the worst rows as pictures, with true and predicted class."
)
@options.option(
    "--semantics",
    is_flag=True,
    help="Print the cross-entropy as the article, PyTorch, Keras and scikit-learn have it, and why they differ.",
)
@weighting_options
@pass_options
@pass_input_options
@saved_options
@figure_options
@options.as_json
def command(
    model: str,
    data: str | None,
    rows: str | None,
    group: str | None,
    anatomy: bool,
    by: str | None,
    images: bool,
    semantics: bool,
    weighting: WeightingOptions,
    run: PassOptions,
    max_memory: str | None,
    inputs: InputOptions,
    chunk_rows: int,
    allow_nonfinite: bool,
    saved: SavedOptions,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Print the exact loss of MODEL over DATA, or of saved OUTPUTS: streameval evaluate OUTPUTS.

    MODEL is a .pkl, .npz, .safetensors or .onnx file of a network. DATA is an .arrow file, a table (.parquet, .csv,
    .jsonl, .npz), a folder of images.npy and labels.npy or of images by class, or a folder or quoted glob of several
    of them. OUTPUTS, given alone, is a file of
    losses, scores, logits or probabilities: Arrow, Parquet, CSV, JSON lines, .npy, .npz, or an evaluation tool's log.
    """
    from streameval.cli import kernels, output
    from streameval.cli.inputs import parse_rows
    from streameval.cli.semantics import ALONE, show_semantics
    from streameval.evaluation import evaluate
    from streameval.reports import progress, text

    if semantics:
        check_alone("semantics", ALONE)
        shown = saved.subject(model, data, inputs, allow_nonfinite=allow_nonfinite, evaluating=True)
        show_semantics(shown, rows, inputs.threads, chunk_rows, allow_nonfinite, as_json)
        return
    if weighting.any_given:
        check_alone(weighting.named, OF_A_REPORT)
        weighting.show(saved, model, data, inputs, rows, chunk_rows, allow_nonfinite, as_json)
        return
    figures.check({"MODEL": model, "DATA": data, "--rows": rows, "--key": run.key}, *run.outputs())
    run.check_losses()
    subject = saved.subject(
        model,
        data,
        inputs,
        # Saved outputs are read with one such column.
        group=by if group is None and data is None else group,
        allow_nonfinite=allow_nonfinite,
        evaluating=True,
        whole=anatomy,
    )
    key = run.signing()
    with contextlib.ExitStack() as drawing:

        def put_away(report: Report) -> None:
            drawing.close()
            figures.write("report", report)
            output.show(report, as_json, partial(text.report, images=images), key)

        settings, selected = run.settings(key, put_away), parse_rows(rows, subject.rows)
        kernels.ready(subject.data, subject.model, loss=subject.loss)
        on_progress = drawing.enter_context(progress.progress("evaluating"))
        evaluate.evaluate(
            subject.model,
            subject.data,
            rows=selected,
            loss=subject.loss,
            chunk_rows=chunk_rows,
            threads=inputs.threads,
            max_memory=max_memory,
            allow_nonfinite=allow_nonfinite,
            groups=subject.groups,
            anatomy=anatomy,
            by=by,
            progress=on_progress,
            options=settings,
        )
