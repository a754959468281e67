"""exp, log and the activations against mpmath and longer arithmetic; every lane gives the same bits."""

from __future__ import annotations

import functools
from collections.abc import Callable

import mpmath
import naive
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streameval.kernels import elementary
from streameval.kernels.activations import FUNCTIONS, OF_IMAGES, SHARED, activate_shared, make_activate
from streameval.kernels.lanes import load_f32, load_f64, narrow, power_of_two, split_exponent, store, widen
from streameval.kernels.names import ACTIVATIONS, PARAMETERS
from streameval.layers import activations as formulas

exp_f64, log_f64, log1p_f64 = elementary.exp_f64, elementary.log_f64, elementary.log1p_f64
one_plus_exp_f32 = elementary.one_plus_exp_f32
ROUND_F64 = elementary.ROUND_F64
DOUBLES = ("exp", "log", "log1p", "power_of_two", "mantissa", "exponent")


@numba.njit
def _doubles(values, code, out):
    for i in range(0, values.shape[0], 8):
        x = load_f64(values, i)
        if code == 0:
            store(out, i, exp_f64(x))
        elif code == 1:
            store(out, i, log_f64(x))
        elif code == 2:
            store(out, i, log1p_f64(x))
        elif code == 3:
            store(out, i, power_of_two(x + ROUND_F64))
        elif code == 4:
            store(out, i, split_exponent(x)[0])
        else:
            store(out, i, split_exponent(x)[1])


@functools.cache
def _activating(name: str) -> Callable[[np.ndarray, float], None]:
    activate = make_activate(name)

    @numba.njit
    def activated(values, parameter):
        activate(values, 0, values.shape[0], parameter)

    return activated


@functools.cache
def _activating_images(name: str) -> Callable[[np.ndarray, float], None]:
    activate = make_activate(name, of_images=True)

    @numba.njit
    def activated(values, parameter):
        activate(values, 0, values.shape[0], parameter)

    return activated


@numba.njit
def _shared(values, code):
    activate_shared(values, 0, values.shape[0], code)


@numba.njit
def _one_plus_exp(values, out):
    for i in range(0, values.shape[0], 16):
        store(out, i, one_plus_exp_f32(load_f32(values, i)))


@numba.njit
def _there_and_back(values, out):
    for i in range(0, values.shape[0], 16):
        low, high = widen(load_f32(values, i))
        store(out, i, narrow(low, high))


def padded(x: np.ndarray, multiple: int = 16) -> np.ndarray:
    return np.concatenate([x, np.full(-len(x) % multiple, x[-1] if len(x) else 0, x.dtype)])


def doubles(name: str, x: np.ndarray) -> np.ndarray:
    values = padded(np.asarray(x, np.float64))
    out = np.empty_like(values)
    _doubles(values, DOUBLES.index(name), out)
    return out[: len(x)]


def activated(name: str, x: np.ndarray, parameter: float | None = None) -> np.ndarray:
    values = padded(np.asarray(x, np.float32))
    _activating(name)(values, np.float32(PARAMETERS.get(name, 0.0) if parameter is None else parameter))
    return values[: len(x)]


def one_plus_exp(x: np.ndarray) -> np.ndarray:
    values = padded(np.asarray(x, np.float32))
    out = np.empty_like(values)
    _one_plus_exp(values, out)
    return out[: len(x)]


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of the exact value, as `found`'s dtype has them there."""
    nearest = np.abs(exact).astype(found.dtype)
    # The spacing above a power of two is twice the one below it: take the one the exact value lies in.
    nearest = np.where(nearest > np.abs(exact), np.nextafter(nearest, found.dtype.type(0)), nearest)
    return np.abs(found.astype(exact.dtype) - exact) / np.spacing(nearest).astype(exact.dtype)


