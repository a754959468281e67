"""What a layer does to its sums: one function a row of the table, on sixteen float32 at a time.

To add one: a name in `names.py`, a function and a row of `FUNCTIONS` here, its float64 formula in
`layers.activations`, a twin in `tests/naive.py`. No NaN is hidden. Those of `names.PARAMETERS` take their number as a
second argument.
"""

from __future__ import annotations

import functools
from typing import Any

from streameval.kernels.compiling import device
from streameval.kernels.elementary import exp_f64, expm1_f32, log1p_f64, one_plus_exp_f32
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import absolute, everywhere, fma, load_f32, narrow, select, store, widen
from streameval.kernels.names import ACTIVATIONS, PARAMETERS
from streameval.kernels.program import OWN, TARGET, Operation

# The columns of a step: how many neurons; the function's number in `names.ACTIVATIONS`, or where its parameter is.
NEURONS, FUNCTION = range(OWN, OWN + 2)
PARAMETER = FUNCTION
# An activation by itself is applied to that many neurons side by side, PLANES * LINES times, so far apart.
PLANES, PLANE, LINES, LINE = range(OWN + 2, OWN + 6)
# These are in the kernel that most networks share; of the others a network's kernel has what it uses.
SHARED = ACTIVATIONS[:7]


@device
def identity(x):
    """x"""
    return x


@device
def sigmoid(x):
    """1 / (1 + exp(-x))"""
    return 1.0 / one_plus_exp_f32(0.0 - x)


@device
def relu(x):
    """max(x, 0)"""
    return select(x < 0.0, 0.0, x)


@device
def leaky_relu(x, slope):
    """x where x >= 0, else slope x"""
    return select(x < 0.0, x * slope, x)


@device
def tanh(x):
    """x + x**3 P(x**2) for |x| < 0.625, else 1 - 2 / (1 + exp(2 |x|)) with the sign of x"""
    return _tanh(x, absolute(x), _tanh_near_zero(x))


@device
def tanh_of_images(x):
    """The same bits, in half the time where all sixteen are small: most of an image is its background."""
    size, small = absolute(x), _tanh_near_zero(x)
    if everywhere(size < 0.625):
        return small
    return _tanh(x, size, small)


@device
def _tanh(x, size, small):
    large = 1.0 - 2.0 / one_plus_exp_f32(size + size)
    return select(size < 0.625, small, select(x < 0.0, 0.0 - large, large))


@device
def _tanh_near_zero(x):
    z = x * x
    p = fma(z, 0.0022460035979747772, -0.008301695808768272)
    p = fma(p, z, 0.021755700930953026)
    p = fma(p, z, -0.05395759642124176)
    p = fma(p, z, 0.1333329677581787)
    p = fma(p, z, -0.3333333432674408)
    return fma(x * z, p, x)


@device
def softplus(x):
    """ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)), in float64 so that the left tail keeps its digits"""
    low, high = widen(x)
    return narrow(softplus_f64(low), softplus_f64(high))


@device
def softplus_f64(x):
    """ln(1 + exp(x)) of eight float64."""
    return select(x < 0.0, 0.0, x) + log1p_f64(exp_f64(0.0 - absolute(x)))


@device
def gelu(x):
    """x Phi(x), Phi the normal distribution function (the exact form, not the tanh one), in float64"""
    low, high = widen(x)
    return narrow(gelu_f64(low), gelu_f64(high))


@device
def gelu_f64(x):
    """x Phi(x) of eight float64, to nine digits."""
    # The tail Phi(-a) = exp(-a**2 / 2) G(a), G a polynomial in t = 1 / (1 + 0.3 a); relative error 1.2e-9.
    size = absolute(x)
    t = 1.0 / fma(size, 0.3, 1.0)
    p = fma(t, 0.0005581362662479789, 0.009135856109423222)
    p = fma(p, t, -0.06942428364630801)
    p = fma(p, t, 0.18293285252427308)
    p = fma(p, t, -0.22517895587651002)
    p = fma(p, t, 0.1294777541934401)
    p = fma(p, t, -0.06327600207403197)
    p = fma(p, t, 0.045491314330471856)
    p = fma(p, t, 0.05418931813308085)
    p = fma(p, t, 0.08785388428643114)
    p = fma(p, t, 0.10887316614731046)
    p = fma(p, t, 0.11968430369130285)
    p = fma(p, t, 0.11968265602823935)
    tail = exp_f64(-0.5 * size * size) * p * t
    return x * select(x < 0.0, tail, 1.0 - tail)


