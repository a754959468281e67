"""`streameval evaluate`: the exact loss of a model over a data set."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.figure_options import FigureOptions, figure_options
from streameval.cli.input_options import InputOptions, pass_input_options
from streameval.cli.pass_options import PassOptions, pass_options


@click.command()
@options.model_argument
@options.data_argument
@options.option("--rows", metavar="FILE|START:STOP", help="Only these rows; repeats count. Default: all.")
@options.group
@pass_options
@pass_input_options
@figure_options
@options.as_json
def command(
    model: str,
    data: str,
    rows: str | None,
    group: str | None,
    run: PassOptions,
    max_memory: str | None,
    inputs: InputOptions,
    chunk_rows: int,
    allow_nonfinite: bool,
    figures: FigureOptions,
    as_json: bool,
) -> None:
    """Print the exact loss of MODEL over DATA.

    MODEL is a .pkl, .npz, .safetensors or .onnx file of a network. DATA is an .arrow file, a folder
    of images.npy and labels.npy, or a folder or quoted glob of several of them.
    """
    from streameval.cli import kernels, output
    from streameval.cli.inputs import parse_rows
    from streameval.evaluation import evaluate
    from streameval.reports import pages, progress, text

    figures.check({"MODEL": model, "DATA": data, "--rows": rows, "--key": run.key}, *run.outputs())
    network, source = inputs.model(model, allow_nonfinite=allow_nonfinite), inputs.data(data)
    settings, selected = run.settings(), parse_rows(rows, source.rows)
    kernels.ready(source, network)
    with progress.progress("evaluating") as on_progress:
        report = evaluate.evaluate(
            network,
            source,
            rows=selected,
            eps=inputs.eps,
            chunk_rows=chunk_rows,
            threads=inputs.threads,
            max_memory=max_memory,
            allow_nonfinite=allow_nonfinite,
            groups=group,
            progress=on_progress,
            options=settings,
        )
    figures.write(pages.report, report)
    output.show(report, as_json, text.report, run.signing())
