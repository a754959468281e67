"""Integer sums of byte rows by AVX2: sixteen products of 16-bit numbers, added in pairs, in one instruction.

Pixels are widened to 16 bits, weights are two 12-bit digits. One row at a time; groups of four pixels that are
zero are left out. See `byte_rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from streameval.kernels.blocks import emit_load, emit_loop, emit_store
from streameval.kernels.byte_rows import BLOCK, FEATURES, LANES, SUMS, least_padding
from streameval.kernels.compiling import device
from streameval.kernels.lanes import broadcast, element_pointer, llvm_function

BASE, PLANES = 4096, 2
MOST_PIXELS = 2**31 // (255 * 2048) - 4

_I16, _I32, _I64 = (ir.IntType(bits) for bits in (16, 32, 64))
_I32X8 = ir.VectorType(_I32, 8)
_I16X16 = ir.VectorType(_I16, 16)


def make_word_block(registers: int) -> Callable[..., None]:
    """Build the loop that adds groups of four pixels, times 12-bit weights, to exact int32 sums of one row.

        sums[l] += sum_i sum_(q < 4) row[4 groups[i] + q] * planes[groups[i], q, l]

    row uint8 in `values` at `a` · `groups[0 : count]` int32 · planes int16: the weights of pixels 0, 1 of lane l at
    `planes[start + stride * group + 2 l]`, of pixels 2, 3 half a stride further · sums int32 at `to`,
    8 * `registers` lanes. `vpmaddwd` multiplies sixteen and adds pairs.
    """

    @intrinsic
    def word_block(
        typing: Any, values: Any, a: Any, groups: Any, count: Any, planes: Any, start: Any, stride: Any, sums: Any,
        to: Any,
    ) -> Any:  # fmt: skip
        def emit(context: Any, b: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
            values_, a_, groups_, count_, planes_, start_, stride_, sums_, to_ = arguments
            row = b.bitcast(element_pointer(context, b, signature.args[0], values_, a_), _I32.as_pointer())
            list_ = element_pointer(context, b, signature.args[2], groups_, _I64(0))
            weights = element_pointer(context, b, signature.args[4], planes_, start_)
            add_pairs = llvm_function(b, "llvm.x86.avx2.pmadd.wd", _I32X8, [_I16X16, _I16X16])

            def body(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                group = b.zext(b.load(b.gep(list_, [i])), _I64)
                word = emit_load(b, b.gep(row, [group]), _I32, 1)
                place = b.gep(weights, [b.mul(group, stride_)])
                for half in range(2):
                    two = b.and_(b.lshr(word, _I32(16 * half)), _I32(0xFFFF))
                    spread = b.or_(b.and_(two, _I32(0xFF)), b.shl(b.lshr(two, _I32(8)), _I32(16)))
                    pixels = b.bitcast(broadcast(b, spread, _I32X8), _I16X16)
                    at = b.gep(place, [b.mul(b.lshr(stride_, _I64(1)), _I64(half))])
                    carried = [
                        b.add(
                            total,
                            b.call(add_pairs, [pixels, emit_load(b, b.gep(at, [_I64(16 * k)]), _I16X16, 2)]),
                        )
                        for k, total in enumerate(carried)
                    ]
                return carried

            totals = emit_loop(b, count_, [ir.Constant(_I32X8, None)] * registers, body)
            out = element_pointer(context, b, signature.args[7], sums_, to_)
            for k, total in enumerate(totals):
                emit_store(b, total, b.gep(out, [_I64(8 * k)]), 4)
            return context.get_dummy_value()

        n = types.int64
        return types.void(values, n, groups, n, planes, n, n, sums, n), emit

    return word_block


@intrinsic
def word_at(typing: Any, values: Any, at: Any) -> Any:
    """Four bytes from values[at] on, as one int32."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return emit_load(builder, element_pointer(context, builder, signature.args[0], *arguments), _I32, 1)

    return types.int32(values, types.int64), emit


# Registers of sums: with the pixels and a product they are the 16 there are.
_A, _B, _C = _REGISTERS = (13, 8, 4)
_block_a, _block_b, _block_c = (make_word_block(registers) for registers in _REGISTERS)


@device
def sum_tile(values, offsets, first, count, net, planes, ints, early, size):
    """See `byte_rows`. Nothing is asked for early: next to this arithmetic, memory is fast."""
    groups, lanes, block = net[FEATURES] // 4, net[LANES], net[BLOCK]
    for i in range(count):
        a = offsets[first + i]
        found = 0
        for g in range(groups):
            ints[found] = g
            found += word_at(values, a + 4 * g) != 0
        for at in range(0, lanes, block):
            to = net[SUMS] + i * lanes + at
            if block == 8 * _A:
                _block_a(values, a, ints, found, planes, 2 * at, 4 * lanes, ints, to)
            elif block == 8 * _B:
                _block_b(values, a, ints, found, planes, 2 * at, 4 * lanes, ints, to)
            else:
                _block_c(values, a, ints, found, planes, 2 * at, 4 * lanes, ints, to)
    return 0


def layout(outputs: int) -> tuple[int, int]:
    """Lanes of a row of sums, and of a block."""
    return least_padding(tuple(8 * registers for registers in _REGISTERS), PLANES * outputs)


def pack(digits: NDArray[np.int32], lanes: int) -> NDArray[np.int16]:
    """(groups * 4, PLANES * outputs) as [group][pair of pixels][lane][2], zeros for padding."""
    pixels = len(digits)
    full = np.zeros((pixels, lanes), np.int16)
    full[:, : digits.shape[1]] = digits
    return np.ascontiguousarray(full.reshape(-1, 2, 2, lanes).transpose(0, 1, 3, 2)).ravel()
