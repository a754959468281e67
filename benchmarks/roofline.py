"""The limits of the machine, probed, and a picture of every workload beside them.

`python -m benchmarks.roofline` prints the limits as JSON. Knows arithmetic and memory; results only as rows a second.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import ROOT, network_of
from benchmarks.layers import flops
from benchmarks.racing import say
from benchmarks.results import Results, fastest_peer, ours, rate
from benchmarks.workloads import RACES

# Races over all rows, as the picture shows them from top to bottom.
SHOWN = {
    "seed": "784-50-100-10\nsigmoid, uint8",
    "relu": "784-512-256-10\nReLU, uint8",
    "tanh": "784-(128 x 6)-10\ntanh, uint8",
    "floats": "64-256-256-4\nReLU, float32",
}
READ_BYTES = 1 << 29
PRODUCT = 2048


def measure() -> dict[str, float]:
    """Probe in a process of its own: `flops` a second, `bytes` a second by all threads, `bytes_one` by one."""
    say("limits: probing arithmetic and memory")
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.roofline"), cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


@dataclass(frozen=True)
class Place:
    """One workload in the picture: rows a second of the limits, of streameval, of the fastest peer."""

    label: str
    arithmetic: float
    memory: float
    ours: float | None
    peer: float | None
    peer_name: str


def places(results: Results, limits: Mapping[str, float]) -> list[Place]:
    """Where each measured workload stands."""
    found = []
    for name, label in SHOWN.items():
        if name not in results:
            continue
        layers, shape = network_of(RACES[name].network)
        row_bytes = math.prod(shape) * (4 if name == "floats" else 1) + 8  # and an int64 label
        mine, peer = ours(results[name]), fastest_peer(results[name])
        found.append(
            Place(
                label,
                limits["flops"] / flops(layers, shape),
                limits["bytes"] / row_bytes,
                None if mine is None else rate(mine),
                None if peer is None else rate(peer),
                "" if peer is None else str(peer["who"]),
            )
        )
    return found


def draw(shown: list[Place], path: Path, *, caption: str) -> None:
    """Write the picture; the ending of `path` says the format (.svg, .png)."""
    import matplotlib

    matplotlib.use("Agg")
    # The same results give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "streameval", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9.0, 1.5 + 1.15 * len(shown)), layout="constrained")
    for y, place in enumerate(shown):
        _draw_place(axes, y, place)
    axes.set_xscale("log")
    every = [
        value
        for place in shown
        for value in (place.arithmetic, place.memory, place.ours, place.peer)
        if value
    ]
    axes.set_xlim(min(every, default=1.0) / 2.5, max(every, default=10.0) * 2.0)
    axes.set_yticks(range(len(shown)), [place.label for place in shown])
    axes.set_ylim(len(shown) - 0.45, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: _short(value))
    axes.set_xlabel(f"rows a second, logarithmic — {caption}")
    axes.grid(axis="x", which="major", color="#e4e4e4", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    settings = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 120}
    figure.savefig(path, **settings)
    pyplot.close(figure)


def _draw_place(axes: Any, y: int, place: Place) -> None:
    """One line: a bar to the dense limit, a stroke at the memory limit, a disc for us, a ring for the peer."""

    def label(text: str) -> str | None:
        return text if y == 0 else None

    axes.barh(
        y,
        place.arithmetic,
        height=0.26,
        color="#d7dee8",
        zorder=1,
        label=label("dense float32 arithmetic allows"),
    )
    axes.plot(
        [place.memory] * 2, [y - 0.2, y + 0.2], color="#8a5a00", lw=2, zorder=2, label=label("memory allows")
    )
    if place.peer is not None:
        axes.plot(
            place.peer,
            y,
            "o",
            ms=9,
            mfc="white",
            mec="#333333",
            mew=1.6,
            zorder=3,
            label=label("fastest peer"),
        )
        text = f"{place.peer_name} {_short(place.peer)}"
        axes.annotate(
            text, (place.peer, y), (0, -25), textcoords="offset points", ha="center", color="#333333"
        )
    if place.ours is not None:
        axes.plot(place.ours, y, "o", ms=10, color="#c2185b", zorder=4, label=label("streameval"))
        axes.annotate(
            _short(place.ours),
            (place.ours, y),
            (0, 15),
            textcoords="offset points",
            ha="center",
            color="#c2185b",
            weight="bold",
        )


def _short(value: float) -> str:
    for unit, size in ((" million", 1e6), (" thousand", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _flops() -> float:
    """The best float32 matrix product of the libraries at hand, operations a second."""
    a = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), np.float32)
    products: list[Callable[[], object]] = [lambda: a @ a]
    try:
        import torch

        tensor = torch.from_numpy(a)
        products.append(lambda: tensor @ tensor)
    except ImportError:
        pass  # NumPy's alone, then
    return 2.0 * PRODUCT**3 / min(_fastest(product) for product in products)


def _bytes(threads: int) -> float:
    """Bytes a second that so many threads read together from memory far larger than the caches."""
    import numba

    @numba.njit(parallel=True, nogil=True)
    def mix(values: Any, out: Any) -> None:
        step = values.size // out.size
        for part in numba.prange(out.size):
            # Bits are mixed, not numbers added: integers may be reordered, so the loop becomes vectors.
            total = values[0] ^ values[0]
            for value in values[part * step : (part + 1) * step]:
                total ^= value
            out[part] = total

    values, out = np.ones(READ_BYTES // 8, np.int64), np.empty(threads, np.int64)
    mix(values[:1024], out)
    return READ_BYTES / _fastest(lambda: mix(values, out))


def _fastest(job: Callable[[], object], times: int = 12) -> float:
    took = []
    for _ in range(times):
        start = time.perf_counter()
        job()
        took.append(time.perf_counter() - start)
    return min(took)


def main() -> None:
    """Print the limits."""
    from streameval.kernels.threads import available

    print(json.dumps({"flops": _flops(), "bytes": _bytes(available()), "bytes_one": _bytes(1)}))


if __name__ == "__main__":
    main()
