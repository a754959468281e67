"""What every report says of its model and its cost, the same in text and on pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streameval.reports.numbers import rate, seconds

if TYPE_CHECKING:
    from streameval.evaluation.report import Report
    from streameval.models.model import Model


def notes(*models: Model) -> list[tuple[str, str]]:
    """What had to be decided to read the models, as (name, value): of several, each with its path."""
    return [
        ("note", note if len(models) == 1 else f"{model.path or 'a model'}: {note}")
        for model in models
        for note in getattr(model, "notes", ())
    ]


def time(result: Report) -> str:
    """How long a pass took, and how fast that is: in rows, and in products and sums of the layers as they are written.

    Of these some are never done (zeros that are skipped, faster convolutions): it can exceed what a machine does.
    """
    used = result.resources
    done = 2 * getattr(result.model, "multiply_adds", 0) * used.rows_per_second / 1e9
    speed = f", {done:.3g} GFLOP/s" if done else ""
    return f"{seconds(used.seconds)}, {rate(used.rows_per_second)}, threads: {used.threads}{speed}"
