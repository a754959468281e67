"""Loops, switches, loads and stores of the LLVM code that intrinsics emit.

Knows no formula. What an intrinsic takes as one argument may be a place: a tuple (one-dimensional array, offset).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir
from numba.core import types

from streameval.kernels.lanes import element_pointer, llvm_function

_I1, _I32, _I64 = (ir.IntType(bits) for bits in (1, 32, 64))
_MASKED = {
    ir.VectorType(ir.FloatType(), 16): "v16f32",
    ir.VectorType(_I32, 16): "v16i32",
    ir.VectorType(ir.IntType(8), 16): "v16i8",
}


def place_pointer(context: Any, builder: ir.IRBuilder, kind: Any, place: ir.Value) -> ir.Value:
    """The address of the element that a tuple (array, offset, ...) means."""
    array = builder.extract_value(place, 0)
    return element_pointer(
        context, builder, kind.types[0], array, integer_item(context, builder, kind, place, 1)
    )


def integer_item(context: Any, builder: ir.IRBuilder, kind: Any, items: ir.Value, number: int) -> ir.Value:
    """One integer of a tuple, as int64."""
    return context.cast(builder, builder.extract_value(items, number), kind.types[number], types.int64)


def emit_switch(builder: ir.IRBuilder, key: ir.Value, cases: Mapping[int, Callable[[], None]]) -> None:
    """Emit a jump to the code of the case that `key` (int64) names; there must be one."""
    nowhere, after = (builder.append_basic_block(name) for name in ("nowhere", "after"))
    jump = builder.switch(key, nowhere)
    for number, emit in cases.items():
        case = builder.append_basic_block("case")
        jump.add_case(_I64(number), case)
        builder.position_at_end(case)
        emit()
        builder.branch(after)
    builder.position_at_end(nowhere)
    builder.unreachable()
    builder.position_at_end(after)


def emit_loop(
    builder: ir.IRBuilder,
    count: ir.Value,
    start: list[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    *,
    unroll: bool = True,
) -> list[ir.Value]:
    """Emit `for i in range(count)` around `body(i, carried) -> carried`; return what it carried out.

    unroll: whether LLVM may; what is left over of an unrolled loop is done by jumps that are hard to foresee
    """
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(_I64)
    carried = [builder.phi(value.type) for value in start]
    i.add_incoming(_I64(0), before)
    for phi, value in zip(carried, start, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
    builder.position_at_end(inside)
    results = body(i, list(carried))
    i.add_incoming(builder.add(i, _I64(1)), builder.block)
    for phi, value in zip(carried, results, strict=True):
        phi.add_incoming(value, builder.block)
    back = builder.branch(head)
    if not unroll:
        _keep_rolled(builder.module, back)
    builder.position_at_end(after)
    return list(carried)


def _keep_rolled(module: ir.Module, branch: Any) -> None:
    """Mark a loop by its branch back to the head: metadata whose first part is itself, as LLVM wants it."""
    name = f"loop {len(module.metadata)}"
    loop = module.add_metadata([ir.MetaDataString(module, name)])
    loop.operands = (loop, module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")]))
    branch.set_metadata("llvm.loop", loop)


def emit_load(builder: ir.IRBuilder, place: ir.Value, kind: ir.Type, align: int) -> ir.Value:
    """Emit a load of `kind` from an address that is a multiple of `align`."""
    value = builder.load(builder.bitcast(place, kind.as_pointer()))
    value.align = align
    return value


def emit_store(builder: ir.IRBuilder, value: ir.Value, place: ir.Value, align: int) -> None:
    """Emit a store to an address that is a multiple of `align`."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer())).align = align


def emit_masked_load(builder: ir.IRBuilder, place: ir.Value, kind: ir.VectorType, mask: ir.Value) -> ir.Value:
    """Load where the mask holds, zero elsewhere; what is masked off is not touched."""
    pointer = kind.as_pointer()
    load = llvm_function(
        builder, f"llvm.masked.load.{_MASKED[kind]}.p0", kind, [pointer, _I32, ir.VectorType(_I1, 16), kind]
    )
    return builder.call(load, [builder.bitcast(place, pointer), _I32(1), mask, ir.Constant(kind, None)])
