"""Elementary functions and sums of products that give the same float64 on any CPU, of numbers and of arrays alike.

NumPy, the C library and BLAS choose their code by the CPU, and each choice has other last digits. Here are only
additions, multiplications, divisions and roots, which IEEE 754 defines to the last bit, in one order. Errors are below
3 units in the last place, unless said. Knows no loss and no statistic.

Sources: fdlibm (Sun Microsystems, 1993) for log's polynomial; Wichura, Algorithm AS 241, Applied Statistics 37 (1988),
477-484, for the normal quantile; Stirling's series for lgamma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]

# The upper part of log(2) has so few digits that its product with an exponent is exact.
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_PER_LN2: Final = 1.44269504088896338700e00
LN2: Final = 0.6931471805599453
# 1/2!, 1/3!, ... 1/14!, the last first: the rest is below 1e-17 of what they add up to.
_EXP: Final = tuple(1.0 / math.factorial(n) for n in range(14, 1, -1))
_LOG: Final = (
    6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
    1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
)  # fmt: skip
# 1/3!, 1/5!, ... and 1/4!, 1/6!, ... with their signs, the last first.
_SIN: Final = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(8, 0, -1))
_COS: Final = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(9, 1, -1))
# Half of pi in three parts; the first two have so few digits that their products with a number of turns are exact.
_PER_HALF_PI: Final = 6.36619772367581382433e-01
_HALF_PI: Final = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_ROOT_HALF: Final = 0.7071067811865476
# Above, a float64 ends; below, nothing is left.
_LARGEST, _SMALLEST = 710.0, -746.0
# As many numbers as stay in the nearest cache with what is computed of them.
_BLOCK: Final = 4096


def _polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """Horner's rule, the highest power first."""
    total = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        total *= x  # in place, of arrays
        total += coefficient
    return total


def _by_blocks(function: Any, x: Floats) -> Floats:
    """A function of every number, of few at a time, without warnings."""
    out = np.empty(x.shape)
    given, filled = np.asarray(x, np.float64).reshape(-1), out.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, len(given), _BLOCK):
            filled[start : start + _BLOCK] = function(given[start : start + _BLOCK])
    return out


@overload
def exp(x: Number) -> float: ...
@overload
def exp(x: Floats) -> Floats: ...
def exp(x: Number | Floats) -> float | Floats:
    """e**x; inf where it is beyond float64, as in NumPy."""
    if isinstance(x, np.ndarray):
        return _by_blocks(_exps, x)
    x = float(x)
    if x != x or x >= _LARGEST or x <= _SMALLEST:
        return x if x != x else math.inf if x > 0.0 else 0.0
    power = round(x * _PER_LN2)
    rest = (x - power * _LN2_HIGH) - power * _LN2_LOW
    mantissa = 1.0 + (rest + rest * rest * _polynomial(rest, _EXP))
    try:
        return math.ldexp(mantissa, power)
    except OverflowError:
        return math.inf


def _exps(x: Floats) -> Floats:
    within = np.minimum(np.maximum(x, _SMALLEST), _LARGEST)
    power = np.rint(within * _PER_LN2)
    rest = within - power * _LN2_HIGH
    rest -= power * _LN2_LOW
    mantissa = _polynomial(rest, _EXP)
    mantissa *= rest * rest
    mantissa += rest
    mantissa += 1.0
    return np.asarray(np.ldexp(mantissa, np.where(np.isnan(power), 0.0, power).astype(np.int32)))


@overload
def expm1(x: Number) -> float: ...
@overload
def expm1(x: Floats) -> Floats: ...
def expm1(x: Number | Floats) -> float | Floats:
    """e**x - 1, with all its digits near 0."""
    if isinstance(x, np.ndarray):
        near = _by_blocks(lambda part: part + part * part * _polynomial(part, _EXP), x)
        return np.where(np.abs(x) < 0.5, near, exp(x) - 1.0)
    x = float(x)
    return x + x * x * float(_polynomial(x, _EXP)) if abs(x) < 0.5 else exp(x) - 1.0


