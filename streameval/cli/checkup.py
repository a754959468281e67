"""What `doctor` looks at: versions, CPU, threads, cache, memory, disk; and three checks of real work.

Knows how to find things out, and the one number that is the same on every machine. Changes nothing but the cache.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from streameval.errors import CheckError, StreamevalError
from streameval.reports.numbers import bytes_
from streameval.reports.terminal import TextStyle, fields
from streameval.system import cpus

SCHEMA = "streameval/doctor/1"
PACKAGES = ("streameval", "numba", "llvmlite", "numpy", "pyarrow", "click", "rich", "safetensors")
EXTRAS = ("matplotlib", "onnx", "dask", "distributed")

# The demo network on the drawn digits 0..ROWS of seed SEED: these bits come out everywhere, or something is wrong.
ROWS, SEED = 2_000, 0
DIGEST = "5825446839bdc477fdee9cf567e8cec2589058e00d5ac25c1c2c63fa2744879a"
# Losses in float32 kernels differ from float64 by less than this, in nats.
TOLERANCE = 2e-5


def run() -> dict[str, Any]:
    """Look at everything; `checks` says of each check whether it held, and what was found."""
    checks = [_checked(name, check) for name, check in CHECKS.items()]
    return {
        "schema": SCHEMA,
        "versions": _versions(),
        "python": f"{platform.python_version()} {platform.python_implementation()}",
        "system": platform.platform(),
        "cpu": _cpu(),
        "threads": _threads(),
        "cache": _cache(),
        "memory": _memory(),
        "disk": _disk(),
        "checks": checks,
    }


def text(facts: dict[str, Any], style: TextStyle) -> str:
    """The same for people."""
    pairs = [
        ("versions", ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)),
        (
            "not here",
            ", ".join(name for name, number in facts["versions"].items() if not number) or "nothing",
        ),
        ("python", facts["python"]),
        ("system", facts["system"]),
        ("cpu", f"{facts['cpu']['name']}; first layer in {facts['cpu']['byte_engine']}"),
        ("features", ", ".join(facts["cpu"]["features"]) or "none that matter"),
        (
            "threads",
            f"{facts['threads']['used']} ({facts['threads']['why']}), threading layer {facts['threads']['layer']}",
        ),
        ("cache", f"{facts['cache']['folder']}: {facts['cache']['state']}"),
        ("memory", f"{bytes_(facts['memory']['available'])} of {bytes_(facts['memory']['total'])} available"),
        ("disk", f"{bytes_(facts['disk']['free'])} free for temporary files in {facts['disk']['folder']}"),
    ]
    lines = [*fields(pairs, style), ""]
    for one in facts["checks"]:
        mark = style.good("✓") if one["holds"] else style.bad("✗")
        lines.append(f"{mark} {one['name']}: {one['found']}")
    return style.finish(lines)


def insist(facts: dict[str, Any]) -> None:
    """Raise CheckError if a check did not hold."""
    failed = [f"{one['name']} ({one['found']})" for one in facts["checks"] if not one["holds"]]
    if failed:
        raise CheckError(
            f"did not hold: {'; '.join(failed)}. Results of this installation cannot be trusted. Where that does not "
            f"say what to do: remove the cache folder {facts['cache']['folder']}, and install streameval again."
        )


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for name in (*PACKAGES, *EXTRAS):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _cpu() -> dict[str, Any]:
    from streameval.kernels import host

    matter = (
        "avx2",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vnni",
        "amx-tile",
        "amx-int8",
        "neon",
        "sve",
    )
    return {
        "name": _cpu_name(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "features": [name for name in matter if name in host.features()],
        "byte_engine": host.byte_engine(),
    }


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _threads() -> dict[str, Any]:
    import numba

    from streameval.kernels.threads import available

    used, cores = available(), os.cpu_count() or 1
    allowed = cpus()
    if used < allowed:
        why = f"the cgroup's quota, of {allowed} allowed"
    else:
        why = f"the affinity mask, of {cores} cores" if allowed < cores else "all cores"
    try:
        layer = numba.threading_layer()
    except ValueError:  # nothing parallel ran yet
        layer = None
    return {"used": used, "why": why, "layer": layer}


def _cache() -> dict[str, Any]:
    from streameval.kernels.caching import cache_folder

    folder = cache_folder()
    if folder is None:
        return {
            "folder": None,
            "files": 0,
            "bytes": 0,
            "state": "cannot be written, kernels compile in every process",
        }
    files = [one for one in folder.rglob("*") if one.is_file()]
    size = sum(one.stat().st_size for one in files)
    state = f"{len(files)} files, {bytes_(size)}" if files else "empty, kernels compile at their first use"
    return {"folder": str(folder), "files": len(files), "bytes": size, "state": state}


def _memory() -> dict[str, int]:
    names = {"MemTotal": "total", "MemAvailable": "available"}
    sizes = {"total": 0, "available": 0}
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, value = line.split(":", 1)
            if name in names:
                sizes[names[name]] = 1024 * int(value.split()[0])
    return sizes


def _disk() -> dict[str, Any]:
    folder = tempfile.gettempdir()
    return {"folder": folder, "free": shutil.disk_usage(folder).free}


def _checked(name: str, check: Callable[[], tuple[bool, str]]) -> dict[str, Any]:
    try:
        holds, details = check()
    except StreamevalError as error:
        holds, details = False, str(error)
    return {"name": name, "holds": holds, "found": details}


def _inputs() -> tuple[Any, Any, Any]:
    from streameval.datasets.digits import demo_network_path, draw
    from streameval.models.loading import load

    return load(demo_network_path()), *draw(0, ROWS, seed=SEED)


def _same_bits() -> tuple[bool, str]:
    from streameval.evaluation.evaluate import evaluate

    model, x, t = _inputs()
    digest = evaluate(model, (x, t)).digest
    return digest == DIGEST, digest if digest == DIGEST else f"{digest}, expected {DIGEST}"


def _chunks_and_threads() -> tuple[bool, str]:
    from streameval.evaluation.evaluate import evaluate

    model, x, t = _inputs()
    ways = [(1 + ROWS // 7, 1), (ROWS, None), (1, None)]
    digests = {evaluate(model, (x, t), chunk_rows=rows, threads=threads).digest for rows, threads in ways}
    return len(digests) == 1, f"{len(ways)} ways, {len(digests)} digest" + ("s" if len(digests) > 1 else "")


def _against_float64() -> tuple[bool, str]:
    """Compare every row with the plain formula in NumPy: sigmoid layers, softmax, -log(y + 1e-7)."""
    import numpy as np

    from streameval.evaluation.streaming import per_sample_losses

    model, x, t = _inputs()
    out = x.reshape(len(x), -1) / 255.0
    for layer in model.layers[:-1]:
        out = 1.0 / (1.0 + np.exp(-(out @ layer.weight.astype(float) + layer.bias)))
    logits = out @ model.layers[-1].weight.astype(float) + model.layers[-1].bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    y = powers / powers.sum(axis=1, keepdims=True)
    expected = -np.log(y[np.arange(len(t)), t] + 1e-7)
    worst = float(np.abs(per_sample_losses(model, (x, t)) - expected).max())
    return worst < TOLERANCE, f"largest difference {worst:.1e} nats, allowed {TOLERANCE:.0e}"


CHECKS: Final[dict[str, Callable[[], tuple[bool, str]]]] = {
    "same bits as on every other machine": _same_bits,
    "same bits for any chunks and threads": _chunks_and_threads,
    "every row as in float64": _against_float64,
}
