"""`streameval evaluate`: the exact loss of a model over a data set."""

from __future__ import annotations

import click

from streameval.cli import options
from streameval.cli.long_run import LongRun, long_run
from streameval.cli.pictures import Drawing, drawing
from streameval.cli.reading import Reading, whole_pass


@click.command()
@options.model_argument
@options.data_argument
@options.option("--rows", metavar="FILE|START:STOP", help="Only these rows; repeats count. Default: all.")
@options.option("--losses", metavar="OUT.arrow", help="Write the loss of every row to this file.")
@long_run
@whole_pass
@drawing
@options.as_json
def command(
    model: str,
    data: str,
    rows: str | None,
    losses: str | None,
    long: LongRun,
    reading: Reading,
    chunk_rows: int,
    allow_nonfinite: bool,
    drawing: Drawing,
    as_json: bool,
) -> None:
    """Print the exact loss of MODEL over DATA.

    MODEL is a .pkl, .npz, .safetensors or .onnx file of a network of dense layers. DATA is an .arrow file, a folder
    of images.npy and labels.npy, or a folder or quoted glob of several of them.
    """
    from functools import partial

    from streameval.cli import inputs, kernels, output
    from streameval.evaluation import evaluate
    from streameval.evaluation import losses as to_file
    from streameval.reports import pages, progress, text

    drawing.check({"MODEL": model, "DATA": data, "--rows": rows}, *long.outputs(losses))
    network, source = reading.model(model, allow_nonfinite=allow_nonfinite), reading.data(data)
    settings = long.settings(losses)
    run = partial(to_file.evaluate_to_file, path=losses) if losses else partial(evaluate.evaluate, **settings)
    selected = inputs.parse_rows(rows, source.rows)
    kernels.ready(network, source)
    with progress.progress("evaluating") as told:
        report = run(
            network,
            source,
            rows=selected,
            eps=reading.eps,
            chunk_rows=chunk_rows,
            threads=reading.threads,
            allow_nonfinite=allow_nonfinite,
            progress=told,
        )
    drawing.write(pages.report, report)
    output.show(report, as_json, text.report)
