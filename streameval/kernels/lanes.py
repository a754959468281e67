"""Vectors of sixteen float32, sixteen int32 or eight float64, as values inside a kernel.

Knows how to turn operators on such values into LLVM vector instructions. LLVM splits them where the CPU's
registers are narrower, so every CPU runs the same operations on every element and gives the same bits. In
the forward pass a lane is a row of the data: one row never touches another.

    a + b, a - b, a * b, a / b   elementwise; either side may be a scalar
    fma(a, b, c)                 a * b + c with one rounding, `llvm.fma`
    a < b, a > b, a == b         a mask; select(mask, a, b) picks elementwise, a where the mask holds
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.extending import intrinsic, models, register_model, type_callable


class Lanes(types.Type):
    """The Numba type of a vector: `n` elements of `element`, one of f32, f64, i32, bool."""

    def __init__(self, element: str, n: int) -> None:
        self.element = element
        self.n = n
        super().__init__(name=f"{element}x{n}")

    @property
    def key(self) -> tuple[str, int]:
        return self.element, self.n

    @property
    def llvm(self) -> ir.VectorType:
        return ir.VectorType(_ELEMENTS[self.element], self.n)

    @property
    def is_float(self) -> bool:
        return self.element in ("f32", "f64")


_ELEMENTS = {"f32": ir.FloatType(), "f64": ir.DoubleType(), "i32": ir.IntType(32), "bool": ir.IntType(1)}

f32x16 = Lanes("f32", 16)
f64x8 = Lanes("f64", 8)
i32x16 = Lanes("i32", 16)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.llvm)


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, vector: ir.VectorType) -> ir.Value:
    """Emit a vector whose elements all equal `scalar`."""
    zero = ir.Constant(ir.IntType(32), 0)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, zero)
    return builder.shuffle_vector(
        first,
        ir.Constant(vector, ir.Undefined),
        ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None),
    )


def llvm_function(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    """The declaration of an LLVM intrinsic in the module that is being built."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def element_pointer(
    context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, offset: ir.Value
) -> ir.Value:
    """The address of element `offset` of a one-dimensional array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [offset], inbounds=True)


def _as_lanes(context: Any, builder: ir.IRBuilder, value: ir.Value, kind: Any, wanted: Lanes) -> ir.Value:
    if isinstance(kind, Lanes):
        return value
    scalar = {"f32": types.float32, "f64": types.float64, "i32": types.int32}[wanted.element]
    return broadcast(builder, context.cast(builder, value, kind, scalar), wanted.llvm)


def _common(kinds: tuple[Any, ...]) -> Lanes | None:
    """The one vector type among the arguments, the rest being numbers; None if they do not fit."""
    found = {kind for kind in kinds if isinstance(kind, Lanes)}
    if len(found) != 1 or not all(isinstance(kind, Lanes | types.Number) for kind in kinds):
        return None
    return found.pop()


def _operator(
    function: Any, emit: Callable[[ir.IRBuilder, Lanes, list[ir.Value]], ir.Value], mask: bool
) -> None:
    """Teach Numba one binary operator on vectors."""

    @type_callable(function)
    def typing(context: Any) -> Any:
        def typer(a: Any, b: Any) -> Any:
            kind = _common((a, b))
            if kind is None:
                return None
            return Lanes("bool", kind.n) if mask else kind

        return typer

    def lower(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kind = _common(signature.args)
        assert kind is not None
        values = [
            _as_lanes(context, builder, v, k, kind) for v, k in zip(arguments, signature.args, strict=True)
        ]
        return emit(builder, kind, values)

    for left, right in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(function, left, right)(lower)


def _arithmetic(for_float: str, for_int: str) -> Callable[[ir.IRBuilder, Lanes, list[ir.Value]], ir.Value]:
    def emit(builder: ir.IRBuilder, kind: Lanes, values: list[ir.Value]) -> ir.Value:
        return getattr(builder, for_float if kind.is_float else for_int)(*values)

    return emit


def _comparison(sign: str) -> Callable[[ir.IRBuilder, Lanes, list[ir.Value]], ir.Value]:
    def emit(builder: ir.IRBuilder, kind: Lanes, values: list[ir.Value]) -> ir.Value:
        compare = builder.fcmp_ordered if kind.is_float else builder.icmp_signed
        return compare(sign, *values)

    return emit


_operator(operator.add, _arithmetic("fadd", "add"), mask=False)
_operator(operator.sub, _arithmetic("fsub", "sub"), mask=False)
_operator(operator.mul, _arithmetic("fmul", "mul"), mask=False)
_operator(operator.truediv, _arithmetic("fdiv", "sdiv"), mask=False)
_operator(operator.lt, _comparison("<"), mask=True)
_operator(operator.gt, _comparison(">"), mask=True)
_operator(operator.eq, _comparison("=="), mask=True)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once. At least one argument is a vector; scalars are broadcast."""
    kind = _common((a, b, c))
    if kind is None:
        return None

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        values = [
            _as_lanes(context, builder, v, k, kind) for v, k in zip(arguments, signature.args, strict=True)
        ]
        return emit_fma(builder, *values)

    return kind(a, b, c), emit


