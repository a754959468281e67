"""Several claims at once: which of them stand together. Knows p-values and e-values, not what they are about."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that claiming those at most a errs in any of them with a chance of at most a.

        p'_(k) = max over i <= k of min(1, (K - i + 1) p_(i)),   p_(1) <= ... <= p_(K)

    Holds however the claims depend on each other. S. Holm (1979), "A simple sequentially rejective multiple test
    procedure".
    """
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = largest
    return adjusted


def e_bh(e_values: Sequence[float], miss: float) -> list[bool]:
    """Return which claims to make so that at most a share `miss` of those made is expected to be false.

    Those with the k largest e-values, for the largest k with e_(k) >= K / (miss k). Holds however the claims depend on
    each other, and at any look. R. Wang, A. Ramdas (2022), "False discovery rate control with e-values".
    """
    order = sorted(range(len(e_values)), key=lambda k: -e_values[k])
    made = 0
    for rank, k in enumerate(order, start=1):
        if e_values[k] * miss * rank >= len(e_values):
            made = rank
    return [k in order[:made] for k in range(len(e_values))]