@overload
def log(x: Number) -> float: ...
@overload
def log(x: Floats) -> Floats: ...
def log(x: Number | Floats) -> float | Floats:
    """The natural logarithm: -inf of an array's 0 and nan of what is below, as NumPy's; ValueError for such numbers."""
    if isinstance(x, np.ndarray):
        return _by_blocks(_logs, x)
    x = float(x)
    if not 0.0 < x < math.inf:
        return math.log(x)  # its errors and its infinity
    mantissa, power = math.frexp(x)
    if mantissa < _ROOT_HALF:
        mantissa, power = 2.0 * mantissa, power - 1
    return float(_log_near_one(mantissa - 1.0, power))


def _logs(x: Floats) -> Floats:
    mantissa, power = np.frexp(x)
    low = mantissa < _ROOT_HALF
    out = _log_near_one(np.where(low, 2.0 * mantissa, mantissa) - 1.0, np.where(low, power - 1, power))
    out = np.where(x > 0.0, out, np.where(x == 0.0, -np.inf, np.nan))
    return np.where(x == np.inf, np.inf, out)


def _log_near_one(f: Any, power: Any) -> Any:
    """log(1 + f) + power log(2), f in -0.3 to 0.42."""
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    rest = z * _polynomial(z, _LOG[::-1])
    return power * _LN2_HIGH - ((half - (s * (half + rest) + power * _LN2_LOW)) - f)


@overload
def log1p(x: Number) -> float: ...
@overload
def log1p(x: Floats) -> Floats: ...
def log1p(x: Number | Floats) -> float | Floats:
    """log(1 + x), with all its digits near 0."""
    if isinstance(x, np.ndarray):
        return _by_blocks(_log1ps, x)
    x = float(x)
    whole = 1.0 + x
    if not 0.0 < whole < math.inf:
        return math.log1p(x)  # its errors and its infinity
    return log(whole) + (x - (whole - 1.0)) / whole if whole != 1.0 else x


def _log1ps(x: Floats) -> Floats:
    whole = 1.0 + x
    out = _logs(whole) + (x - (whole - 1.0)) / whole
    return np.where(whole == 1.0, x, np.where((x > -1.0) & (x < np.inf), out, _logs(whole)))


@overload
def logaddexp(a: Number, b: Number) -> float: ...
@overload
def logaddexp(a: Floats, b: Number | Floats) -> Floats: ...
@overload
def logaddexp(a: Number | Floats, b: Floats) -> Floats: ...
def logaddexp(a: Number | Floats, b: Number | Floats) -> float | Floats:
    """log(e**a + e**b), where neither has to be a float64."""
    if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
        a, b = float(a), float(b)
        return math.nan if a != a or b != b else max(a, b) + log1p(exp(0.0 if a == b else -abs(a - b)))
    one, two = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    with np.errstate(all="ignore"):
        gap = np.where(one == two, 0.0, -np.abs(one - two))
        return np.asarray(np.maximum(one, two) + log1p(exp(gap)))


@overload
def cosine(x: Number) -> float: ...
@overload
def cosine(x: Floats) -> Floats: ...
def cosine(x: Number | Floats) -> float | Floats:
    """The cosine of angles from -1e6 to 1e6, to 0.9 units in the last place up to 40 either way."""
    if isinstance(x, np.ndarray):
        return _by_blocks(_cosines, x)
    return float(_by_blocks(_cosines, np.array([x], np.float64))[0])


