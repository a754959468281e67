"""Ratios of two columns of saved outputs, by token or by byte. Knows columns; the statistics know the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.arguments import describe_value
from streameval.defaults import LEVEL, PER
from streameval.errors import DataError, UsageError
from streameval.outputs.formats import open_table
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

    loss    column of summed losses, in nats · weight: column of tokens, bytes or weights · group: column of documents

    Raises UsageError for a column that is not there, DataError for one of other than numbers.
    """
    if per not in RATIOS:
        raise UsageError(f"per (--per): {describe_value(per)}, expected {', '.join(RATIOS)}.")
    wanted = [loss, weight, *([] if group is None else [group])]
    columns = dict(zip(wanted, read_columns(path, wanted), strict=True))
    values, weights = (_numbers(path, name, columns[name]) for name in (loss, weight))
    return RATIOS[per](values, weights, groups=None if group is None else columns[group], level=level)


def _numbers(path: str | os.PathLike[str], name: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """The column as float64; a file of text has numbers as text."""
    try:
        return np.asarray(column.astype(np.float64))
    except (ValueError, TypeError) as error:
        raise DataError(f"{os.fspath(path)}: column {name!r}: {error}, expected numbers.") from None


def read_columns(path: str | os.PathLike[str], names: Sequence[str]) -> list[NDArray[Any]]:
    """Return these columns of saved outputs in any format that `outputs` reads, each (rows,): held whole.

    Raises UsageError for a column that is not there, with those there are; DataError for one of lists.
    """
    table = open_table(path)
    for name in names:
        if name not in table.columns:
            raise UsageError(
                f"{table.name}: no column {name!r}. Its columns: {', '.join(table.columns[:30])}."
            )
    pieces: list[list[NDArray[Any]]] = [[] for _ in names]
    for batch in table.read(names):
        for piece, name in zip(pieces, names, strict=True):
            piece.append(np.asarray(batch[name]))
    columns = [np.concatenate(piece) if piece else np.empty(0) for piece in pieces]
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1:
            raise DataError(f"{table.name}: column {name!r} holds lists, expected one value for each row.")
    return columns
