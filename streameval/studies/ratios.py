"""Ratios of two columns of saved outputs, by token or by byte. Knows columns; the statistics know the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from streameval.arguments import describe_value
from streameval.defaults import LEVEL, PER
from streameval.errors import DataError, UsageError
from streameval.outputs.numbers import open_numbers
from streameval.statistics.ratios import Ratio, bits_per_byte, loss_by_weight, perplexity

# What the weights count -> what is made of the ratio.
RATIOS: Final[dict[str, Callable[..., Ratio]]] = {
    "token": perplexity,
    "byte": bits_per_byte,
    "weight": loss_by_weight,
}


def ratio_of_file(
    path: str | os.PathLike[str],
    loss: str,
    weight: str,
    *,
    per: str = PER[0],
    group: str | None = None,
    level: float = LEVEL,
) -> Ratio:
    """Return perplexity (`per` "token"), bits per byte ("byte") or the weighted mean ("weight") of saved outputs.

    path    any file that `open_outputs` takes
    loss    column, or a tool's metric, of summed losses, in nats
    weight  column of tokens, bytes or weights
    group   column of documents; None: every row is one, and of a log with epochs or trials every sample

    Raises UsageError for a column that is not there, DataError for one of other than numbers, or without any weight.
    """
    if per not in RATIOS:
        raise UsageError(f"per (--per): {describe_value(per)}, expected {', '.join(RATIOS)}.")
    values, groups = open_numbers(path, (loss, weight), group=group)
    if not values[:, 1].any():
        raise DataError(
            f"{os.fspath(path)}, column {weight}: no row has a weight, so there is no ratio. Expected one at least."
        )
    codes = None if groups is None else groups.codes
    return RATIOS[per](values[:, 0], values[:, 1], groups=codes, level=level)