def _cosines(x: Floats) -> Floats:
    quarters = np.rint(x * _PER_HALF_PI)
    rest, lost = x, np.zeros_like(x)
    for part in _HALF_PI:
        less = quarters * part
        nearer = rest - less
        # What rounding took from the difference, of which the smaller number may be either.
        back = nearer - rest
        lost = lost + ((rest - (nearer - back)) - (less + back))
        rest = nearer
    square = rest * rest
    half = 0.5 * square
    most = 1.0 - half
    even = most + (((1.0 - most) - half) + (square * square * _polynomial(square, _COS) - rest * lost))
    odd = rest + (rest * (square * _polynomial(square, _SIN)) + lost)
    quarter = np.remainder(quarters, 4.0)
    size = np.where((quarter == 1.0) | (quarter == 3.0), odd, even)
    return np.asarray(np.where((quarter == 1.0) | (quarter == 2.0), -size, size))


@overload
def hypot(a: Number, b: Number) -> float: ...
@overload
def hypot(a: Floats, b: Floats) -> Floats: ...
def hypot(a: Number | Floats, b: Number | Floats) -> float | Floats:
    """sqrt(a**2 + b**2), also where the squares are beyond float64, or nearly nothing."""
    if not isinstance(a, np.ndarray):
        return float(hypot(np.array([a], np.float64), np.array([b], np.float64))[0])
    one, two = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        _, power = np.frexp(np.maximum(np.abs(one), np.abs(two)))
        one, two = np.ldexp(one, -power), np.ldexp(two, -power)
        return np.asarray(np.ldexp(np.sqrt(one * one + two * two), power))


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent."""
    less = expm1(-2.0 * np.minimum(np.abs(x), 40.0))
    return np.copysign(-less / (2.0 + less), x)


def erf(x: Floats) -> Floats:
    """The error function, to 40 units in the last place: 2/sqrt(pi) exp(-x**2) times a sum of positive terms."""
    size = np.minimum(np.abs(x), 6.0)
    with np.errstate(all="ignore"):
        square = size * size
        term = np.array(size)
        total = np.array(size)
        for n in range(1, 130):
            term = term * (square * 2.0) / (2.0 * n + 1.0)
            total = total + term
        # The square of the upper half is exact.
        upper = size.astype(np.float32).astype(np.float64)
        falling = exp(-upper * upper) * exp((upper - size) * (upper + size))
        out = np.minimum(1.1283791670955126 * falling * total, 1.0)
    return np.where(np.isnan(x), x, np.copysign(out, x))


def cbrt(x: float) -> float:
    """The cube root of a finite number."""
    if x == 0.0 or not math.isfinite(x):
        return x
    mantissa, power = math.frexp(abs(x))
    rest = power % 3
    y, scaled = 1.0 + (math.ldexp(mantissa, rest) - 1.0) / 3.0, math.ldexp(mantissa, rest)
    for _ in range(7):
        step = (y * y * y - scaled) / (3.0 * y * y)
        if step == 0.0:
            break
        y -= step
    return math.copysign(math.ldexp(y, (power - rest) // 3), x)


def lgamma(x: float) -> float:
    """log(gamma(x)) of a number above 0, to 2e-14, or 1e-15 of itself where that is more."""
    product = 1.0
    while x < 16.0:
        product *= x
        x += 1.0
    z = 1.0 / (x * x)
    series = 1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - z * (691 / 360360)))))
    stirling = (x - 0.5) * log(x) - x + 0.9189385332046727 + series / x
    return stirling - log(product) if product != 1.0 else stirling


def power_of_ten(exponent: Floats) -> Floats:
    """10**exponent, of whole exponents from -22 to 22 as the float64 that is nearest."""
    whole = np.rint(exponent)
    return np.array([float(f"1e{int(one)}") for one in whole]) * exp((exponent - whole) * 2.302585092994046)


_CENTRE: Final = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_MIDDLE: Final = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_TAIL: Final = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip


def normal_quantile(p: float) -> float:
    """The z that a standard normal number is below with probability p in 0 < p < 1; to 1e-15 of itself."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"p is {p}, expected 0 < p < 1")
    q = p - 0.5
    if abs(q) <= 0.425:
        r, (above, below) = 0.180625 - q * q, _CENTRE
        return q * float(_polynomial(r, above)) / float(_polynomial(r, below))
    r = math.sqrt(-log(p if q <= 0.0 else 1.0 - p))
    shift, (above, below) = (1.6, _MIDDLE) if r <= 5.0 else (5.0, _TAIL)
    return math.copysign(float(_polynomial(r - shift, above)) / float(_polynomial(r - shift, below)), q)