def emit_fma(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Emit `llvm.fma` on vectors."""
    suffix = f"v{a.type.count}f{32 if isinstance(a.type.element, ir.FloatType) else 64}"
    return builder.call(llvm_function(builder, f"llvm.fma.{suffix}", a.type, [a.type] * 3), [a, b, c])


@intrinsic
def select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """a where the mask holds, else b, elementwise; one of a and b may be a scalar."""
    kind = _common((a, b))
    if kind is None:
        return None

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        first = _as_lanes(context, builder, arguments[1], signature.args[1], kind)
        second = _as_lanes(context, builder, arguments[2], signature.args[2], kind)
        return builder.select(arguments[0], first, second)

    return kind(mask, a, b), emit


@intrinsic
def everywhere(typing: Any, mask: Any) -> Any:
    """Whether the mask holds for all elements."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        bits = ir.IntType(mask.n)
        held = builder.icmp_unsigned("==", builder.bitcast(arguments[0], bits), bits(-1))
        return context.cast(builder, held, types.boolean, signature.return_type)

    return types.boolean(mask), emit


@intrinsic
def load_f32(typing: Any, array: Any, offset: Any) -> Any:
    """Sixteen float32 from array[offset : offset + 16]."""
    return f32x16(array, types.int64), _emit_load(f32x16, 4)


@intrinsic
def load_f64(typing: Any, array: Any, offset: Any) -> Any:
    """Eight float64 from array[offset : offset + 8]."""
    return f64x8(array, types.int64), _emit_load(f64x8, 8)


@intrinsic
def load_i32(typing: Any, array: Any, offset: Any) -> Any:
    """Sixteen int32 from array[offset : offset + 16]."""
    return i32x16(array, types.int64), _emit_load(i32x16, 4)


@intrinsic
def store(typing: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write a vector to array[offset:]."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        at = element_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        kind = signature.args[2]
        written = builder.store(arguments[2], builder.bitcast(at, kind.llvm.as_pointer()))
        written.align = 8 if kind.element == "f64" else 4
        return context.get_dummy_value()

    return types.void(array, types.int64, value), emit


def _emit_load(kind: Lanes, align: int) -> Callable[..., ir.Value]:
    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        at = element_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        value = builder.load(builder.bitcast(at, kind.llvm.as_pointer()))
        value.align = align
        return value

    return emit


@intrinsic
def pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer, for `numba.carray`."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), emit


@intrinsic
def splat_f32(typing: Any, value: Any) -> Any:
    """Sixteen times the same float32."""
    return f32x16(types.float32), lambda context, builder, signature, arguments: broadcast(
        builder, arguments[0], f32x16.llvm
    )


@intrinsic
def splat_f64(typing: Any, value: Any) -> Any:
    """Eight times the same float64."""
    return f64x8(types.float64), lambda context, builder, signature, arguments: broadcast(
        builder, arguments[0], f64x8.llvm
    )


@intrinsic
def absolute(typing: Any, a: Any) -> Any:
    """|a|, elementwise."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vector = a.llvm
        suffix = f"v{a.n}f{32 if a.element == 'f32' else 64}"
        return builder.call(llvm_function(builder, f"llvm.fabs.{suffix}", vector, [vector]), arguments)

    return a(a), emit


@intrinsic
def square_root(typing: Any, a: Any) -> Any:
    """sqrt(a), elementwise, rounded once."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        vector = a.llvm
        suffix = f"v{a.n}f{32 if a.element == 'f32' else 64}"
        return builder.call(llvm_function(builder, f"llvm.sqrt.{suffix}", vector, [vector]), arguments)

    return a(a), emit


@intrinsic
def power_of_two(typing: Any, rounded: Any) -> Any:
    """2**n for a normal result, where `rounded` is n + 1.5 * 2**23 (float32) or n + 1.5 * 2**52 (float64).

    The low bits of such a number hold the integer n: one shift and one addition make it an exponent.
    """
    width, shift, bias = (32, 23, 127) if rounded.element == "f32" else (64, 52, 1023)

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        integer = ir.IntType(width)
        integers = ir.VectorType(integer, rounded.n)

        def constant(value: int) -> ir.Constant:
            return ir.Constant(integers, [ir.Constant(integer, value)] * rounded.n)

        n = builder.shl(builder.bitcast(arguments[0], integers), constant(shift))
        return builder.bitcast(builder.add(n, constant(bias << shift)), rounded.llvm)

    return rounded(rounded), emit


@intrinsic
def split_exponent(typing: Any, a: Any) -> Any:
    """(m, e) with a = m * 2**e and sqrt(1/2) <= m < sqrt(2), for positive normal float64 `a`."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        integer = ir.IntType(64)
        integers = ir.VectorType(integer, a.n)

        def constant(value: int) -> ir.Constant:
            return ir.Constant(integers, [ir.Constant(integer, value)] * a.n)

        bits = builder.bitcast(arguments[0], integers)
        # Subtracting the bits of sqrt(1/2) puts the boundary between two exponents there.
        shifted = builder.sub(bits, constant(0x3FE6A09E667F3BCD))
        exponent = builder.ashr(shifted, constant(52))
        mantissa = builder.sub(bits, builder.shl(exponent, constant(52)))
        return context.make_tuple(
            builder,
            signature.return_type,
            [builder.bitcast(mantissa, a.llvm), builder.sitofp(exponent, a.llvm)],
        )

    return types.UniTuple(a, 2)(a), emit


@intrinsic
def widen(typing: Any, a: Any) -> Any:
    """Sixteen float32 or int32 as two times eight float64, exactly."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        convert = builder.fpext if a.element == "f32" else builder.sitofp
        halves = [convert(_half(builder, arguments[0], k), f64x8.llvm) for k in range(2)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(f64x8, 2)(a), emit


@intrinsic
def narrow(typing: Any, low: Any, high: Any) -> Any:
    """Two times eight float64 rounded to sixteen float32."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        half = ir.VectorType(ir.FloatType(), 8)
        parts = [builder.fptrunc(argument, half) for argument in arguments]
        mask = ir.Constant(
            ir.VectorType(ir.IntType(32), 16), [ir.Constant(ir.IntType(32), k) for k in range(16)]
        )
        return builder.shuffle_vector(*parts, mask)

    return f32x16(low, high), emit


def _half(builder: ir.IRBuilder, value: ir.Value, which: int) -> ir.Value:
    number = ir.IntType(32)
    mask = [ir.Constant(number, 8 * which + k) for k in range(8)]
    undefined = ir.Constant(value.type, ir.Undefined)
    return builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(number, 8), mask))
