"""Rows that are needed next, asked for while others are computed: memory is slow, and idle during arithmetic.

A burst of requests would stop the computing thread; one between two steps of an inner loop costs it nothing. So
inner loops take an address and a step, and send one hint each time round. Hints change no result.
"""

from __future__ import annotations

from llvmlite import ir

from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import llvm_function

LINE_BYTES = 64

_I8, _I32 = ir.IntType(8), ir.IntType(32)


@device
def tile_after(address, offsets, first, row, row_numbers, number_bytes):
    """(address, bytes) of the tile of rows that begins at `first`, if there is one and its rows lie side by side.

    Else the address of row `row` and 0 bytes. address: where the values lie · offsets (n,) int64, in numbers ·
    row_numbers: numbers in a row, of `number_bytes` bytes each
    """
    last = first + TILE_ROWS - 1
    if last < offsets.shape[0] and offsets[last] - offsets[first] == (TILE_ROWS - 1) * row_numbers:
        return address + offsets[first] * number_bytes, TILE_ROWS * row_numbers * number_bytes
    return address + offsets[row] * number_bytes, 0


@device
def hint_step(size, times):
    """Bytes between hints so that `times` of them cover `size` bytes: a cache line at most, 0 for nothing."""
    times = max(times, 1)
    return min(LINE_BYTES, (size + times - 1) // times)


def emit_hint(builder: ir.IRBuilder, address: ir.Value) -> None:
    """Ask for the cache line at an address (int64) to come into the second-level cache. It need not be mapped."""
    pointer = _I8.as_pointer()
    hint = llvm_function(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, _I32, _I32, _I32])
    reading, second_level, data = _I32(0), _I32(2), _I32(1)
    builder.call(hint, [builder.inttoptr(address, pointer), reading, second_level, data])
