"""The first layer for uint8 rows: exact integer sums, whatever the CPU, and zero pixels skipped.

A float32 weight becomes a 24-bit integer times a scale of its column. Then sum_k x_k w_k is an integer below
2**53, so int8 dot products (VNNI), and float64 sums on any CPU, in any order, give the same number; it is scaled,
the bias added and rounded to float32 once. Layers that 24 bits cannot hold well (see `packing`) keep their
float32 weights and are summed in float64, in order, by the same code.
"""

from __future__ import annotations

from streameval.kernels import bytes_amx, bytes_avx2, bytes_vnni
from streameval.kernels.blocks import transpose_rows
from streameval.kernels.byte_rows import FEATURES, INTEGERS, LANES, OUTPUTS, SKIP, SUMS, WIDTH
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, byte_engine
from streameval.kernels.lanes import fma, load_f32, load_f64, load_i32, narrow, splat_f64, store, widen

# What sums bytes in integers, by the host's features; on other CPUs float64 sums give the same integers.
ENGINES = {"amx": bytes_amx, "vnni": bytes_vnni, "avx2": bytes_avx2}
_ENGINE = ENGINES.get(byte_engine())
_HAS_ENGINE = _ENGINE is not None
_sum_tile = (_ENGINE or bytes_vnni).sum_tile
_PLANES, _BASE = (_ENGINE or bytes_vnni).PLANES, float((_ENGINE or bytes_vnni).BASE)


@device
def first_layer_bytes(
    values,
    offsets,
    first,
    count,
    net,
    planes,
    weights,
    scales,
    work,
    z,
    ints,
    places,
    sums,
    to_tile,
    early,
    size,
):
    """Write the first layer's sums, before the activation, of `count` rows to the tile `sums` at `to_tile`.

    values uint8 · offsets (n,) int64 · net int64, the columns above · planes int8, see `packing` ·
    weights float32 [feature][WIDTH] · scales float64 [2][WIDTH], factor and bias · scratch: work float32 with
    room for 16 * WIDTH at `z`; ints int32; places int64, 16 · early, size: an address, and how many bytes there are
    needed next; returns how many of them were asked for
    """
    asked = 0
    width, in_integers = net[WIDTH], _HAS_ENGINE and net[INTEGERS] == 1
    for i in range(16):
        places[i] = z + i * width
    if in_integers:
        asked = _sum_tile(values, offsets, first, count, net, planes, ints, early, size)
    for r in range(0, count, 16):
        for i in range(min(16, count - r)):
            row, to = offsets[first + r + i], z + i * width
            if in_integers:
                _scale_row(
                    values, row, net, ints, net[SUMS] + (r + i) * net[LANES], weights, scales, work, to
                )
            else:
                _float_row(values, row, net, weights, scales, work, to, ints)
        for j in range(0, width, 16):
            transpose_rows(work, places, 0, j, width, sums, to_tile + j * TILE_ROWS + r, TILE_ROWS)
    return asked


@device
def _scale_row(values, row, net, ints, at, weights, scales, work, to):
    """(p0 + BASE p1 + BASE**2 p2) * factor + bias, from the planes of one row: one rounding to float32."""
    outputs, width, features = net[OUTPUTS], net[WIDTH], net[FEATURES]
    for j in range(0, width, 16):
        low, high = widen(load_i32(ints, at + (_PLANES - 1) * outputs + j))
        for plane in range(_PLANES - 2, -1, -1):
            next_low, next_high = widen(load_i32(ints, at + plane * outputs + j))
            low, high = fma(low, _BASE, next_low), fma(high, _BASE, next_high)
        # The pixels after the last whole group of four.
        for k in range(features - features % 4, features):
            pixel = float(values[row + k])
            w_low, w_high = widen(load_f32(weights, k * width + j))
            low = fma(w_low, pixel, low)
            high = fma(w_high, pixel, high)
        _store_scaled(low, high, scales, j, width, work, to + j)


@device
def _float_row(values, row, net, weights, scales, work, to, ints):
    """One row on any CPU: float64 sums over the pixels that are not zero, 32 outputs at a time."""
    features, width = net[FEATURES], net[WIDTH]
    count = 0
    for k in range(features):
        ints[count] = k
        if values[row + k] != 0 or net[SKIP] == 0:
            count += 1
    j = 0
    while j + 32 <= width:
        a, b, c, d = splat_f64(0.0), splat_f64(0.0), splat_f64(0.0), splat_f64(0.0)
        for i in range(count):
            k = ints[i]
            pixel = float(values[row + k])
            w_a, w_b = widen(load_f32(weights, k * width + j))
            w_c, w_d = widen(load_f32(weights, k * width + j + 16))
            a, b, c, d = fma(w_a, pixel, a), fma(w_b, pixel, b), fma(w_c, pixel, c), fma(w_d, pixel, d)
        _store_scaled(a, b, scales, j, width, work, to + j)
        _store_scaled(c, d, scales, j + 16, width, work, to + j + 16)
        j += 32
    if j < width:
        a, b = splat_f64(0.0), splat_f64(0.0)
        for i in range(count):
            k = ints[i]
            pixel = float(values[row + k])
            w_a, w_b = widen(load_f32(weights, k * width + j))
            a, b = fma(w_a, pixel, a), fma(w_b, pixel, b)
        _store_scaled(a, b, scales, j, width, work, to + j)


@device
def _store_scaled(low, high, scales, j, width, work, to):
    low = fma(low, load_f64(scales, j), load_f64(scales, width + j))
    high = fma(high, load_f64(scales, j + 8), load_f64(scales, width + j + 8))
    store(work, to, narrow(low, high))
