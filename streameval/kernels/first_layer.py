"""The first layer for uint8 rows: exact integer sums, whatever the CPU, and zero pixels skipped.

A float32 weight becomes a 24-bit integer times a scale of its column. Then sum_k x_k w_k is an integer below
2**53, so int8 dot products (VNNI), and float64 sums on any CPU, in any order, give the same number; it is scaled,
the bias added and rounded to float32 once. Layers that 24 bits cannot hold well (see `packing`) keep their
float32 weights and are summed in float64, in order, by the same code.
"""

from __future__ import annotations

from streameval.kernels.amx import copy_row, tile_block
from streameval.kernels.blocks import list_groups, make_byte_block, transpose_rows
from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS, byte_engine
from streameval.kernels.lanes import fma, load_f32, load_f64, load_i32, narrow, splat_f64, store, widen

# Registers of sums for each of two rows: with the pixels and the weights they fill the 32 there are.
BYTE_BLOCKS = (12, 10, 8, 4)
_bytes_12, _bytes_10, _bytes_8, _bytes_4 = (make_byte_block(registers) for registers in BYTE_BLOCKS)
_INTEGERS = byte_engine() != "float64"
_TILES = byte_engine() == "amx"

# The columns of the table that describes the layer.
FEATURES, OUTPUTS, WIDTH, LANES, BLOCK, INTEGERS, SKIP, STRIDE = range(8)


@device
def first_layer_bytes(values, offsets, first, count, net, planes, weights, scales, work, z, ints, places, sums, to):
    """Write the first layer's sums, before the activation, of `count` rows to the tile `sums` at `to`.

    values uint8 · offsets (n,) int64 · net int64, the columns above · planes int8, see `packing` ·
    weights float32 [feature][WIDTH] · scales float64 [2][WIDTH], factor and bias · scratch: work float32 with
    room for 16 * WIDTH at `z`; ints int32; places int64, 16
    """
    width = net[WIDTH]
    for i in range(16):
        places[i] = z + i * width
    if _TILES and net[INTEGERS] == 1:
        _integer_tile(values, offsets, first, count, net, planes, ints)
    for r in range(0, count, 16):
        rows = min(16, count - r)
        if _TILES and net[INTEGERS] == 1:
            from_sums = TILE_ROWS * net[STRIDE] + r * net[LANES]
            _scale_rows(values, offsets, first + r, rows, net, ints, from_sums, weights, scales, work, z)
        elif _INTEGERS and net[INTEGERS] == 1:
            from_sums = _integer_rows(values, offsets, first + r, rows, net, planes, ints)
            _scale_rows(values, offsets, first + r, rows, net, ints, from_sums, weights, scales, work, z)
        else:
            for i in range(rows):
                _float_row(values, offsets[first + r + i], net, weights, scales, work, z + i * width, ints)
        for j in range(0, width, 16):
            transpose_rows(work, places, 0, j, width, sums, to + j * TILE_ROWS + r, TILE_ROWS)


@device
def _integer_tile(values, offsets, first, count, net, planes, ints):
    """A whole tile at once, zero pixels included; rows are copied to where the tile registers load them from."""
    stride = net[STRIDE]
    for i in range(count):
        copy_row(values, offsets[first + i], 4 * (net[FEATURES] // 4), ints, i * stride)
    tile_block(ints, 0, stride, planes, net[LANES], ints, TILE_ROWS * stride)


@device
def _integer_rows(values, offsets, first, rows, net, planes, ints):
    """Two rows at a time: the groups of four pixels that are zero in both are left out. Returns where the sums are."""
    groups, lanes = net[FEATURES] // 4, net[LANES]
    sums = 2 * (groups + 16)
    dense = False
    for i in range(0, rows, 2):
        a = offsets[first + i]
        b = offsets[first + min(i + 1, rows - 1)]
        # Where hardly anything is zero the list costs more than it saves: take all, for the rest of these rows.
        if dense:
            count = groups
        else:
            count = list_groups(values, a, b, groups, ints)
            dense = 8 * count > 7 * groups
            if dense:
                for g in range(groups):
                    ints[g] = g
                count = groups
        at, block = 0, net[BLOCK]
        while at < lanes:
            to_a, to_b = sums + i * lanes + at, sums + (i + 1) * lanes + at
            if block == 12:
                _bytes_12(values, a, b, ints, count, planes, 4 * at, 4 * lanes, ints, to_a, to_b)
            elif block == 10:
                _bytes_10(values, a, b, ints, count, planes, 4 * at, 4 * lanes, ints, to_a, to_b)
            elif block == 8:
                _bytes_8(values, a, b, ints, count, planes, 4 * at, 4 * lanes, ints, to_a, to_b)
            else:
                _bytes_4(values, a, b, ints, count, planes, 4 * at, 4 * lanes, ints, to_a, to_b)
            at += 16 * block
    return sums


@device
def _scale_rows(values, offsets, first, rows, net, ints, at, weights, scales, work, z):
    for i in range(rows):
        row, to = offsets[first + i], z + i * net[WIDTH]
        _scale_row(values, row, net, ints, at + i * net[LANES], weights, scales, work, to)


@device
def _scale_row(values, row, net, ints, at, weights, scales, work, to):
    """(65536 p2 + 256 p1 + p0) * factor + bias, from the three planes of one row: one rounding to float32."""
    outputs, width, features = net[OUTPUTS], net[WIDTH], net[FEATURES]
    for j in range(0, width, 16):
        low, high = widen(load_i32(ints, at + j))
        low_1, high_1 = widen(load_i32(ints, at + outputs + j))
        low_2, high_2 = widen(load_i32(ints, at + 2 * outputs + j))
        low = fma(low_2, 65536.0, fma(low_1, 256.0, low))
        high = fma(high_2, 65536.0, fma(high_1, 256.0, high))
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
