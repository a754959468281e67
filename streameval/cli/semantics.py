"""What `evaluate --semantics` does: one pass, printed under the conventions of several libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streameval.cli.pass_options import OF_A_REPORT

if TYPE_CHECKING:
    from streameval.cli.saved_options import Subject

# Options of `evaluate` that choose one loss or weigh its rows, or are about one report of it.
ALONE: Final = (
    *("loss", "eps", "label_smoothing", "delta"),
    *("class_weights", "ignore_index", "weight_column"),
    *OF_A_REPORT,
)


def show_semantics(
    subject: Subject,
    rows: str | None,
    threads: int | None,
    chunk_rows: int,
    allow_nonfinite: bool,
    as_json: bool,
) -> None:
    """Compute and print."""
    from streameval.cli import kernels, output
    from streameval.cli.inputs import parse_rows
    from streameval.evaluation.semantics import CONVENTIONS, semantics
    from streameval.reports import progress
    from streameval.reports.text_semantics import semantics as as_text

    selected = parse_rows(rows, subject.rows)
    if subject.loss is not None:
        for one in CONVENTIONS:
            kernels.ready(subject.data, subject.model, loss=one.loss)
    with progress.progress("evaluating") as on_progress:
        result = semantics(
            subject.model,
            subject.data,
            rows=selected,
            chunk_rows=chunk_rows,
            threads=threads,
            allow_nonfinite=allow_nonfinite,
            progress=on_progress,
        )
    output.show(result, as_json, as_text)
