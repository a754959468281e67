"""exp and log as polynomials on lanes: the same bits on every CPU, whatever the math library.

Every operation is an IEEE addition, multiplication, division or fused multiply-add in a fixed order. The
coefficients are minimax fits (float32) and interpolate at Chebyshev nodes in 40 digits (float64).
"""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.lanes import fma, power_of_two, select, split_exponent

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has so few bits in float32 that x - n * LN2 is exact.
LN2_F32, LN2_F32_REST = 0.693359375, -2.1219444005469057e-04
LN2_F64, LN2_F64_REST = 0.6931471805599453, 2.3190468138462996e-17
# Adding 1.5 * 2**23 (2**52) rounds to an integer and leaves that integer in the low bits.
ROUND_F32, ROUND_F64 = 12582912.0, 6755399441055744.0
# Outside of these, 2**n is no normal number any more.
LOWEST_F32, HIGHEST_F32 = -87.0, 88.0
LOWEST_F64, HIGHEST_F64 = -708.0, 709.0


@device
def one_plus_exp_f32(x):
    """1 + e**x for sixteen float32, within 1 ulp; x is clamped to [-87, 88], NaN stays NaN.

    x = n ln 2 + r, |r| <= ln(2) / 2; s = e**r - 1 = r + r**2 P(r); 1 + e**x = (2**n s + 1) + 2**n.
    In this order the small terms are rounded while they are small; rounding e**x first costs sigmoid 2.2 ulp.
    """
    s, scale = _exp_f32(x)
    return fma(scale, s, 1.0) + scale


@device
def expm1_f32(x):
    """e**x - 1 for sixteen float32 that are not positive, within 2 ulp; x is clamped at -87, NaN stays NaN.

    2**n s + (2**n - 1), see `one_plus_exp_f32`; 2**n - 1 is exact down to n = -24, and -1 below.
    """
    s, scale = _exp_f32(x)
    return fma(scale, s, scale - 1.0)


@device
def _exp_f32(x):
    """(s, 2**n) with e**x = 2**n (1 + s)."""
    x = select(x > HIGHEST_F32, HIGHEST_F32, x)
    x = select(x < LOWEST_F32, LOWEST_F32, x)
    rounded = fma(x, LOG2_E, ROUND_F32)
    n = rounded - ROUND_F32
    r = fma(n, -LN2_F32_REST, fma(n, -LN2_F32, x))
    p = fma(r, 0.001381449867039919, 0.00836871936917305)
    p = fma(p, r, 0.04166838899254799)
    p = fma(p, r, 0.1666652113199234)
    p = fma(p, r, 0.4999999403953552)
    return fma(r * r, p, r), power_of_two(rounded)


@device
def exp_f64(x):
    """e**x for eight float64, within 2 ulp; x is clamped to [-708.0, 709.0], NaN stays NaN."""
    x = select(x > HIGHEST_F64, HIGHEST_F64, x)
    x = select(x < LOWEST_F64, LOWEST_F64, x)
    rounded = fma(x, LOG2_E, ROUND_F64)
    n = rounded - ROUND_F64
    r = fma(n, -LN2_F64_REST, fma(n, -LN2_F64, x))
    p = fma(r, 2.510038549551032e-08, 2.7620088445409746e-07)
    p = fma(p, r, 2.7557268459997064e-06)
    p = fma(p, r, 2.4801521295954376e-05)
    p = fma(p, r, 0.00019841269863053618)
    p = fma(p, r, 0.0013888888917213717)
    p = fma(p, r, 0.008333333333330062)
    p = fma(p, r, 0.04166666666662413)
    p = fma(p, r, 0.16666666666666669)
    p = fma(p, r, 0.5)
    p = fma(p, r, 1.0)
    p = fma(p, r, 1.0)
    return p * power_of_two(rounded)


@device
def log_f64(x):
    """ln x for eight positive normal float64, within 2 ulp; NaN stays NaN, zero and below give no meaning.

    x = m 2**e with m around 1; ln x = e ln 2 + 2 atanh((m - 1) / (m + 1))
    """
    m, e = split_exponent(x)
    f = m - 1.0
    s = f / (f + 2.0)
    # 2 atanh(s) = 2 s + s (s**2 R(s**2)), and f - s f = 2 s: written so that f, which is exact, comes last.
    z = s * s
    tail = s * (z * atanh_tail(z) - f)
    return select(x == x, fma(e, LN2_F64, f + fma(e, LN2_F64_REST, tail)), x)


@device
def log1p_f64(u):
    """ln(1 + u) for eight float64 in [0, 1], within 2 ulp."""
    s = u / (u + 2.0)
    z = s * s
    return u + s * (z * atanh_tail(z) - u)


@device
def atanh_tail(z):
    """R(z) = (2 atanh(s) - 2 s) / (s z) at z = s**2, for 0 <= z <= 1/9."""
    p = fma(z, 0.1617297384130288, 0.08796526986507282)
    p = fma(p, z, 0.12001897529624338)
    p = fma(p, z, 0.13314057479039648)
    p = fma(p, z, 0.15385575355593986)
    p = fma(p, z, 0.1818178924758813)
    p = fma(p, z, 0.22222222721178309)
    p = fma(p, z, 0.28571428567071666)
    p = fma(p, z, 0.40000000000014724)
    return fma(p, z, 0.6666666666666666)
