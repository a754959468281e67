"""Elementary functions beside decimal arithmetic of 60 digits, and products whose order must not matter."""

from __future__ import annotations

import math
import sys
from decimal import Decimal, localcontext
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streameval import elementary

DIGITS = 60
SPECIAL = np.array(
    [0.0, -0.0, math.inf, -math.inf, math.nan, -1.0, 5e-324, -5e-324, 1e308, -1e308, 1e-300, 709.7, 710.0]
)


def exact(formula, x: float) -> Decimal:
    with localcontext() as context:
        context.prec = DIGITS
        return formula(Decimal(x))


def units_off(found: float, wanted: Decimal) -> float:
    """How far a number is off, in units of its last place."""
    with localcontext() as context:
        context.prec = DIGITS
        return float(abs(Decimal(found) - wanted) / Decimal(math.ulp(float(wanted))))


def cosine(x: Decimal) -> Decimal:
    """Its series, to the last of the digits."""
    total = term = Decimal(1)
    n = 0
    while abs(term) > Decimal(10) ** -DIGITS:
        n += 2
        term *= -x * x / (n * (n - 1))
        total += term
    return total


FORMULAS = {
    "cosine": (cosine, st.floats(-40.0, 40.0), 0.9),
    "exp": (lambda x: x.exp(), st.floats(-700.0, 709.0), 1.0),
    "expm1": (lambda x: x.exp() - 1, st.floats(-40.0, 700.0).filter(lambda x: abs(x) > 1e-30), 3.0),
    "log": (lambda x: x.ln(), st.floats(1e-300, 1e300).filter(lambda x: x != 1.0), 1.0),
    "log1p": (lambda x: (1 + x).ln(), st.floats(-0.999, 1e300).filter(lambda x: abs(x) > 1e-30), 2.0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_functions_are_right_to_the_last_digits(name):
    formula, numbers, most = FORMULAS[name]
    function = getattr(elementary, name)

    @given(numbers)
    def check(x):
        assert units_off(function(x), exact(formula, x)) <= most

    check()


@pytest.mark.parametrize("name", FORMULAS)
def test_arrays_have_the_bits_of_numbers(name):
    function = getattr(elementary, name)
    rng = np.random.default_rng(5)
    x = np.concatenate([np.exp(rng.normal(0, 5, 6000)), rng.uniform(0.4, 2.5, 6000), 1e-7 * rng.random(500)])
    assert function(x.reshape(-1, 2)).tobytes() == np.array([function(float(one)) for one in x]).tobytes()
    assert function(x[::3]).tobytes() == function(np.ascontiguousarray(x[::3])).tobytes()


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh"])
def test_ends_are_those_of_numpy(name):
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(SPECIAL)
    found = getattr(elementary, name)(SPECIAL)
    np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("x", [0.0, -1.0])
def test_logarithms_of_numbers_that_have_none_are_errors(x):
    said = "math domain error" if sys.version_info < (3, 14) else "expected "
    with pytest.raises(ValueError, match=said):
        elementary.log(x)
    with pytest.raises(ValueError, match=said):
        elementary.log1p(x - 1.0)


def test_sums_of_exponentials():
    a = np.array([-math.inf, 0.0, -800.0, 1000.0, -math.inf, math.nan, 3.0])
    b = np.array([-math.inf, 0.0, -801.0, -1000.0, 5.0, 1.0, 2.0])
    with np.errstate(all="ignore"):
        wanted = np.logaddexp(a, b)
    np.testing.assert_allclose(elementary.logaddexp(a, b), wanted, rtol=1e-15, atol=0.0)
    one_by_one = [elementary.logaddexp(float(x), float(y)) for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(elementary.logaddexp(a, b), one_by_one)


@given(st.floats(-1e6, 1e6))
def test_roots_and_error_functions(x):
    assert math.isclose(elementary.cbrt(x), math.cbrt(x), rel_tol=1e-15)
    found = float(elementary.erf(np.array([x]))[0])
    assert math.isclose(found, math.erf(x), rel_tol=1e-14, abs_tol=1e-300)
    assert math.isclose(float(elementary.tanh(np.array([x]))[0]), math.tanh(x), rel_tol=1e-15, abs_tol=1e-300)


def test_cosines_of_angles_that_have_nearly_none_and_of_many_turns():
    """Where it is almost 0, no digit of pi may be missing."""
    for quarter in (1, 3, 5, 21):
        x = quarter * math.pi / 2
        assert units_off(elementary.cosine(x), exact(cosine, x)) <= 1.0
    x = np.linspace(-1e6, 1e6, 10_001)
    np.testing.assert_allclose(elementary.cosine(x), [math.cos(one) for one in x], rtol=0.0, atol=3e-16)
    assert math.isnan(elementary.cosine(math.nan))
    assert elementary.cosine(0.0) == 1.0


@given(*[st.floats(-1e308, 1e308) | st.floats(-1e-300, 1e-300)] * 2)
def test_the_length_of_two_sides(a, b):
    found = elementary.hypot(a, b)
    with localcontext() as context:
        context.prec = 1500  # of 1e308 and 5e-324 alike
        wanted = (Decimal(a) ** 2 + Decimal(b) ** 2).sqrt()
    if wanted <= Decimal(sys.float_info.max):
        assert units_off(found, wanted) <= 2.0
    assert elementary.hypot(np.array([a, b]), np.array([b, 0.0])).tolist() == [found, abs(b)]


@given(st.floats(0.01, 1e9))
def test_the_logarithm_of_gamma(x):
    assert math.isclose(elementary.lgamma(x), math.lgamma(x), rel_tol=1e-15, abs_tol=2e-14)


def test_the_normal_quantile():
    chances = [1e-300, 1e-20, 1e-9, 0.025, 0.07, 0.3, 0.5, 0.77, 0.975, 1.0 - 1e-9]
    for p in chances:
        assert math.isclose(
            elementary.normal_quantile(p), NormalDist().inv_cdf(p), rel_tol=1e-14, abs_tol=1e-17
        )
    with pytest.raises(ValueError, match="expected 0 < p < 1"):
        elementary.normal_quantile(1.0)


def test_powers_of_ten():
    exponents = np.arange(-40, 41) / 4.0
    found = elementary.power_of_ten(exponents)
    np.testing.assert_allclose(found, 10.0**exponents, rtol=1e-14)
    assert found[::4].tolist() == [float(f"1e{n}") for n in range(-10, 11)]


@pytest.mark.parametrize("shape", [(32, 784, 50), (1, 1, 1), (3, 0, 4), (5, 2000, 3)])
def test_products_of_matrices_do_not_depend_on_the_order(shape):
    n, k, m = shape
    rng = np.random.default_rng(k)
    a = rng.normal(size=(n, k)) * np.exp(3.0 * rng.normal(size=(n, 1)))
    b = rng.normal(size=(k, m)).astype(np.float32).astype(np.float64)
    order = rng.permutation(k)
    found = elementary.matmul(a, b)
    assert found.tobytes() == elementary.matmul(a[:, order], b[order]).tobytes()
    for i, j in np.ndindex(min(n, 4), m):
        products = [float(x) * float(y) for x, y in zip(a[i], b[:, j], strict=True)]
        size = math.fsum(map(abs, products))
        assert abs(found[i, j] - math.fsum(products)) <= 4e-16 * size


def test_products_for_bounds_are_no_less_and_by_little():
    rng = np.random.default_rng(3)
    a, b = np.abs(rng.normal(size=(7, 900))), np.abs(rng.normal(size=(900, 5)))
    a[2] *= 1e-30
    order = rng.permutation(900)
    found, exact = elementary.products_at_most(a, b), elementary.matmul(a, b)
    assert np.all(found >= exact)
    assert np.all(found <= exact * (1.0 + 1e-4))
    assert found.tobytes() == elementary.products_at_most(a[:, order], b[order]).tobytes()


def test_sums_of_products():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 1001))
    assert math.isclose(elementary.dot(a, b), math.fsum(a * b), rel_tol=1e-12)


@pytest.mark.parametrize("large", [2.8e38, 1e300, 2.0**40])
def test_products_of_small_numbers_beside_large_ones_that_meet_zeros_are_not_lost(large):
    """A weight of 1e38 and a ReLU's 0: what is left of the column is all there is."""
    rng = np.random.default_rng(8)
    a, b = np.abs(rng.normal(size=(6, 40))), rng.normal(size=(40, 3))
    a[:, 7], b[7, 1] = 0.0, -large  # a large weight, and nothing comes there
    a[2, 9], b[9] = large, 0.0  # a large number, and no weight there
    a[5] = 0.0
    found = elementary.matmul(a, b)
    for i, j in np.ndindex(6, 3):
        products = [float(x) * float(y) for x, y in zip(a[i], b[:, j], strict=True)]
        assert abs(found[i, j] - math.fsum(products)) <= 1e-12 * math.fsum(map(abs, products))
    assert found.tobytes() == np.vstack([elementary.matmul(a[i : i + 1], b) for i in range(6)]).tobytes()
