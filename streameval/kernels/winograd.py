"""3 x 3 convolutions with stride 1 by Winograd's F(4x4, 3x3): a quarter of the products of the sums themselves.

    Y = A' [ (G g G') * (B' d B) ] A        for a 6 x 6 piece d of each channel, and a 3 x 3 filter g; Y is 4 x 4

Filters are transformed in float64 when they are packed. The points are 0, +-5/8, +-3/2 and infinity: with the usual
0, +-1, +-2 rounding errors are twice as large, and some rows of the book's networks were more than 2e-5 from float64.
Every number here is exact in float32.

Rows are in the lanes, so that a transform is a few vector operations, and 36 products of matrices [output][channel] and
[channel][row] remain. A step may take the largest value of each 2 x 2 of Y before it writes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streameval.kernels.compiling import device
from streameval.kernels.convolution import convolve_row
from streameval.kernels.dense import MOST_VECTORS
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.images import HEIGHT, PLANES, REST, S_PLANE, S_ROW, T_PLANE, T_ROW, WIDTH
from streameval.kernels.lanes import fma, load_f32, select, splat_f32, store
from streameval.kernels.pooling import larger
from streameval.kernels.program import SOURCE, TARGET, TEMPORARY, Operation

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
SIZE, PIECE = 4, 6

# The columns after those of an image: channels; outputs with padding, and the block; where lists and numbers are.
CHANNELS, PADDED, BLOCK, LIST, WEIGHTS, BIASES, FLOOR, NOTHING, START, DOWN, ACROSS = range(REST, REST + 11)

# Powers of the points, and the coefficients of (x**2 - A2) (x**2 - B2) = x**4 - SUM x**2 + PRODUCT.
_A, _B = POINTS[1], POINTS[3]
_A2, _B2, _A3, _B3 = _A * _A, _B * _B, _A**3, _B**3
_SUM, _PRODUCT = _A2 + _B2, _A2 * _B2


def transformed_filters(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """G g G' of filters (outputs, channels, 3, 3): (6, 6, outputs, channels)."""
    rows = [np.array([1.0, p, p * p]) / np.prod([p - q for q in POINTS if q != p]) for p in POINTS]
    g = np.array([*rows, [0.0, 0.0, 1.0]])
    out = np.zeros((len(g), len(g), *weight.shape[:2]))
    # In one order, so that the filters' bits do not depend on the CPU.
    for i, j, a, b in np.ndindex(len(g), len(g), 3, 3):
        out[i, j] += g[i, a] * weight[:, :, a, b].astype(np.float64) * g[j, b]
    return out


@device
def piece_line(d0, d1, d2, d3, d4, d5):
    """B' d for six numbers: the polynomials of all points but one, at d."""
    even_a, even_b = fma(d2, -_B2, d4), fma(d2, -_A2, d4)
    odd_a, odd_b = fma(d1, -_B2, d3), fma(d1, -_A2, d3)
    return (
        fma(d2, -_SUM, fma(d0, _PRODUCT, d4)),
        fma(odd_a, _A, even_a),
        fma(odd_a, -_A, even_a),
        fma(odd_b, _B, even_b),
        fma(odd_b, -_B, even_b),
        fma(d3, -_SUM, fma(d1, _PRODUCT, d5)),
    )


@device
def result_line(m0, m1, m2, m3, m4, m5):
    """A' m for six numbers: sums of powers of the points."""
    plus_a, minus_a, plus_b, minus_b = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + (plus_a + plus_b),
        fma(minus_a, _A, minus_b * _B),
        fma(plus_a, _A2, plus_b * _B2),
        fma(minus_a, _A3, fma(minus_b, _B3, m5)),
    )


@device
def piece_column(floats, at, row):
    """One column of a piece, transformed."""
    return piece_line(
        load_f32(floats, at), load_f32(floats, at + row), load_f32(floats, at + 2 * row),
        load_f32(floats, at + 3 * row), load_f32(floats, at + 4 * row), load_f32(floats, at + 5 * row),
    )  # fmt: skip


@device
def transform_piece(floats, at, row, to, apart):
    """B' d B of a piece at `at`, written to 36 places that are `apart`."""
    a0, a1, a2, a3, a4, a5 = piece_column(floats, at, row)
    b0, b1, b2, b3, b4, b5 = piece_column(floats, at + TILE_ROWS, row)
    c0, c1, c2, c3, c4, c5 = piece_column(floats, at + 2 * TILE_ROWS, row)
    d0, d1, d2, d3, d4, d5 = piece_column(floats, at + 3 * TILE_ROWS, row)
    e0, e1, e2, e3, e4, e5 = piece_column(floats, at + 4 * TILE_ROWS, row)
    f0, f1, f2, f3, f4, f5 = piece_column(floats, at + 5 * TILE_ROWS, row)
    _store_line(floats, to, apart, piece_line(a0, b0, c0, d0, e0, f0))
    _store_line(floats, to + 6 * apart, apart, piece_line(a1, b1, c1, d1, e1, f1))
    _store_line(floats, to + 12 * apart, apart, piece_line(a2, b2, c2, d2, e2, f2))
    _store_line(floats, to + 18 * apart, apart, piece_line(a3, b3, c3, d3, e3, f3))
    _store_line(floats, to + 24 * apart, apart, piece_line(a4, b4, c4, d4, e4, f4))
    _store_line(floats, to + 30 * apart, apart, piece_line(a5, b5, c5, d5, e5, f5))


@device
def _store_line(floats, to, apart, line):
    store(floats, to, line[0])
    store(floats, to + apart, line[1])
    store(floats, to + 2 * apart, line[2])
    store(floats, to + 3 * apart, line[3])
    store(floats, to + 4 * apart, line[4])
    store(floats, to + 5 * apart, line[5])


