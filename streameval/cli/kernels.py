"""Compiled kernels at hand before the clock starts, so that a pass is timed and not the compiler."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streameval.losses.loss import Loss
    from streameval.storage.source import Source


def ready(source: Source | None, *models: Any, loss: Loss | None = None) -> None:
    """Load the kernels that these models and this data set need, or compile them; say so at a terminal.

    source  None where the models are saved outputs: only their sums are computed
    loss    None for cross-entropy

    Raises ModelError, before anything is compiled, if a model does not fit the data.
    """
    import numpy as np

    from streameval.evaluation.memory import load_kernels
    from streameval.losses import choose_loss
    from streameval.predictors import is_predictor
    from streameval.scoring import make_scorer
    from streameval.storage.opening import open

    if source is None:
        announce()
        for outputs in models:
            load_kernels([make_scorer(outputs.model, outputs, outputs.choose_loss(loss, None))], outputs)
        return
    # What another library computes is not compiled here.
    scorers = [make_scorer(model, source, choose_loss(loss)) for model in models if not is_predictor(model)]
    if not scorers:
        return
    # Not a row of the data: one with a bad label is for the pass to tell.
    row = open((np.zeros((1, *source.shape), source.dtype), np.zeros(1, np.int64)))
    with _sums_beside() if announce() else contextlib.nullcontext():
        load_kernels(scorers, row)


def announce() -> bool:
    """Whether no kernel is kept yet: say at a terminal that they will be compiled."""
    from streameval.kernels.caching import cache_folder
    from streameval.reports.progress import note

    folder = cache_folder()
    if folder is not None and any(folder.rglob("*.nbi")):
        return False
    note("compiling the kernels for this machine: once, about ten seconds.")
    return folder is not None


@contextlib.contextmanager
def _sums_beside() -> Iterator[None]:
    """Have another process compile the sums meanwhile: a seventh of the work, which is done before it is asked for.

    If it fails, they are compiled here, as they would be.
    """
    from streameval.kernels.threads import available

    other = None
    if available() > 1 and sys.executable:
        # Not from the current folder, whatever lies there.
        command = [
            sys.executable,
            "-P",
            "-c",
            "from streameval.evaluation.state import compile_sums; compile_sums()",
        ]
        quiet = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            other = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()
