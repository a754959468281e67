"""The drawing of handwritten-like digits: a row's bytes from its number and a seed, and nothing else.

Knows random words by counter, smooth strokes, and ink by distance. Does not know what strokes make a
digit: they arrive as arrays.

Only +, -, *, /, sqrt and integers are used, which IEEE 754 rounds in one way, so that the bytes are the
same on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from streameval.kernels.compiling import device, kernel

SIDE = 28  # pixels
TILE = 64  # rows that share one scratch
VERTICES = 96  # room of one row in the scratch: enough for VERTICES // (STEPS + 1) = 19 points
LANES = 8  # pixels of a row inked together
STEPS = 4  # straight pieces between two points of a stroke

SMOOTH, CORNER, LIFT = 0, 1, 2  # what the pen does at a point: goes through, turns, ends a stroke

# Draws of a row, by number: one each for the first, four for WARP, then two a stroke and three a point.
LABEL, STYLE, CARE, ROTATION, SLANT, WIDTH, SIZE, PEN, EDGE, SHIFT_X, SHIFT_Y, WARP = range(12)
STROKES, POINTS = 16, 32

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
LOW_16 = np.uint64(0xFFFF)
BELL = 1.0 / 37837.0  # one over the standard deviation of a sum of four uniform 16-bit numbers


@kernel(parallel=True)
def draw_rows(
    start,
    seed,
    points,
    pens,
    style_starts,
    class_starts,
    scratch,
    images,
    labels,
):
    """Draw the rows `start`, `start + 1`, ... into `images`, and their classes into `labels`.

    start int64 · seed uint64 · points (p, 2) float64, y downwards, about 0..100 · pens (p,) int64: SMOOTH,
    CORNER or LIFT · style k is points[style_starts[k] : style_starts[k + 1]] · class c has the styles
    class_starts[c] .. class_starts[c + 1] - 1 · scratch (ceil(n / TILE), VERTICES, 4) float64 ·
    images (n, 28, 28) uint8 · labels (n,) int64

    Every row takes its random numbers from its own counter, so where a block starts and how many threads
    there are cannot change a byte.
    """
    n = images.shape[0]
    base = mixed(seed + GOLDEN)
    classes = class_starts.shape[0] - 1
    for tile in prange((n + TILE - 1) // TILE):
        path = scratch[tile]
        for i in range(tile * TILE, min(n, tile * TILE + TILE)):
            key = mixed(base + np.uint64(start + i) * GOLDEN)
            label = pick(key, LABEL, classes)
            style = class_starts[label] + pick(key, STYLE, class_starts[label + 1] - class_starts[label])
            first, last = style_starts[style], style_starts[style + 1]
            care = uniform(key, CARE)
            wild = 0.65 + 2.7 * care * care * care  # most hands are careful, a few are not
            bend(key, wild, points[first:last], pens[first:last], path)
            count = trace(pens[first:last], last - first, path)
            radius = 0.62 + 0.95 * uniform(key, PEN)
            fit(key, radius, count, path)
            image = images[i]
            image[:] = 0
            soft = 0.55 + 0.4 * uniform(key, EDGE)
            for k in range(1, count):
                if path[k, 3] > 0.0:
                    ink(path[k - 1], path[k], soft, image)
            labels[i] = label


@device
def mixed(z):
    """The finaliser of SplitMix64 : 64 bits in, 64 well-mixed bits out."""
    z = (z ^ (z >> np.uint64(30))) * MIX_1
    z = (z ^ (z >> np.uint64(27))) * MIX_2
    return z ^ (z >> np.uint64(31))


@device
def word(key, draw):
    """The random 64 bits number `draw` of the row that owns `key`."""
    return mixed(key + np.uint64(draw + 1) * GOLDEN)


@device
def pick(key, draw, choices):
    """A whole number in [0, choices), uniform to within choices / 2**32."""
    return np.int64(((word(key, draw) >> np.uint64(32)) * np.uint64(choices)) >> np.uint64(32))


@device
def uniform(key, draw):
    """A number in [0, 1) with 53 random bits."""
    return np.float64(np.int64(word(key, draw) >> np.uint64(11))) * (1.0 / 9007199254740992.0)


@device
def bell(key, draw):
    """A bell-shaped number, mean 0, deviation 1, within 3.47: the four 16-bit parts of a word summed."""
    w = word(key, draw)
    parts = (
        (w & LOW_16)
        + ((w >> np.uint64(16)) & LOW_16)
        + ((w >> np.uint64(32)) & LOW_16)
        + (w >> np.uint64(48))
    )
    return np.float64(np.int64(parts) - 131070) * BELL


@device
def bend(key, wild, points, pens, path):
    """Write the style's points, as this row's hand puts them, into the end of `path`: (x, y, pressure).

    The whole is warped by a random quadratic, a stroke is moved as a whole, each point by itself; then
    slanted, widened and turned. The turn is by (1 - a*a/2, a - a*a*a/6) in place of (cos a, sin a), whose
    last bit is not the same on every machine: for |a| < 0.5 they differ by less than 0.003.
    """
    a = 0.10 * wild * bell(key, ROTATION)
    cosine, sine = 1.0 - a * a * 0.5, a - a * a * a / 6.0
    slant = 0.10 + 0.20 * bell(key, SLANT)
    width = 1.0 + 0.16 * bell(key, WIDTH)
    warp_x1, warp_x2 = 4.5 * wild * bell(key, WARP), 4.5 * wild * bell(key, WARP + 1)
    warp_y1, warp_y2 = 4.5 * wild * bell(key, WARP + 2), 4.5 * wild * bell(key, WARP + 3)
    stroke = 0
    base = VERTICES - points.shape[0]
    for j in range(points.shape[0]):
        draw = POINTS + 3 * j
        move = STROKES + 2 * stroke
        u, v = points[j, 0] / 50.0 - 1.0, points[j, 1] / 50.0 - 1.0
        x = 50.0 * u + warp_x1 * u * v + warp_x2 * v * v
        y = 50.0 * v + warp_y1 * u * v + warp_y2 * u * u
        x += wild * (2.0 * bell(key, move) + 2.6 * bell(key, draw))
        y += wild * (2.0 * bell(key, move + 1) + 2.6 * bell(key, draw + 1))
        x = width * x - slant * y
        path[base + j, 0] = cosine * x - sine * y
        path[base + j, 1] = sine * x + cosine * y
        path[base + j, 2] = 1.0 + 0.12 * bell(key, draw + 2)
        if pens[j] == LIFT:
            stroke += 1


@device
def trace(pens, points, path):
    """Turn the points at the end of `path` into vertices at its start, and return how many.

    A vertex is (x, y, pressure, 1 if a line leads here from the one before, else 0).
    Between two points runs a cubic Hermite curve in STEPS straight pieces. The tangent at a smooth point is
    half the way from the point before to the one after (Catmull-Rom); at a corner or an end of a stroke it is
    the way along the piece itself.
    """
    base = VERTICES - points
    count = 0
    fresh = True  # the pen has just been set down
    for j in range(points):
        p = base + j
        if fresh:
            x, y, pressure = path[p, 0], path[p, 1], path[p, 2]
            path[count, 0], path[count, 1], path[count, 2], path[count, 3] = x, y, pressure, 0.0
            count += 1
        if pens[j] == LIFT:
            fresh = True
            continue
        x0, y0, w0 = path[p, 0], path[p, 1], path[p, 2]
        x1, y1, w1 = path[p + 1, 0], path[p + 1, 1], path[p + 1, 2]
        mx0, my0 = x1 - x0, y1 - y0
        mx1, my1 = mx0, my0
        if not fresh and pens[j] == SMOOTH:
            mx0, my0 = 0.5 * (x1 - path[p - 1, 0]), 0.5 * (y1 - path[p - 1, 1])
        if pens[j + 1] == SMOOTH:
            mx1, my1 = 0.5 * (path[p + 2, 0] - x0), 0.5 * (path[p + 2, 1] - y0)
        for step in range(1, STEPS + 1):
            u = step / STEPS
            b = u * u * (3.0 - 2.0 * u)
            c = u * (1.0 - u) * (1.0 - u)
            d = u * u * (u - 1.0)
            path[count, 0] = x0 + b * (x1 - x0) + c * mx0 + d * mx1
            path[count, 1] = y0 + b * (y1 - y0) + c * my0 + d * my1
            path[count, 2] = w0 + u * (w1 - w0)
            path[count, 3] = 1.0
            count += 1
        fresh = False
    return count


@device
def fit(key, radius, count, path):
    """Scale the vertices to pixels as in MNIST: 20 pixels high or wide, the middle of the ink near (14, 14).

    `radius` is half the width of the line in pixels; the third column becomes each vertex's own radius.
    """
    left, right, top, bottom = path[0, 0], path[0, 0], path[0, 1], path[0, 1]
    mass, mean_x, mean_y = 0.0, 0.0, 0.0
    for k in range(1, count):
        x, y = path[k, 0], path[k, 1]
        left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        if path[k, 3] > 0.0:
            dx, dy = x - path[k - 1, 0], y - path[k - 1, 1]
            length = math.sqrt(dx * dx + dy * dy)
            mass += length
            mean_x += length * (x + path[k - 1, 0]) * 0.5
            mean_y += length * (y + path[k - 1, 1]) * 0.5
    room = 20.0 - 2.0 * radius - 1.2 * uniform(key, SIZE)
    scale = room / max(right - left, bottom - top)
    shift_x = 13.8 + 0.5 * uniform(key, SHIFT_X) - scale * (mean_x / mass)
    shift_y = 13.7 + 0.5 * uniform(key, SHIFT_Y) - scale * (mean_y / mass)
    for k in range(count):
        path[k, 0] = scale * path[k, 0] + shift_x
        path[k, 1] = scale * path[k, 1] + shift_y
        path[k, 2] = radius * path[k, 2]


@device
def ink(a, b, soft, image):
    """Darken the pixels near the piece from `a` to `b`: (x, y, radius).

    With d the distance of a pixel from the piece and r the radius at the nearest place, the pixel is at
    least 255 * clip((r + soft - d) / (2 * soft), 0, 1), rounded; where pieces meet the darkest holds.

    Only the pixels within reach are done, their columns rounded up to whole vectors of LANES: beyond reach
    the ink is 0 and changes nothing, and without a branch the loop is twice as fast as pixel by pixel.
    """
    ax, ay, ar = a[0], a[1], a[2] + soft
    bx, by, br = b[0], b[1], b[2] + soft
    dx, dy, dr = bx - ax, by - ay, br - ar
    square = dx * dx + dy * dy
    inverse = 1.0 / square if square > 0.0 else 0.0
    reach = max(ar, br)
    darkness = 127.5 / soft
    top = max(0, math.ceil(min(ay, by) - reach))
    bottom = min(SIDE - 1, math.floor(max(ay, by) + reach))
    left = max(0, math.ceil(min(ax, bx) - reach))
    right = min(SIDE - 1, math.floor(max(ax, bx) + reach))
    width = (right - left + LANES) // LANES * LANES
    for row in range(top, bottom + 1):
        y = row - ay
        pixels = image[row, left : left + width]
        for column in range(pixels.shape[0]):
            x = np.float64(np.int32(left) + np.int32(column)) - ax
            u = (x * dx + y * dy) * inverse
            u = u if u > 0.0 else 0.0
            u = u if u < 1.0 else 1.0
            ex, ey = x - u * dx, y - u * dy
            v = (ar + u * dr - math.sqrt(ex * ex + ey * ey)) * darkness + 0.5
            v = v if v > 0.0 else 0.0
            v = v if v < 255.0 else 255.0
            value = np.uint8(np.int32(v))
            old = pixels[column]
            pixels[column] = value if value > old else old
