"""What a chain of elementwise operators computes, as an expression that can be compared with known activations.

An expression is a sum of products of x and of functions of x, with numbers in front: 0.5 x + 0.5 x erf(0.7071 x) is
GELU however a file spells it. Knows real functions of one variable. Does not know graphs or layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Final

from streameval.errors import ModelError
from streameval.frozen import frozen

# Coefficients come as float32, at times as float16: closer ones are the same number.
CLOSE = 1e-5
# Functions that are no activations: the mean of a whole row, 1 / x.
MEAN, ROOT, INVERSE = "mean", "sqrt", "inverse"
MOST_TERMS = 24
MOST_FACTORS = 8
MOST_DEPTH = 8


@frozen
class Call:
    """A function of an expression, such as erf(0.7071 x)."""

    function: str
    argument: Formula

    @property
    def depth(self) -> int:
        """How deep calls lie in calls."""
        return 1 + self.argument.depth


Factor = Call | None  # None: x itself
Product = tuple[Factor, ...]


@frozen
class Formula:
    """A sum of products: `terms` are (factors, the number in front), in a fixed order, no number zero.

    Raises:
        ModelError: more terms, factors or calls in calls than any activation has.
    """

    terms: tuple[tuple[Product, float], ...]

    @classmethod
    def of(cls, terms: Mapping[Product, float]) -> Formula:
        """The sum of `terms`, those of 0 left out."""
        kept = sorted(((product, value) for product, value in terms.items() if value != 0.0), key=repr)
        made = cls(tuple(kept))
        if (
            len(kept) > MOST_TERMS
            or any(len(product) > MOST_FACTORS for product, _ in kept)
            or made.depth > MOST_DEPTH
        ):
            raise ModelError("an elementwise formula far longer than any known activation.")
        return made

    @property
    def depth(self) -> int:
        """How deep calls lie in calls."""
        return max(
            (factor.depth for product, _ in self.terms for factor in product if factor is not None), default=0
        )

    @property
    def affine(self) -> tuple[float, float] | None:
        """(a, b) where it is a x + b, else None."""
        by_product = dict(self.terms)
        scale, shift = by_product.pop((None,), 0.0), by_product.pop((), 0.0)
        return None if by_product else (scale, shift)

    @property
    def is_of_rows(self) -> bool:
        """Whether it takes the mean of a row anywhere, so that it is no formula of each value alone."""
        calls = [factor for product, _ in self.terms for factor in product if factor is not None]
        return any(call.function == MEAN or call.argument.is_of_rows for call in calls)

    def argument_of(self, function: str) -> Formula | None:
        """g where it is function(g), else None."""
        if len(self.terms) != 1 or self.terms[0][1] != 1.0 or len(self.terms[0][0]) != 1:
            return None
        (factor,) = self.terms[0][0]
        return factor.argument if factor is not None and factor.function == function else None

    def __add__(self, other: Formula) -> Formula:
        total = dict(self.terms)
        for product, value in other.terms:
            total[product] = total.get(product, 0.0) + value
        return Formula.of(total)

    def __mul__(self, other: Formula) -> Formula:
        total: dict[Product, float] = {}
        for one, a in self.terms:
            for two, b in other.terms:
                product = tuple(sorted((*one, *two), key=repr))
                total[product] = total.get(product, 0.0) + a * b
        return Formula.of(total)

    def times(self, number: float) -> Formula:
        """Each term multiplied."""
        return Formula.of({product: value * number for product, value in self.terms})

    def plus(self, number: float) -> Formula:
        """A number added."""
        return self + Formula.of({(): number})

    def call(self, function: str) -> Formula:
        """The function of the whole; what functions there are is the caller's to know."""
        return Formula.of({(Call(function, self),): 1.0})

    def __str__(self) -> str:
        return " + ".join(_term(product, value) for product, value in self.terms) or "0"


X: Final = Formula((((None,), 1.0),))


def ratio(one: Formula, other: Formula) -> float | None:
    """The number c of one = c other, None if there is none. Coefficients within 1e-5 are the same."""
    if len(one.terms) != len(other.terms) or not one.terms:
        return None
    mine, theirs = sorted(one.terms, key=_shape), sorted(other.terms, key=_shape)
    factor = mine[0][1] / theirs[0][1]
    for (a, p), (b, q) in zip(mine, theirs, strict=True):
        if not (_same_product(a, b) and math.isclose(p, factor * q, rel_tol=CLOSE)):
            return None
    return factor


