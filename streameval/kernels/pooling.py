"""Pooling on a tile: the largest value or the mean of windows of an image, and the mean of whole channels."""

from __future__ import annotations

from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.images import HEIGHT, PLANES, REST, S_PLANE, S_ROW, T_PLANE, T_ROW, WIDTH
from streameval.kernels.lanes import load_f32, narrow, select, splat_f32, splat_f64, store, widen
from streameval.kernels.program import SOURCE, TARGET, Operation

# The columns after those of an image: size of the source, of the windows, their distance, the border before; where
# the reciprocals of how many values a window has are, one for each place (among the weights).
IN_HEIGHT, IN_WIDTH, TALL, WIDE, STEP_Y, STEP_X, TOP, LEFT, SHARES = range(REST, REST + 9)


@device
def larger(a, b):
    """max(a, b), NaN if one is."""
    return select(b == b, select(a < b, b, a), b)


@device
def _max_pool(step, net, rows, space, tile):
    """target[c, y, x] = the largest value of the window that lies inside the image"""
    floats, row = space.floats, step[S_ROW]
    for r in range(0, tile.count, 16):
        for plane in range(step[PLANES]):
            source = step[SOURCE] + plane * step[S_PLANE] + r
            for y in range(step[HEIGHT]):
                first_y = y * step[STEP_Y] - step[TOP]
                last_y = min(first_y + step[TALL], step[IN_HEIGHT])
                first_y = max(first_y, 0)
                to = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW] + r
                for x in range(step[WIDTH]):
                    first_x = x * step[STEP_X] - step[LEFT]
                    last_x = min(first_x + step[WIDE], step[IN_WIDTH])
                    first_x = max(first_x, 0)
                    largest = load_f32(floats, source + first_y * row + first_x * TILE_ROWS)
                    for i in range(first_y, last_y):
                        for j in range(first_x, last_x):
                            largest = larger(largest, load_f32(floats, source + i * row + j * TILE_ROWS))
                    store(floats, to + x * TILE_ROWS, largest)
    return 0


@device
def _avg_pool(step, net, rows, space, tile):
    """target[c, y, x] = the sum of the window, row by row, times the share of one value"""
    floats, row, width = space.floats, step[S_ROW], step[WIDTH]
    for r in range(0, tile.count, 16):
        for plane in range(step[PLANES]):
            source = step[SOURCE] + plane * step[S_PLANE] + r
            for y in range(step[HEIGHT]):
                first_y = y * step[STEP_Y] - step[TOP]
                last_y = min(first_y + step[TALL], step[IN_HEIGHT])
                first_y = max(first_y, 0)
                to = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW] + r
                for x in range(width):
                    first_x = x * step[STEP_X] - step[LEFT]
                    last_x = min(first_x + step[WIDE], step[IN_WIDTH])
                    first_x = max(first_x, 0)
                    total = splat_f32(0.0)
                    if last_y - first_y == 2 and last_x - first_x == 2:
                        # Most windows are of this size; without loops LeNet-5 takes 1 to 2 % less.
                        at = source + first_y * row + first_x * TILE_ROWS
                        total = total + load_f32(floats, at) + load_f32(floats, at + TILE_ROWS)
                        at += row
                        total = total + load_f32(floats, at) + load_f32(floats, at + TILE_ROWS)
                    else:
                        for i in range(first_y, last_y):
                            for j in range(first_x, last_x):
                                total = total + load_f32(floats, source + i * row + j * TILE_ROWS)
                    store(floats, to + x * TILE_ROWS, total * net.weights[step[SHARES] + y * width + x])
    return 0


@device
def _global_avg(step, net, rows, space, tile):
    """target[c] = sum source[c, y, x] / (IN_HEIGHT IN_WIDTH), in float64"""
    floats, size = space.floats, float(step[IN_HEIGHT] * step[IN_WIDTH])
    for r in range(0, tile.count, 16):
        for plane in range(step[PLANES]):
            source = step[SOURCE] + plane * step[S_PLANE] + r
            low, high = splat_f64(0.0), splat_f64(0.0)
            for y in range(step[IN_HEIGHT]):
                for x in range(step[IN_WIDTH]):
                    a, b = widen(load_f32(floats, source + y * step[S_ROW] + x * TILE_ROWS))
                    low, high = low + a, high + b
            store(floats, step[TARGET] + plane * step[T_PLANE] + r, narrow(low / size, high / size))
    return 0


MAX_POOL = Operation("max_pool", _max_pool)
AVG_POOL = Operation("avg_pool", _avg_pool)
GLOBAL_AVG = Operation("global_avg", _global_avg)
