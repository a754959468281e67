"""What the CPU that Numba compiles for can do, and the tile sizes that follow from it.

The one place that knows instruction sets. Every choice here changes speed only: all of them give the same bits.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

import llvmlite.binding
from numba.core.registry import cpu_target

# Rows of a tile: two vectors of sixteen, so that with 12 outputs the sums fill 24 of 32 registers of 512 bits.
TILE_ROWS = 32
LANES = 16


@functools.cache
def features() -> frozenset[str]:
    """Names of the instruction set extensions Numba compiles for, NUMBA_CPU_FEATURES included."""
    _, _, listed = _target()
    return frozenset(name[1:] for name in listed.split(",") if name.startswith("+"))


@functools.cache
def byte_engine() -> str:
    """How the first layer multiplies bytes: `amx` (int8 tiles), `vnni` (vpdpbusd), `avx2` (vpmaddwd), `neon` (udot), or
    `float64`."""
    if _target()[0].startswith(("aarch64", "arm64")):
        return "neon" if _selects("udot", _DOT_PRODUCT) else "float64"
    if not features() >= {"avx512f", "avx512bw", "avx512vl", "avx512vnni"}:
        return "avx2" if "avx2" in features() else "float64"
    if features() >= {"amx-tile", "amx-int8"} and _amx_permitted():
        return "amx"
    return "vnni"


@functools.cache
def batch_tiles() -> int:
    """How many tiles a thread takes at a time: more than one where weights are brought into the cache for each."""
    return {"vnni": 2, "amx": 4}.get(byte_engine(), 1)


def compresses_words() -> bool:
    """True where 16-bit elements can be compressed: AVX-512's VBMI2."""
    return "avx512vbmi2" in features()


def wide_registers() -> bool:
    """True where sixteen float32 fill one register and there are 32 of them."""
    return "avx512f" in features()


def level() -> str:
    """The name of what is compiled for: part of the cache folder's name."""
    return f"{platform.machine()}-{'wide' if wide_registers() else 'narrow'}-{byte_engine()}"


def _target() -> tuple[str, str, str]:
    """Triple, name and listed extensions of the CPU that Numba compiles for."""
    triple, name, listed = cpu_target.target_context.codegen().magic_tuple()
    return triple, name, listed


_DOT_PRODUCT = """
declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)
define i32 @dot(<16 x i8> %a, <16 x i8> %b) {
  %x = zext <16 x i8> %a to <16 x i32>
  %y = zext <16 x i8> %b to <16 x i32>
  %products = mul <16 x i32> %x, %y
  %sum = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %products)
  ret i32 %sum
}
"""


def _selects(instruction: str, code: str) -> bool:
    """Whether LLVM takes an instruction for this code: what a CPU's name implies, it lists nowhere."""
    triple, name, listed = _target()
    machine = llvmlite.binding.Target.from_triple(triple).create_target_machine(name, listed)
    return instruction in machine.emit_assembly(llvmlite.binding.parse_assembly(code))


def _amx_permitted() -> bool:
    # Linux gives the tile registers only to processes that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA).
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None, use_errno=True).syscall(arch_prctl, request_permission, tile_data) == 0