def by_mpmath(function: Callable[[mpmath.mpf], mpmath.mpf], found: np.ndarray, x: np.ndarray) -> float:
    """The largest distance in ulps from `function` in 60 digits; `found` and `x` finite."""
    worst = 0.0
    with mpmath.workdps(60):
        for value, argument in zip(found, x, strict=True):
            exact = function(mpmath.mpf(float(argument)))
            unit = np.spacing(np.abs(found.dtype.type(float(exact))))
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - exact) / mpmath.mpf(float(unit))))
    return worst


def everywhere(low: float, high: float, count: int, dtype: type = np.float32) -> np.ndarray:
    """Both evenly spread numbers and evenly spread exponents, both signs where the range has them."""
    rng = np.random.default_rng(7)
    tiny = np.exp2(rng.uniform(-120, np.log2(max(abs(low), abs(high))), count))
    near = np.concatenate([tiny, -tiny])
    near = near[(near >= low) & (near <= high)]
    return np.concatenate([rng.uniform(low, high, count), near, [low, high]]).astype(dtype)


PRECISE = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "gelu": lambda x: x * mpmath.ncdf(x),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "leaky_relu": lambda x: x if x > 0 else x * mpmath.mpf("0.01"),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "identity": lambda x: x,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "relu6": lambda x: min(max(x, 0), 6),
    "gelu_tanh": lambda x: (
        x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))) / 2
    ),
}
# Where the result is a normal float32: below it, units in the last place grow without bound.
RANGES = {
    "sigmoid": (-87.0, 100.0),
    "tanh": (-20.0, 20.0),
    "gelu": (-12.5, 100.0),
    "softplus": (-87.0, 100.0),
    "leaky_relu": (-1e30, 1e30),
    "relu": (-1e30, 1e30),
    "identity": (-1e30, 1e30),
    "silu": (-80.0, 100.0),
    "elu": (-1e30, 1e30),
    "hard_swish": (-1e30, 1e30),
    "relu6": (-1e30, 1e30),
    "gelu_tanh": (-9.9, 100.0),
}


# --- float64: exp, log, log1p ---


def test_exp_is_within_2_ulp_of_mpmath_from_one_end_of_its_range_to_the_other() -> None:
    x = everywhere(-708.0, 709.0, 1500, np.float64)
    assert by_mpmath(mpmath.exp, doubles("exp", x), x) < 2.0


def test_log_is_within_2_ulp_of_mpmath_for_all_normal_numbers_and_densely_around_one() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            np.exp2(rng.uniform(-1022, 1023.9, 1000)),
            1.0 + rng.uniform(-0.3, 0.42, 1000),
            1.0 + np.exp2(rng.uniform(-52, -3, 500)),
            1.0 - np.exp2(rng.uniform(-52, -3, 500)),
            np.sqrt([0.5, 2.0, 8.0]),
            [1.0, np.finfo(float).tiny, np.finfo(float).max, 1e-7],
        ]
    )
    assert by_mpmath(mpmath.log, doubles("log", x), x) < 2.0


def test_log1p_is_within_2_ulp_of_mpmath_from_zero_to_one() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(0, 1, 1500), np.exp2(rng.uniform(-1000, 0, 1000)), [0.0, 1.0]])
    assert by_mpmath(mpmath.log1p, doubles("log1p", x), x) < 2.0


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="long double is no longer than double here")
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("exp", -708.0, 709.0), ("exp", -0.4, 0.4), ("log", 0.6, 1.6), ("log1p", 0.0, 1.0)],
)
def test_a_million_doubles_stay_within_2_ulp_of_80_bit_arithmetic(name: str, low: float, high: float) -> None:
    x = np.random.default_rng(3).uniform(low, high, 1_000_000)
    exact = getattr(np, name)(x.astype(np.longdouble))
    assert ulps(doubles(name, x), exact).max() < 2.0


