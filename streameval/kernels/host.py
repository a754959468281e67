"""What the CPU that Numba compiles for can do, and the tile sizes that follow from it.

The one place that knows instruction sets. Every choice here changes speed only: all of them give the same bits.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

from numba.core.registry import cpu_target

# Rows of a tile: two vectors of sixteen, so that with 12 outputs the sums fill 24 of 32 registers of 512 bits.
TILE_ROWS = 32
LANES = 16


@functools.cache
def features() -> frozenset[str]:
    """Names of the instruction set extensions Numba compiles for, NUMBA_CPU_FEATURES included."""
    _, _, listed = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(name[1:] for name in listed.split(",") if name.startswith("+"))


@functools.cache
def byte_engine() -> str:
    """How the first layer multiplies bytes: `amx` (int8 tiles), `vnni` (vpdpbusd), `avx2` (vpmaddwd) or `float64`."""
    if not features() >= {"avx512f", "avx512bw", "avx512vl", "avx512vnni"}:
        return "avx2" if "avx2" in features() else "float64"
    if features() >= {"amx-tile", "amx-int8"} and _amx_permitted():
        return "amx"
    return "vnni"


@functools.cache
def batch_tiles() -> int:
    """How many tiles a thread takes at a time: more than one where weights are brought into the cache for each."""
    return {"vnni": 2, "amx": 4}.get(byte_engine(), 1)


def wide_registers() -> bool:
    """True where sixteen float32 fill one register and there are 32 of them."""
    return "avx512f" in features()


def level() -> str:
    """The name of what is compiled for: part of the cache folder's name."""
    return f"{platform.machine()}-{'wide' if wide_registers() else 'narrow'}-{byte_engine()}"


def _amx_permitted() -> bool:
    # Linux gives the tile registers only to processes that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA).
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None, use_errno=True).syscall(arch_prctl, request_permission, tile_data) == 0
