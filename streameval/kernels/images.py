"""Values of a tile as an image, [channel][y][x][row], with a border of zeros where a later step wants one.

Knows where values lie. `LOAD_BYTES` and `LOAD_FLOATS` bring the data's rows there, for every first layer that does not
read them itself; `BORDER` writes the zeros, `COPY` gives an image another border.
"""

from __future__ import annotations

from typing import Any

from streameval.kernels.compiling import device
from streameval.kernels.host import TILE_ROWS
from streameval.kernels.lanes import fma, load_f32, splat_f32, store
from streameval.kernels.program import OWN, SOURCE, TARGET, Operation
from streameval.kernels.rows import transpose_rows

# The columns that all steps on images begin with: how far apart rows and planes (channels) lie in the source and in
# the target, in float32; planes, rows and columns of the target.
S_ROW, S_PLANE, T_ROW, T_PLANE, PLANES, HEIGHT, WIDTH = range(OWN, OWN + 7)
REST = OWN + 7

# The columns of BORDER: those of an image, and how wide the border is.
TOP, LEFT, BOTTOM, RIGHT = range(REST, REST + 4)
# The columns of LOAD: those of an image, the scale's place in `Net.factors`, and for floats where marks go.
SCALE, MARKS = REST, REST + 1


@device
def run_border(step, net, rows, space, tile):
    """target[c, y, x] = 0 for all y, x around the image, as far as the border goes."""
    row, floats = step[T_ROW], space.floats
    left, right, height, width = step[LEFT], step[RIGHT], step[HEIGHT], step[WIDTH]
    for plane in range(step[PLANES]):
        at = step[TARGET] + plane * step[T_PLANE] - left * TILE_ROWS
        whole = (left + width + right) * TILE_ROWS
        zeros(floats, at - step[TOP] * row, step[TOP], row, whole)
        zeros(floats, at, height, row, left * TILE_ROWS)
        zeros(floats, at + (left + width) * TILE_ROWS, height, row, right * TILE_ROWS)
        zeros(floats, at + height * row, step[BOTTOM], row, whole)
    return 0


@device
def zeros(floats, start, rows, row, size):
    """Zero `size` numbers at the start of each of some rows."""
    nothing = splat_f32(0.0)
    for y in range(rows):
        for i in range(start + y * row, start + y * row + size, 16):
            store(floats, i, nothing)


@device
def run_copy(step, net, rows, space, tile):
    """target = source"""
    floats, size = space.floats, step[WIDTH] * TILE_ROWS
    for plane in range(step[PLANES]):
        for y in range(step[HEIGHT]):
            source = step[SOURCE] + plane * step[S_PLANE] + y * step[S_ROW]
            target = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW]
            for i in range(0, size, 16):
                store(floats, target + i, load_f32(floats, source + i))
    return 0


@device
def load_rows(step, net, rows, space, tile, marks):
    """target[c, y, x] = scale * row[c, y, x]; if marks >= 0, marks = sum 0 * row: 0 for finite rows, NaN for others."""
    floats, places, width = space.floats, space.places, step[WIDTH]
    scale = net.factors[step[SCALE]]
    for i in range(TILE_ROWS):
        # Lanes past the last row repeat it; nobody reads what they give.
        places[i] = rows.offsets[tile.first + min(i, tile.count - 1)]
    for r in range(0, tile.count, 16):
        mark = splat_f32(0.0)
        for line in range(step[PLANES] * step[HEIGHT]):
            plane, y = line // step[HEIGHT], line % step[HEIGHT]
            target = step[TARGET] + plane * step[T_PLANE] + y * step[T_ROW] + r
            for x in range(0, width, 16):
                # Up to fifteen zeros more: into the border, and where the next line will be.
                out = (floats, target + x * TILE_ROWS)
                transpose_rows(rows.values, (places, r), line * width + x, (line + 1) * width, out)
                for c in range(x, min(x + 16, width)):
                    value = load_f32(floats, target + c * TILE_ROWS)
                    if marks >= 0:
                        mark = fma(value, 0.0, mark)
                    if scale != 1.0:
                        store(floats, target + c * TILE_ROWS, value * scale)
        if marks >= 0:
            store(floats, marks + r, mark)
    return 0


@device
def _load_bytes(step, net, rows, space, tile):
    return load_rows(step, net, rows, space, tile, -1)


@device
def _load_floats(step, net, rows, space, tile):
    return load_rows(step, net, rows, space, tile, step[MARKS])


BORDER = Operation("border", run_border)
COPY = Operation("copy", run_copy)
LOAD: dict[str, Any] = {
    "uint8": Operation("load_bytes", _load_bytes),
    "float32": Operation("load_floats", _load_floats),
}
