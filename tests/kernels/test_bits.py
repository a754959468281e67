"""The same bits whatever the CPU can do, as recorded on another; and nothing read outside of the rows."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import kernel_bits
import pytest

import streameval
from streameval.kernels import host

TESTS = Path(__file__).resolve().parent.parent
OLD = "+sse4.2,+popcnt"
BASE = OLD + ",+avx,+avx2,+fma,+bmi,+bmi2"
WIDE = BASE + ",+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
# What to compile for: CPU, features; registers, and the ways to multiply bytes that these leave.
CPUS = {
    "SSE4.2": ("nehalem", OLD, "narrow", {"float64"}),
    "AVX2": ("haswell", BASE, "narrow", {"avx2", "float64"}),
    "AVX-512": ("skylake-avx512", WIDE, "wide", {"avx2", "float64"}),
    "AVX-512 with VNNI": ("cascadelake", WIDE + ",+avx512vnni", "wide", {"vnni"}),
    "AVX-512 with VNNI and VBMI2": ("icelake-server", WIDE + ",+avx512vnni,+avx512vbmi2", "wide", {"vnni"}),
}


def run_python(arguments: list[str], **environment: str) -> str:
    """Run Python with this package and these tests on its path; return what it printed."""
    path = os.pathsep.join([str(TESTS), str(Path(streameval.__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    return kernel_bits.hashes()


def compiling_for(cpu: str) -> dict[str, str]:
    """The environment that makes Numba compile for a CPU, or a skip where that cannot run."""
    name, features, _, _ = CPUS[cpu]
    if platform.machine() != "x86_64" or not {one[1:] for one in features.split(",")} <= host.features():
        pytest.skip(f"this machine cannot run what is compiled for {cpu}")
    cache = str(Path(os.environ["STREAMEVAL_CACHE_DIR"]) / name)
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "STREAMEVAL_CACHE_DIR": cache}


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_another_instruction_set_gives_the_same_bits(cpu: str, here: dict[str, str]) -> None:
    """Each is compiled once for a version of the kernels, into a cache folder of its own: half a minute."""
    _, _, registers, engines = CPUS[cpu]
    found = json.loads(run_python([str(TESTS / "kernel_bits.py")], **compiling_for(cpu)))
    _, wide_or_narrow, engine = found.pop("level").split("-")
    assert wide_or_narrow == registers
    assert engine in engines
    assert found == {case: value for case, value in here.items() if case != "level"}


def test_the_bits_are_those_recorded_on_another_machine(here: dict[str, str]) -> None:
    """On x86-64. Whoever changes a formula records them anew, `python tests/kernel_bits.py`, and says so to users."""
    recorded = json.loads((TESTS / "kernels" / "recorded_bits.json").read_text())
    assert {case: value for case, value in here.items() if case != "level"} == recorded


def test_the_cases_differ_from_each_other(here: dict[str, str]) -> None:
    """Equal hashes everywhere would say nothing."""
    assert len(set(here.values())) == len(here)


EDGE = """
import ctypes, mmap
import numpy as np, small_networks as small
from running_kernels import run

PAGE, BOTH = mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE
libc = ctypes.CDLL(None, use_errno=True)

def protect(address, size, protection):
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), protection) == 0

for features in (1, 3, 16, 45, 64, 203, 784):
    layers = small.network([features, 50, 7], ["sigmoid"], seed=1)
    t = small.labels(50, 7)
    for x in (*(small.pixels(kind, 50, features) for kind in small.KINDS), small.floats(50, features)):
        pages = -(-x.nbytes // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for gap in (0, pages * PAGE - x.nbytes):
            protect(start, (pages + 2) * PAGE, BOTH)
            rows = np.frombuffer(memory, x.dtype, x.size, PAGE + gap).reshape(x.shape)
            rows[:] = x
            for page in (0, pages + 1):
                protect(start + page * PAGE, PAGE, 0)
            assert run(layers, rows, t).bits() == run(layers, x, t).bits()
        protect(start, (pages + 2) * PAGE, BOTH)
print("done")
"""


@pytest.mark.parametrize("cpu", [None, *(pytest.param(cpu, marks=pytest.mark.slow) for cpu in CPUS)])
def test_nothing_is_read_before_the_first_row_or_after_the_last(cpu: str | None) -> None:
    """The rows lie against pages that must not be touched: reading one byte too far ends the process."""
    environment = {} if cpu is None else compiling_for(cpu)
    assert run_python(["-c", EDGE], **environment) == "done\n"