def known(formula: Formula) -> tuple[str, float, float] | None:
    """(name, a, b) where the formula is a f(x) + b for an activation f of `layers.activations`, else None."""
    shift = dict(formula.terms).get((), 0.0)
    for candidate, b in ((formula, 0.0), (formula.plus(-shift), shift)):
        for name, written in _written().items():
            a = ratio(candidate, written)
            if a is not None:
                return name, 1.0 if abs(a - 1.0) <= CLOSE else a, b
    lone = _lone(formula)
    if lone is None:
        return None
    function, a, b = lone
    return (function, a, b) if is_activation(function) else None


def normalised(formula: Formula) -> tuple[float, float, float] | None:
    """(eps, a, b) where the formula is a (x - mean x) / sqrt(mean (x - mean x)^2 + eps) + b, else None."""
    shift = dict(formula.terms).get((), 0.0)
    calls = {factor for product, _ in formula.terms for factor in product if factor is not None}
    roots = [call.argument.argument_of(ROOT) for call in calls if call.function == INVERSE]
    if len(roots) != 1 or roots[0] is None:
        return None
    eps = dict(roots[0].terms).get((), 0.0)
    centred = X + X.call(MEAN).times(-1.0)
    deviation = (centred * centred).call(MEAN).plus(eps).call(ROOT)
    scale = ratio(formula.plus(-shift), centred * deviation.call(INVERSE))
    return None if scale is None or eps <= 0.0 else (eps, 1.0 if abs(scale - 1.0) <= CLOSE else scale, shift)


def inner(formula: Formula) -> tuple[Formula, Formula] | None:
    """(g, h) where the formula is h(g(x)) with h a known activation's call and g not x alone, else None."""
    calls = {factor for product, _ in formula.terms for factor in product if factor is not None}
    if any(None in product for product, _ in formula.terms) or len(calls) != 1:
        return None
    (call,) = calls
    if call.argument == X:
        return None
    outer = {
        tuple(None if factor is None else Call(call.function, X) for factor in product): value
        for product, value in formula.terms
    }
    return call.argument, Formula.of(outer)


def is_activation(function: str) -> bool:
    """Whether a function's name is that of an activation."""
    from streameval.layers.activations import check_activation

    try:
        check_activation(function)
    except ModelError:
        return False
    return True


def _lone(formula: Formula) -> tuple[str, float, float] | None:
    """(f, a, b) where the formula is a f(x) + b, else None."""
    terms = dict(formula.terms)
    shift = terms.pop((), 0.0)
    if len(terms) != 1:
        return None
    ((product, value),) = terms.items()
    if len(product) != 1 or product[0] is None or product[0].argument != X:
        return None
    return product[0].function, value, shift


@cache
def _written() -> dict[str, Formula]:
    """Activations that files spell out in several operators."""
    half, root = X.times(0.5), X.times(math.sqrt(0.5)).call("erf")
    cubic = (X + (X * X * X).times(0.044715)).times(math.sqrt(2.0 / math.pi))
    return {
        "gelu": half * root.plus(1.0),
        "gelu_tanh": half * cubic.call("tanh").plus(1.0),
        "silu": X * X.call("sigmoid"),
        "hard_swish": (X * X.plus(3.0).call("relu6")).times(1.0 / 6.0),
    }


def _same_product(one: Product, other: Product) -> bool:
    return len(one) == len(other) and all(
        (a is None) == (b is None) and (a is None or b is None or _same_call(a, b))
        for a, b in zip(one, other, strict=True)
    )


def _same_call(one: Call, other: Call) -> bool:
    if one.function != other.function:
        return False
    factor = ratio(one.argument, other.argument)
    return factor is not None and abs(factor - 1.0) <= CLOSE


def _shape(term: tuple[Product, float]) -> str:
    """The term without its numbers."""
    return " ".join("x" if factor is None else _call_shape(factor) for factor in term[0])


def _call_shape(call: Call) -> str:
    return f"{call.function}({'+'.join(sorted(map(_shape, call.argument.terms)))})"


def _term(product: Product, value: float) -> str:
    factors = ["x" if factor is None else f"{factor.function}({factor.argument})" for factor in product]
    if not factors:
        return f"{value:.6g}"
    return " ".join(factors if value == 1.0 else [f"{value:.6g}", *factors])