def test_exp_is_clamped_at_both_ends_and_keeps_nan() -> None:
    found = doubles("exp", np.array([-np.inf, -1e300, -708.0, 0.0, -0.0, 709.0, 1e300, np.inf, np.nan]))
    assert found[0] == found[1] == found[2] > 0.0
    assert found[3] == found[4] == 1.0
    assert found[5] == found[6] == found[7] < np.inf
    assert np.isnan(found[8])


def test_log_of_one_is_zero_without_a_sign() -> None:
    found = doubles("log", np.ones(8))
    assert (found == 0.0).all()
    assert (0.0 - found == 0.0).all()


@settings(deadline=None)
@given(st.lists(st.floats(min_value=2.3e-308, allow_infinity=False), min_size=1, max_size=20))
def test_a_number_is_split_into_mantissa_and_exponent_as_by_frexp(values: list[float]) -> None:
    x = np.array(values)
    mantissas, exponents = doubles("mantissa", x), doubles("exponent", x)
    for value, m, e in zip(values, mantissas, exponents, strict=True):
        assert m * 2.0 ** (e / 2) * 2.0 ** (e - e / 2) == pytest.approx(value, rel=1e-12)
        # The boundary is the float64 nearest to sqrt(1/2): there, and only there, the twin may go either way.
        if abs(m - np.sqrt(0.5)) > 1e-15 and abs(m - np.sqrt(2.0)) > 1e-15:
            assert (m, e) == naive.split_exponent(value)


def test_every_power_of_two_of_the_normal_range_is_exact() -> None:
    n = np.arange(-1022, 1024)
    assert doubles("power_of_two", n).tolist() == [naive.power_of_two(int(k)) for k in n]


# --- float32: the activations ---


def test_every_name_has_its_function_its_formula_and_its_twin_in_the_same_order() -> None:
    """Programs say an activation by its number among the names."""
    assert tuple(FUNCTIONS) == tuple(formulas.ACTIVATIONS) == ACTIVATIONS
    assert set(naive.ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_within_2_ulp_of_mpmath(name: str) -> None:
    low, high = RANGES[name]
    x = everywhere(low, high, 700)
    assert by_mpmath(PRECISE[name], activated(name, x), x) < 2.0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_million_floats_stay_within_2_ulp_of_float64(name: str) -> None:
    low, high = RANGES[name]
    x = np.concatenate([everywhere(low, high, 400_000), everywhere(max(low, -1.0), 1.0, 200_000)])
    exact = naive.ACTIVATIONS[name](x.astype(np.float64))
    assert ulps(activated(name, x), exact).max() < 2.0


def every_float(low: float, high: float) -> np.ndarray:
    """All float32 between two numbers of one sign."""
    first, last = (int(np.float32(end).view(np.int32)) for end in (low, high))
    return np.arange(min(first, last), max(first, last) + 1, dtype=np.int32).view(np.float32)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sigmoid", -0.0036, -0.0034),  # its largest error
        ("tanh", 0.6249, 0.6251),  # where one formula gives over to the other
        ("gelu", -5.001, -5.0),
        ("softplus", -17.01, -17.0),
        ("elu", -0.35, -0.34),  # where the exponent changes
        ("hard_swish", -3.0, -2.999),
        ("gelu_tanh", -5.001, -5.0),
    ],
)
def test_every_float_of_a_hard_place_is_within_2_ulp(name: str, low: float, high: float) -> None:
    x = every_float(low, high)
    exact = naive.ACTIVATIONS[name](x.astype(np.float64))
    assert ulps(activated(name, x), exact).max() < 2.0


def test_one_plus_exp_is_within_an_ulp_and_clamped_outside_of_its_range() -> None:
    x = np.concatenate([everywhere(-87.0, 88.0, 300_000), everywhere(-1.0, 1.0, 100_000)])
    assert ulps(one_plus_exp(x), 1.0 + np.exp(x.astype(np.float64))).max() <= 1.05
    found = one_plus_exp(np.array([-np.inf, -1e30, -87.0, 88.0, 1e30, np.inf, np.nan], np.float32))
    assert found[:3].tolist() == [1.0] * 3
    assert found[3] == found[4] == found[5] < np.inf
    assert np.isnan(found[6])


SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, -1e-38, 3e38, -3e38], np.float32
)


@pytest.mark.parametrize(("name", "number"), [("leaky_relu", 0.25), ("elu", 0.3)])
def test_the_number_of_an_activation_is_used(name: str, number: float) -> None:
    x = everywhere(-50.0, 50.0, 1000)
    exact = naive.ACTIVATIONS[name](x.astype(np.float64), float(np.float32(number)))
    assert ulps(activated(name, x, number), exact).max() < 2.6
    assert not np.array_equal(activated(name, x, number), activated(name, x))


@pytest.mark.parametrize("name", SHARED)
def test_the_shared_operation_gives_the_bits_of_each_activation(name: str) -> None:
    x = padded(np.concatenate([SPECIAL, everywhere(-20.0, 20.0, 300)]))
    alone = activated(name, x)
    _shared(x, ACTIVATIONS.index(name))
    assert np.array_equal(x.view(np.int32), alone.view(np.int32))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_special_values_of_an_activation_are_those_of_the_formula(name: str) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        exact = naive.ACTIVATIONS[name](SPECIAL.astype(np.float64))
    found = activated(name, SPECIAL).astype(np.float64)
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    finite = np.isfinite(exact)
    assert np.array_equal(found[~finite], exact[~finite], equal_nan=True)
    # 6.1e-39 is sigmoid's floor, e**-88; denormals are a matter of the last of their few bits.
    assert found[finite] == pytest.approx(exact[finite], rel=3e-7, abs=6.2e-39)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "gelu", "silu", "gelu_tanh", "hard_swish"])
def test_far_to_the_left_an_activation_vanishes_and_never_goes_wrong(name: str) -> None:
    found = activated(name, -np.exp2(np.linspace(6.5, 127.9, 4000)).astype(np.float32))
    assert (np.abs(found) < 1e-38).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_lane_gives_the_same_bits(name: str) -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([SPECIAL, rng.normal(size=101).astype(np.float32) * 10])
    at_first = np.array([activated(name, np.full(16, value, np.float32))[0] for value in x])
    for shift in range(16):
        moved = activated(name, np.roll(x, shift))
        assert np.array_equal(np.roll(moved, -shift).view(np.int32), at_first.view(np.int32))


def test_widening_and_narrowing_gives_every_float_back() -> None:
    x = padded(np.concatenate([SPECIAL, every_float(1.0, 1.01)]))
    out = np.empty_like(x)
    _there_and_back(x, out)
    assert np.array_equal(out.view(np.int32), x.view(np.int32))


@pytest.mark.parametrize("name", OF_IMAGES)
def test_what_is_quicker_on_images_gives_the_same_bits(name: str) -> None:
    """Sixteen small values, sixteen large ones, one of the other kind among them, the boundary itself, and NaN."""
    rng = np.random.default_rng(5)
    small = rng.uniform(-0.625, 0.625, (200, 16))
    large = rng.normal(0, 4, (200, 16))
    mixed = small.copy()
    mixed[np.arange(200), rng.integers(0, 16, 200)] = rng.normal(0, 1, 200)
    edge = np.float32(0.625)
    near = [
        edge,
        -edge,
        np.nextafter(edge, np.float32(0)),
        np.nextafter(edge, np.float32(1)),
        0.0,
        -0.0,
        np.nan,
        np.inf,
    ]
    ends = small[:8].copy()
    ends[np.arange(8), np.arange(8)] = near
    values = np.concatenate([small, large, mixed, ends]).astype(np.float32).ravel()
    plain, of_images = values.copy(), values.copy()
    _activating(name)(plain, 0.0)
    _activating_images(name)(of_images, 0.0)
    assert np.array_equal(plain.view(np.uint32), of_images.view(np.uint32))
