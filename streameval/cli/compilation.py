"""Which calls make every kernel be compiled, and how long each one took.

Knows tiny inputs that reach every kernel. Does not know how kernels are compiled or kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from streameval.reports.numbers import seconds
from streameval.reports.terminal import TextStyle, fields

SCHEMA = "streameval/warmup/1"
ROWS = 64


def warmup() -> dict[str, Any]:
    """Run every kernel once; return seconds by kind of work, and the folder the machine code is kept in."""
    from streameval.kernels.caching import cache_folder

    took = {}
    for name, run in STEPS.items():
        start = time.perf_counter()
        run()
        took[name] = time.perf_counter() - start
    folder = cache_folder()
    return {"schema": SCHEMA, "seconds": took, "folder": None if folder is None else str(folder)}


def text(result: dict[str, Any], style: TextStyle) -> str:
    """What was compiled, for people."""
    pairs = [(name, seconds(took)) for name, took in result["seconds"].items()]
    where = f"Kept in {result['folder']}." if result["folder"] else "Not kept: no folder can be written."
    return style.finish([*fields(pairs, style), where])


def _network() -> Any:
    from streameval.datasets.digits import demo_network_path
    from streameval.models.loading import load

    return load(demo_network_path())


def _digits() -> Any:
    from streameval.datasets.digits import draw

    return draw(0, ROWS, seed=0)


def _evaluate(dtype: str) -> None:
    from streameval.evaluation.evaluate import evaluate

    x, t = _digits()
    evaluate(_network(), (x if dtype == "uint8" else x.astype(dtype) / 255, t))


def _minibatch() -> None:
    from streameval.statistics.intervals import INTERVALS
    from streameval.studies.minibatch import minibatch

    for method in INTERVALS:
        minibatch(_network(), _digits(), size=8, method=method, replace=False)


# What is compiled, in the order in which a newcomer meets it.
STEPS: Final[dict[str, Callable[[], object]]] = {
    "drawn digits": _digits,
    "evaluation of uint8 rows": lambda: _evaluate("uint8"),
    "evaluation of float32 rows": lambda: _evaluate("float32"),
    "samples and intervals": _minibatch,
}
