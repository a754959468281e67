"""What is done to each value of a tile by itself, and the normalization of a row by its own mean and variance."""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.images import HEIGHT, PLANES, REST, S_PLANE, S_ROW, T_PLANE, T_ROW, WIDTH
from streameval.kernels.lanes import (
    fma,
    load_f32,
    narrow,
    select,
    splat_f32,
    splat_f64,
    square_root,
    store,
    widen,
)
from streameval.kernels.program import OWN, SOURCE, TARGET, Operation

# Columns of AFFINE: those of an image, where the planes' scales and shifts are. Of ADD: how far apart rows and planes
# are in the second source, that second source, and the floor's place.
SCALES, SHIFTS = REST, REST + 1
OTHER, O_ROW, O_PLANE, FLOOR = range(REST, REST + 4)
# Columns of LAYER_NORM: how many groups of how many values; where gamma and beta are, and eps among the factors.
COUNT, SIZE, GAMMA, BETA, EPS = range(OWN, OWN + 5)


@device
def _affine(step, net, rows, space, tile):
    """target[c, y, x] = source[c, y, x] * scale[c] + shift[c], one fma"""
    floats, size = space.floats, step[WIDTH] * TILE_ROWS
    for plane in range(step[PLANES]):
        scale = splat_f32(net.weights[step[SCALES] + plane])
        shift = splat_f32(net.weights[step[SHIFTS] + plane])
        for y in range(step[HEIGHT]):
            source = step[SOURCE] + plane * step[S_PLANE] + y * step[S_ROW]
            target = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW]
            for i in range(0, size, 16):
                store(floats, target + i, fma(load_f32(floats, source + i), scale, shift))
    return 0


@device
def _add(step, net, rows, space, tile):
    """target = max(floor, source + other); NaN is kept"""
    floats, size, floor = space.floats, step[WIDTH] * TILE_ROWS, net.weights[step[FLOOR]]
    for plane in range(step[PLANES]):
        for y in range(step[HEIGHT]):
            source = step[SOURCE] + plane * step[S_PLANE] + y * step[S_ROW]
            other = step[OTHER] + plane * step[O_PLANE] + y * step[O_ROW]
            target = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW]
            for i in range(0, size, 16):
                total = load_f32(floats, source + i) + load_f32(floats, other + i)
                store(floats, target + i, select(total < floor, floor, total))
    return 0


@device
def _layer_norm(step, net, rows, space, tile):
    """target = gamma (source - mean) / sqrt(variance + eps) + beta for each group of values, sums in float64"""
    floats, size = space.floats, step[SIZE]
    for r in range(0, tile.count, 16):
        for group in range(step[COUNT]):
            at = group * size * TILE_ROWS + r
            low, high = splat_f64(0.0), splat_f64(0.0)
            for k in range(size):
                a, b = widen(load_f32(floats, step[SOURCE] + at + k * TILE_ROWS))
                low, high = low + a, high + b
            mean_low, mean_high = low / float(size), high / float(size)
            low, high = splat_f64(0.0), splat_f64(0.0)
            for k in range(size):
                a, b = widen(load_f32(floats, step[SOURCE] + at + k * TILE_ROWS))
                a, b = a - mean_low, b - mean_high
                low, high = fma(a, a, low), fma(b, b, high)
            eps = net.factors[step[EPS]]
            low = 1.0 / square_root(low / float(size) + eps)
            high = 1.0 / square_root(high / float(size) + eps)
            for k in range(size):
                a, b = widen(load_f32(floats, step[SOURCE] + at + k * TILE_ROWS))
                normal = narrow((a - mean_low) * low, (b - mean_high) * high)
                value = fma(normal, net.weights[step[GAMMA] + k], splat_f32(net.weights[step[BETA] + k]))
                store(floats, step[TARGET] + at + k * TILE_ROWS, value)
    return 0


AFFINE = Operation("affine", _affine)
ADD = Operation("add", _add)
LAYER_NORM = Operation("layer_norm", _layer_norm)
