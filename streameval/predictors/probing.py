"""What a predictor does to the first rows: shapes, outputs, what they are, and whether a row depends on its batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, ModelError, StreamevalError
from streameval.predictors.predictor import Predictor
from streameval.storage.source import Source

PROBED = 64  # rows, evenly over the data set
AGAIN = 8  # rows of a chunk that are computed in another batch as well
# Float32 sums in another order differ by some 1e-6 of the largest output, half precision by 1e-3.
BATCH_TOLERANCE = 1e-2
SUM_TOLERANCE = 1e-3
# Sums of a row that are probabilities rounded, of half precision, or in per cent: how far off, as a share of them.
ALMOST, TOTALS = 0.05, (1.0, 100.0)


def settled(model: Predictor, source: Source, wanted: str = "classes") -> Predictor:
    """The predictor with what was left open decided on up to 64 rows: row shape, outputs, logits or probabilities.

    wanted   what a loss takes: outputs of "classes", "logits" of labels each by itself, or "numbers"

    Raises ModelError: no shape works, what comes back is no array of numbers, a row's outputs depend on the batch.
    """
    rows = np.unique(np.linspace(0, source.rows - 1, PROBED).astype(np.int64))
    model = model.fits(source.shape)
    stored = source.take(rows).x
    x = given_rows(model, stored, source.scale)
    model, out = _first_shape_that_works(model, x)
    if model.outputs not in (0, out.shape[1]):
        raise ModelError(f"{model.title}: {out.shape[1]} numbers a row came back, expected {model.outputs}.")
    seen = model.returns or _seen(model, out, wanted)
    guessed = (
        ()
        if model.returns or seen == "numbers"
        else (f"what it returns was taken as {seen}, by the first {len(x)} rows.",)
    )
    own = f"computed by {model.kind}: the last bits of a row's loss are its own, the sum over them is exact."
    given = (
        ("it was given pixels times 1/255; as they are stored, from 0 to 255, with scale=1 (--scale 1).",)
        if source.dtype == np.uint8 and source.scale == 1 / 255 and not model.raw
        else ()
    )
    model = replace(model, outputs=out.shape[1], returns=seen, notes=(*model.notes, *guessed, *given, own))
    check_batches(model, given_rows(model, stored[::3], source.scale), out[::3], rows[::3], source.name)
    return model


def given_rows(model: Predictor, stored: NDArray[Any], scale: float) -> NDArray[Any]:
    """Stored rows (n, features) as `predict` takes them, in memory of their own: what it does to them hurts nobody."""
    if model.raw:
        return np.array(stored)
    rows = stored.astype(np.float32)
    return rows if scale == 1.0 else rows * np.float32(scale)


def check_batches(
    model: Predictor, x: NDArray[Any], first: NDArray[np.float64], rows: NDArray[np.int64], name: str
) -> None:
    """Raise ModelError if rows get other outputs than the `first` ones in a batch of their own, in another order."""
    # In memory of their own: torch.from_numpy takes no view that runs backwards.
    again = model.call(x[::-1].copy())[::-1]
    finite = np.isfinite(first)
    scale = np.maximum(1.0, np.abs(np.where(finite, first, 0.0)).max(axis=1, keepdims=True, initial=0.0))
    apart = np.abs(again - first) / scale
    # What is not finite in both is for others to tell.
    wrong = np.where(finite, ~(apart <= BATCH_TOLERANCE), np.isfinite(again))
    if wrong.any():
        i, k = (int(one) for one in np.argwhere(wrong)[0])
        raise ModelError(
            f"{model.title}, {name}, row {int(rows[i])}: output {k} is {first[i, k]:.6g} "
            f"in one batch and {again[i, k]:.6g} in another. A row's outputs must depend on that row alone, and come "
            "back in the order of the rows: is the model in training mode, with dropout or batch statistics?"
        )


def check_probabilities(out: NDArray[np.float64], rows: Any, name: str) -> None:
    """Raise DataError for the first row that is no distribution: negative, or not summing to 1 within 0.001."""
    wrong = _not_probabilities(out) & np.isfinite(out).all(axis=1)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(
            f"{name}, row {int(np.asarray(rows)[i])}: probabilities sum to {out[i].sum():.6g}, the smallest "
            f"is {out[i].min():.6g} ({int(wrong.sum())} such of {len(out)} rows); expected none below 0, a sum of 1. "
            'If they are logits: streameval.Predictor(..., returns="logits").'
        )


def _seen(model: Predictor, out: NDArray[np.float64], wanted: str) -> str:
    """What outputs (n, k) of the first rows are. Raises ModelError where logits look like probabilities."""
    if wanted == "numbers":
        return "numbers"
    if wanted == "logits" and out.size and out.min() >= 0.0 and out.max() <= 1.0:
        raise ModelError(
            f"{model.title}: all its outputs of the first {len(out)} rows lie from 0 to 1: are they logits, or "
            "probabilities already? Say which: streameval.Predictor(predict=..., returns='probabilities') or 'logits'."
        )
    if wanted != "classes" or out.shape[1] == 1:
        return "logits"
    if not _not_probabilities(out).any():
        return "probabilities"
    sums = out.sum(axis=1)
    if out.size and out.min() >= 0.0 and any((np.abs(sums - one) <= ALMOST * one).all() for one in TOTALS):
        raise ModelError(
            f"{model.title}: none of its outputs of the first {len(out)} rows is negative, and a row of them sums to "
            f"{sums.min():.6g} to {sums.max():.6g}: are they logits, or probabilities that are rounded or in per cent? "
            "Probabilities sum to 1 within 0.001: divide them by their sums. Of logits say so: "
            "streameval.Predictor(predict=..., returns='logits')."
        )
    return "logits"


def _not_probabilities(out: NDArray[np.float64]) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = ~(
        (out.min(axis=1) >= -1e-6) & (np.abs(out.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
    )
    return wrong


def _first_shape_that_works(model: Predictor, x: NDArray[Any]) -> tuple[Predictor, NDArray[np.float64]]:
    refused: Exception | None = None
    for shape in model.shapes:
        one = replace(model, shapes=(shape,))
        try:
            return one, one.call(x)
        except StreamevalError:
            raise
        # Whatever another library raises for a shape it does not take: the first is told if no shape works.
        except Exception as error:
            refused = refused or error
    tried = " and ".join(str((len(x), *(shape or x.shape[1:]))) for shape in model.shapes)
    raise ModelError(
        f"{model.title}: it raised {type(refused).__name__}: {str(refused)[:300]} when it was given {x.dtype} "
        f"of shape {tried}. Say which rows it takes: streameval.Predictor(predict=..., shapes=((1, 28, 28),))."
    ) from refused
