"""Ratios of two columns of saved outputs, by token or by byte. Knows columns; the statistics know the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from streameval.arguments import describe_value
from streameval.defaults import LEVEL, PER
from streameval.errors import DataError, UsageError
from streameval.statistics.ratios import Ratio, bits_per_byte, loss_by_weight, perplexity
from streameval.storage.columns import read_column

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
    """Return perplexity (`per` "token"), bits per byte ("byte") or the weighted mean ("weight") of an Arrow file.

    loss    column of summed losses, in nats · weight: column of tokens, bytes or weights · group: column of documents

    Raises UsageError for a column that is not there, DataError for one of other than numbers.
    """
    if per not in RATIOS:
        raise UsageError(f"per (--per): {describe_value(per)}, expected {', '.join(RATIOS)}.")
    columns = {name: read_column(path, name) for name in (loss, weight)}
    for name, values in columns.items():
        if values.dtype.kind not in "iuf":
            raise DataError(f"{os.fspath(path)}: column {name!r} is of {values.dtype}, expected numbers.")
    groups = None if group is None else read_column(path, group)
    return RATIOS[per](columns[loss], columns[weight], groups=groups, level=level)