@device
def silu(x):
    """x / (1 + exp(-x)); 0 below -88, where it is over -6e-37"""
    return select(x < -88.0, x * 0.0, x / one_plus_exp_f32(0.0 - x))


@device
def elu(x, alpha):
    """x where x >= 0, else alpha (exp(x) - 1)"""
    return select(x < 0.0, alpha * expm1_f32(x), x)


@device
def hard_swish(x):
    """x min(max(x + 3, 0), 6) / 6"""
    return x * (relu6(x + 3.0) / 6.0)


@device
def relu6(x):
    """min(max(x, 0), 6)"""
    return select(x > 6.0, 6.0, select(x < 0.0, 0.0, x))


@device
def gelu_tanh(x):
    """x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x**3): the form with tanh, in float64"""
    low, high = widen(x)
    return narrow(gelu_tanh_f64(low), gelu_tanh_f64(high))


@device
def gelu_tanh_f64(x):
    """x / (1 + exp(-2 u)) of eight float64; 0 below u = -354."""
    u = x * fma(x * x, 0.035677408136300125, 0.7978845608028654)
    return select(u < -354.0, x * 0.0, x / (exp_f64(-2.0 * u) + 1.0))


# Each of `names.ACTIVATIONS`, in their order.
FUNCTIONS = {
    "identity": identity,
    "sigmoid": sigmoid,
    "relu": relu,
    "tanh": tanh,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "softplus": softplus,
    "silu": silu,
    "elu": elu,
    "hard_swish": hard_swish,
    "relu6": relu6,
    "gelu_tanh": gelu_tanh,
}


# What is quicker on images, with a branch that would slow down vectors of other values: 5 % of six layers of tanh.
OF_IMAGES = {"tanh": tanh_of_images}


@functools.cache
def make_activate(name: str, *, of_images: bool = False) -> Any:
    """activate(tile, start, stop, parameter): tile[start:stop] in place; stop - start is a multiple of 16."""
    function = OF_IMAGES.get(name, FUNCTIONS[name]) if of_images else FUNCTIONS[name]
    if name in PARAMETERS:

        @device
        def activate_with(tile, start, stop, parameter):
            for i in range(start, stop, 16):
                store(tile, i, function(load_f32(tile, i), parameter))

        return activate_with

    @device
    def activate_plainly(tile, start, stop, parameter):
        for i in range(start, stop, 16):
            store(tile, i, function(load_f32(tile, i)))

    return activate_plainly


def _link(names: tuple[str, ...]) -> Any:
    """One device function that applies the one of these activations whose number it is given."""
    apply = _leave
    for number in reversed(range(len(names))):
        apply = _either(number, make_activate(names[number]), PARAMETERS.get(names[number], 0.0), apply)
    return apply


def _either(number: int, activate: Any, parameter: float, rest: Any) -> Any:
    @device
    def one_or_another(tile, start, stop, code):
        if code == number:
            activate(tile, start, stop, parameter)
        else:
            rest(tile, start, stop, code)

    return one_or_another


@device
def _leave(tile, start, stop, code):
    pass


# With the usual parameter: activate_shared(tile, start, stop, number).
activate_shared = _link(SHARED)


@device
def _run(step, net, rows, space, tile):
    """target[j] = function(target[j]), j < neurons"""
    to = step[TARGET]
    activate_shared(space.floats, to, to + step[NEURONS] * TILE_ROWS, step[FUNCTION])
    return 0


ACTIVATE = Operation("activate", _run)


@functools.cache
def activation_operation(name: str) -> Operation:
    """The operation that applies one activation, with the number at PARAMETER among the weights."""
    activate = make_activate(name, of_images=True)

    @device
    def run(step, net, rows, space, tile):
        for plane in range(step[PLANES]):
            for line in range(step[LINES]):
                to = step[TARGET] + plane * step[PLANE] + line * step[LINE]
                activate(space.floats, to, to + step[NEURONS] * TILE_ROWS, net.weights[step[PARAMETER]])
        return 0

    return Operation(f"activate_{name}", run)