def dot(a: Floats, b: Floats) -> float:
    """The sum of products of two arrays (n,), added up pairwise."""
    return float((a * b).sum())


# Of the largest numbers' product: sums of products that are this large lose nothing that counts.
LARGE_ENOUGH = 2.0**-12


def matmul(a: Floats, b: Floats) -> Floats:
    """a @ b of (n, k) and (k, m), to the last digits of float64 or nearly, in the same bits whatever BLAS adds first.

    Rows of a and columns of b are cut into three pieces of so few digits that every product and sum of pieces is exact
    (Ozaki et al., Numerical Algorithms 59 (2012), 95-118). Seven times the work of one product; k below 2**23.

    What the pieces leave out is small beside the largest numbers of a row and a column. Where those meet numbers so
    small that nothing large comes of them, or where pieces would be too large, the products are added up in order.
    """
    bits = (53 - max(1, (a.shape[1] - 1).bit_length())) // 2
    with np.errstate(over="ignore", invalid="ignore"):
        left, right = _pieces(a, 1, bits), _pieces(b, 0, bits)
        total = np.zeros((a.shape[0], b.shape[1]))
        for order in (4, 3, 2):  # the smallest first
            for i in range(1, order):
                total += left[i - 1] @ right[order - i - 1]
        rows_of_a, columns_of_b = (
            np.abs(x).max(axis=axis, keepdims=True, initial=0.0) for x, axis in ((a, 1), (b, 0))
        )
        small = np.abs(left[0]) @ np.abs(right[0]) < LARGE_ENOUGH * rows_of_a * columns_of_b
        rows, columns = np.nonzero(small | ~np.isfinite(total))
        total[rows, columns] = _one_after_another(a, b, rows, columns)
    return total


def _one_after_another(a: Floats, b: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """Some numbers of a @ b, (n,) row numbers and column numbers, each a sum in order."""
    sums = np.zeros(len(rows))
    if len(rows):
        for k in range(a.shape[1]):
            sums += a[rows, k] * b[k, columns]
    return sums


def products_at_most(a: Floats, b: Floats) -> Floats:
    """A little more than a @ b of numbers that are not negative, in one product: for bounds, the same bits anywhere."""
    bits = (53 - max(1, (a.shape[1] - 1).bit_length())) // 2
    left, right = (_rounded_up(x, axis, bits) for x, axis in ((a, 1), (b, 0)))
    return np.asarray(left @ right)


def _rounded_up(x: Floats, axis: int, bits: int) -> Floats:
    """Each number as the next multiple of 2**-bits of the power of two above the largest along the axis."""
    _, power = np.frexp(np.abs(x).max(axis=axis, keepdims=True, initial=0.0))
    unit = np.ldexp(1.0, power - bits)
    return np.asarray(np.ceil(x / unit) * unit)


def _pieces(x: Floats, axis: int, bits: int) -> list[Floats]:
    """Three arrays that add up to x, but for what is below 2**(-3 bits) of the largest number along the axis."""
    _, power = np.frexp(np.abs(x).max(axis=axis, keepdims=True, initial=0.0))
    pieces, rest = [], x
    for number in (1, 2, 3):
        # So large that what is added to it is rounded to the piece's last digit.
        large = np.ldexp(1.5, power + (52 - number * bits))
        piece = (rest + large) - large
        pieces.append(piece)
        rest = rest - piece
    return pieces
