"""The obvious, slow drawing of one digit: plain Python and NumPy, nothing of the package.

It follows the same description as the kernel and shares no line with it: random words in Python integers,
curves as Bezier curves by de Casteljau's rule, ink over the whole image at once.
"""

import math
from itertools import pairwise

import numpy as np

MASK = 2**64 - 1


def draw_row(styles, seed, row):
    """Return (image (28, 28) uint8, label) of a row of the data set `seed`; `styles` as in the package."""
    hand = Hand(seed, row)
    label = hand.pick(0, 10)
    strokes = parse(styles[label][hand.pick(1, len(styles[label]))])
    wild = 0.65 + 2.7 * hand.uniform(2) ** 3
    strokes = bent(strokes, hand, wild)
    lines = [line_through(stroke) for stroke in strokes]
    radius = 0.62 + 0.95 * hand.uniform(7)
    pieces = placed(lines, radius, hand)
    return inked(pieces, 0.55 + 0.4 * hand.uniform(8)), label


class Hand:
    """The numbered random words of one row."""

    def __init__(self, seed, row):
        base = splitmix(seed, 0)
        self.key = finish(base + row * 0x9E3779B97F4A7C15)

    def word(self, number):
        return splitmix(self.key, number)

    def pick(self, number, choices):
        return (self.word(number) // 2**32) * choices // 2**32

    def uniform(self, number):
        return (self.word(number) // 2**11) / 2**53

    def bell(self, number):
        parts = self.word(number).to_bytes(8, "little")
        total = sum(int.from_bytes(parts[k : k + 2], "little") for k in (0, 2, 4, 6))
        return (total - 131070) / 37837.0


def splitmix(state, number):
    """Output `number`, from 0, of the SplitMix64 generator that starts at `state`."""
    return finish(state + (number + 1) * 0x9E3779B97F4A7C15)


def finish(z):
    z &= MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def parse(text):
    """Return strokes, each a list of (x, y, is a corner)."""
    strokes = []
    for part in text.split("/"):
        stroke = []
        for point in part.split():
            x, y = point.strip("!").split(",")
            stroke.append((float(x), float(y), "!" in point))
        strokes.append(stroke)
    return strokes


def bent(strokes, hand, wild):
    """Return the strokes as this hand puts them: a list of ((x, y, pressure), is a corner)."""
    angle = 0.10 * wild * hand.bell(3)
    turn = np.array([[1 - angle**2 / 2, -(angle - angle**3 / 6)], [angle - angle**3 / 6, 1 - angle**2 / 2]])
    lean = np.array([[1.0 + 0.16 * hand.bell(5), -(0.10 + 0.20 * hand.bell(4))], [0.0, 1.0]])
    warp = [4.5 * wild * hand.bell(11 + k) for k in range(4)]
    result, number = [], 0
    for s, stroke in enumerate(strokes):
        new = []
        for x, y, corner in stroke:
            u, v = (x - 50) / 50, (y - 50) / 50
            shake = [
                wild * (2.0 * hand.bell(16 + 2 * s + axis) + 2.6 * hand.bell(32 + 3 * number + axis))
                for axis in (0, 1)
            ]
            warped = np.array([warp[0] * u * v + warp[1] * v**2, warp[2] * u * v + warp[3] * u**2])
            place = np.array([x - 50, y - 50]) + warped + shake
            new.append((np.append(turn @ lean @ place, 1 + 0.12 * hand.bell(34 + 3 * number)), corner))
            number += 1
        result.append(new)
    return result


def line_through(stroke):
    """Return the vertices (x, y, pressure) of a smooth line: 4 pieces between two points, corners sharp."""
    points = [p for p, _ in stroke]
    sharp = [corner or k in (0, len(stroke) - 1) for k, (_, corner) in enumerate(stroke)]
    line = [points[0]]
    for k in range(len(points) - 1):
        a, b = points[k][:2], points[k + 1][:2]
        leave = b - a if sharp[k] else (b - points[k - 1][:2]) / 2
        arrive = b - a if sharp[k + 1] else (points[k + 2][:2] - a) / 2
        for u in (0.25, 0.5, 0.75, 1.0):
            pressure = (1 - u) * points[k][2] + u * points[k + 1][2]
            line.append(np.append(bezier([a, a + leave / 3, b - arrive / 3, b], u), pressure))
    return line


def bezier(controls, u):
    while len(controls) > 1:
        controls = [(1 - u) * p + u * q for p, q in pairwise(controls)]
    return controls[0]


def placed(lines, radius, hand):
    """Return pieces (start, end), each (x, y, radius) in pixels: up to 20 wide or high, ink in the middle."""
    pieces = [(line[k], line[k + 1]) for line in lines for k in range(len(line) - 1)]
    ends = np.array([vertex for line in lines for vertex in line])[:, :2]
    lengths = np.array([math.hypot(*(b - a)[:2]) for a, b in pieces])
    middles = np.array([(a + b)[:2] / 2 for a, b in pieces])
    scale = (20.0 - 2 * radius - 1.2 * hand.uniform(6)) / np.ptp(ends, axis=0).max()
    centre = (lengths[:, None] * middles).sum(axis=0) / lengths.sum()
    goal = np.array([13.8 + 0.5 * hand.uniform(9), 13.7 + 0.5 * hand.uniform(10)])
    return [
        tuple(np.append(scale * (v[:2] - centre) + goal, radius * v[2]) for v in piece) for piece in pieces
    ]


def inked(pieces, soft):
    """Return the image: each pixel as dark as the piece that darkens it most."""
    y, x = np.mgrid[0:28, 0:28].astype(float)
    darkest = np.zeros((28, 28))
    for a, b in pieces:
        way = (b - a)[:2]
        along = np.clip(((x - a[0]) * way[0] + (y - a[1]) * way[1]) / (way @ way), 0, 1)
        distance = np.hypot(x - a[0] - along * way[0], y - a[1] - along * way[1])
        radius = (1 - along) * a[2] + along * b[2]
        darkest = np.maximum(darkest, np.clip((radius + soft - distance) / (2 * soft), 0, 1))
    return np.floor(255 * darkest + 0.5).astype(np.uint8)
