"""Where and with what: CPU, cores, threads, versions, date.

Knows what to ask the system. Tells no path and no name of the machine.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.data import ROOT, pixels_are

PACKAGES = ("numpy", "numba", "pyarrow", "onnxruntime", "jax", "torch", "openvino", "scikit-learn")
# What decides how fast a network is evaluated, as /proc/cpuinfo spells it.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")


def describe() -> dict[str, Any]:
    """Everything a reader needs to judge the figures."""
    from streameval.kernels.host import byte_engine
    from streameval.kernels.threads import available

    flags = _cpuinfo("flags").split()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cpu_model": " ".join(f"{name} {_cpuinfo(key)}" for name, key in _CPU_MODEL if _cpuinfo(key)),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "byte_engine": byte_engine(),
        "masked": "NUMBA_CPU_FEATURES" in os.environ,
        "cpus": os.cpu_count() or 1,
        "threads": available(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "streameval": _streameval(),
        "packages": {name: _version(name) for name in PACKAGES},
        "pixels": pixels_are(),
        "load_before": os.getloadavg()[0],
    }


_CPU_MODEL = (("vendor", "vendor_id"), ("family", "cpu family"), ("model", "model"))


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _streameval() -> str:
    """Version and commit, "+" when files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = "+" if _git("status", "--porcelain", "--", "streameval") else ""
    except (OSError, subprocess.CalledProcessError):
        return _version("streameval") or "not installed"
    return f"{_version('streameval') or 'from the source folder'}, commit {commit}{changed}"


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
