"""Compiled kernels at hand before the clock starts, so that a pass is timed and not the compiler."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streameval.models.mlp import Mlp
    from streameval.storage.source import Source


def ready(network: Mlp, source: Source) -> None:
    """Load the kernels that this network and data set need, or compile them; say so at a terminal.

    Raises ModelError, before anything is compiled, if the network does not fit the data.
    """
    import numpy as np

    from streameval.evaluation.evaluate import evaluate
    from streameval.evaluation.scoring import check_fit

    check_fit(network, source)
    announce()
    one_row = np.zeros((1, network.features), source.dtype), np.zeros(1, np.int64)
    evaluate(network, one_row, allow_nonfinite=True)


def announce() -> None:
    """Say at a terminal that kernels will be compiled, if none are kept yet."""
    from streameval.kernels.caching import cache_folder
    from streameval.reports.progress import note

    folder = cache_folder()
    if folder is None or not any(folder.rglob("*.nbi")):
        note("compiling the kernels for this machine: once, about ten seconds.")
