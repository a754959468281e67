"""The first layer for uint8 rows: exact integer sums, whatever the CPU, and zero pixels skipped.

A float32 weight becomes a 24-bit integer times a scale of its column. Then sum_k x_k w_k is an integer below
2**53, so int8 dot products (VNNI), and float64 sums on any CPU, in any order, give the same number; it is scaled,
the bias added and rounded to float32 once. Layers that 24 bits cannot hold well (see `packing`) keep their
float32 weights and are summed in float64, in order, by the same code.
"""

from __future__ import annotations

from streameval.kernels import bytes_amx, bytes_avx2, bytes_neon, bytes_vnni
from streameval.kernels.byte_rows import (
    FACTORS,
    FEATURES,
    INTEGERS,
    LANES,
    OUTPUTS,
    SKIP,
    SUMS,
    WEIGHTS,
    WIDTH,
)
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, byte_engine
from streameval.kernels.lanes import fma, load_f32, load_f64, load_i32, narrow, splat_f64, store, widen
from streameval.kernels.program import TARGET, TEMPORARY, Operation
from streameval.kernels.rows import transpose_rows

# What sums bytes in integers, by the host's features; on other CPUs float64 sums give the same integers.
ENGINES = {"amx": bytes_amx, "vnni": bytes_vnni, "avx2": bytes_avx2, "neon": bytes_neon}
_ENGINE = ENGINES.get(byte_engine())
_HAS_ENGINE = _ENGINE is not None
_sum_tile = (_ENGINE or bytes_vnni).sum_tile
_PLANES, _BASE = (_ENGINE or bytes_vnni).PLANES, float((_ENGINE or bytes_vnni).BASE)


@device
def _run(step, net, rows, space, tile):
    """target[j] = bias[j] + scale * sum_k x[k] weights[k, j] for j < WIDTH: see the columns in `byte_rows`.

    weights float32 [feature][WIDTH] · factors float64 [2][WIDTH], factor and bias · temporary: 16 * WIDTH float32,
    sixteen rows before they are turned into lanes
    """
    asked = 0
    width, in_integers = step[WIDTH], _HAS_ENGINE and step[INTEGERS] == 1
    for i in range(16):
        space.places[i] = step[TEMPORARY] + i * width
    if in_integers:
        asked = _sum_tile(step, net, rows, space, tile)
    for r in range(0, tile.count, 16):
        for i in range(min(16, tile.count - r)):
            row, to = rows.offsets[tile.first + r + i], space.places[i]
            if in_integers:
                scale_row(step, net, rows, row, space, step[SUMS] + (tile.before + r + i) * step[LANES], to)
            else:
                _float_row(step, net, rows, row, space, to)
        for j in range(0, width, 16):
            out = (space.floats, step[TARGET] + j * TILE_ROWS + r)
            transpose_rows(space.floats, (space.places, 0), j, width, out)
    return asked


DENSE_BYTES = Operation("dense_bytes", _run)


@device
def scale_row(step, net, rows, row, space, at, to):
    """(p0 + BASE p1 + BASE**2 p2) * factor + bias, from the planes of one row: one rounding to float32."""
    outputs, width, features = step[OUTPUTS], step[WIDTH], step[FEATURES]
    for j in range(0, width, 16):
        low, high = widen(load_i32(space.ints, at + (_PLANES - 1) * outputs + j))
        for plane in range(_PLANES - 2, -1, -1):
            next_low, next_high = widen(load_i32(space.ints, at + plane * outputs + j))
            low, high = fma(low, _BASE, next_low), fma(high, _BASE, next_high)
        # The pixels after the last whole group of four.
        for k in range(features - features % 4, features):
            pixel = float(rows.values[row + k])
            w_low, w_high = widen(load_f32(net.weights, step[WEIGHTS] + k * width + j))
            low = fma(w_low, pixel, low)
            high = fma(w_high, pixel, high)
        _store_scaled(low, high, net.factors, step[FACTORS] + j, width, space.floats, to + j)


@device
def _float_row(step, net, rows, row, space, to):
    """One row on any CPU: float64 sums over the pixels that are not zero, 32 outputs at a time."""
    features, width, at = step[FEATURES], step[WIDTH], step[WEIGHTS]
    values, ints, weights = rows.values, space.ints, net.weights
    count = 0
    for k in range(features):
        ints[count] = k
        if values[row + k] != 0 or step[SKIP] == 0:
            count += 1
    j = 0
    while j + 32 <= width:
        a, b, c, d = splat_f64(0.0), splat_f64(0.0), splat_f64(0.0), splat_f64(0.0)
        for i in range(count):
            k = ints[i]
            pixel = float(values[row + k])
            w_a, w_b = widen(load_f32(weights, at + k * width + j))
            w_c, w_d = widen(load_f32(weights, at + k * width + j + 16))
            a, b, c, d = fma(w_a, pixel, a), fma(w_b, pixel, b), fma(w_c, pixel, c), fma(w_d, pixel, d)
        _store_scaled(a, b, net.factors, step[FACTORS] + j, width, space.floats, to + j)
        _store_scaled(c, d, net.factors, step[FACTORS] + j + 16, width, space.floats, to + j + 16)
        j += 32
    if j < width:
        a, b = splat_f64(0.0), splat_f64(0.0)
        for i in range(count):
            k = ints[i]
            pixel = float(values[row + k])
            w_a, w_b = widen(load_f32(weights, at + k * width + j))
            a, b = fma(w_a, pixel, a), fma(w_b, pixel, b)
        _store_scaled(a, b, net.factors, step[FACTORS] + j, width, space.floats, to + j)


@device
def _store_scaled(low, high, factors, at, width, floats, to):
    low = fma(low, load_f64(factors, at), load_f64(factors, at + width))
    high = fma(high, load_f64(factors, at + 8), load_f64(factors, at + width + 8))
    store(floats, to, narrow(low, high))