@device
def result_column(floats, at, apart):
    """One column of products, over the lines of 6, transformed."""
    return result_line(
        load_f32(floats, at), load_f32(floats, at + 6 * apart), load_f32(floats, at + 12 * apart),
        load_f32(floats, at + 18 * apart), load_f32(floats, at + 24 * apart), load_f32(floats, at + 30 * apart),
    )  # fmt: skip


@device
def result_piece(floats, at, apart):
    """A' M A of 36 products that are `apart`: four lines of four."""
    a0, a1, a2, a3 = result_column(floats, at, apart)
    b0, b1, b2, b3 = result_column(floats, at + apart, apart)
    c0, c1, c2, c3 = result_column(floats, at + 2 * apart, apart)
    d0, d1, d2, d3 = result_column(floats, at + 3 * apart, apart)
    e0, e1, e2, e3 = result_column(floats, at + 4 * apart, apart)
    f0, f1, f2, f3 = result_column(floats, at + 5 * apart, apart)
    return (
        result_line(a0, b0, c0, d0, e0, f0),
        result_line(a1, b1, c1, d1, e1, f1),
        result_line(a2, b2, c2, d2, e2, f2),
        result_line(a3, b3, c3, d3, e3, f3),
    )


@device
def _finished(value, bias, floor):
    value = value + bias
    return select(value < floor, floor, value)


@device
def write_line(floats, to, line, bias, floor, count):
    """max(floor, line + bias), the first `count` of four."""
    store(floats, to, _finished(line[0], bias, floor))
    if count > 1:
        store(floats, to + TILE_ROWS, _finished(line[1], bias, floor))
    if count > 2:
        store(floats, to + 2 * TILE_ROWS, _finished(line[2], bias, floor))
    if count > 3:
        store(floats, to + 3 * TILE_ROWS, _finished(line[3], bias, floor))


@device
def write_piece(floats, to, row, lines, bias, floor, down, across):
    """What lies inside of the image: `down` lines, `across` columns."""
    write_line(floats, to, lines[0], bias, floor, across)
    if down > 1:
        write_line(floats, to + row, lines[1], bias, floor, across)
    if down > 2:
        write_line(floats, to + 2 * row, lines[2], bias, floor, across)
    if down > 3:
        write_line(floats, to + 3 * row, lines[3], bias, floor, across)


@device
def write_pooled(floats, to, row, lines, bias, floor, down, across):
    """The largest value of each 2 x 2: `down` lines, `across` columns of those, two at most."""
    _write_largest(floats, to, lines[0], lines[1], bias, floor, across)
    if down > 1:
        _write_largest(floats, to + row, lines[2], lines[3], bias, floor, across)


@device
def _write_largest(floats, to, one, two, bias, floor, count):
    left = larger(larger(one[0], one[1]), larger(two[0], two[1]))
    store(floats, to, _finished(left, bias, floor))
    if count > 1:
        right = larger(larger(one[2], one[3]), larger(two[2], two[3]))
        store(floats, to + TILE_ROWS, _finished(right, bias, floor))


def _make(name: str, write: Any, size: int) -> Operation:
    """The operation that writes pieces of `size` x `size`."""

    @device
    def run(step, net, rows, space, tile):
        floats, channels, padded, block = space.floats, step[CHANNELS], step[PADDED], step[BLOCK]
        vectors = (tile.count + 15) // 16
        at_once = min(vectors, MOST_VECTORS)
        pieces, products = step[TEMPORARY], step[TEMPORARY] + PIECE * PIECE * channels * TILE_ROWS
        floor, nothing = net.weights[step[FLOOR]], net.weights[step[NOTHING]]
        for number in range(step[DOWN] * step[ACROSS]):
            y, x = number // step[ACROSS], number % step[ACROSS]
            source = step[SOURCE] + step[START] + SIZE * (y * step[S_ROW] + x * TILE_ROWS)
            for channel in range(channels):
                for r in range(0, 16 * vectors, 16):
                    at = source + channel * step[S_PLANE] + r
                    to = pieces + channel * TILE_ROWS + r
                    transform_piece(floats, at, step[S_ROW], to, channels * TILE_ROWS)
            for f in range(PIECE * PIECE):
                for j in range(0, padded, block):
                    for r in range(0, 16 * vectors, 16 * at_once):
                        convolve_row(
                            (at_once, block),
                            (floats, pieces + f * channels * TILE_ROWS + r),
                            (net.inputs, step[LIST], channels),
                            (net.weights, step[WEIGHTS] + (f * padded + j) * channels),
                            (net.weights, step[NOTHING] + 1),
                            (floats, products + (f * padded + j) * TILE_ROWS + r),
                            (1, 0, TILE_ROWS),
                            nothing,
                        )
            target = step[TARGET] + size * (y * step[T_ROW] + x * TILE_ROWS)
            down, across = min(size, step[HEIGHT] - size * y), min(size, step[WIDTH] - size * x)
            if down > 0 and across > 0:
                for j in range(step[PLANES]):
                    bias = splat_f32(net.weights[step[BIASES] + j])
                    for r in range(0, 16 * vectors, 16):
                        lines = result_piece(floats, products + j * TILE_ROWS + r, padded * TILE_ROWS)
                        write(
                            floats,
                            target + j * step[T_PLANE] + r,
                            step[T_ROW],
                            lines,
                            bias,
                            floor,
                            down,
                            across,
                        )
        return 0

    return Operation(name, run)


WINOGRAD = _make("winograd", write_piece, SIZE)
WINOGRAD_POOL = _make("winograd_pool", write_pooled, SIZE // 2)
