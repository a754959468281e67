"""The worst rows as pictures: which image, which classes, and characters that show its pixels."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from command_line import in_process

import streameval as se
from streameval.evaluation.worst import worst_rows
from streameval.reports import html, pages, pictures
from streameval.reports.png import encode
from streameval.reports.terminal import TextStyle, visible


def evaluated(
    shape: tuple[int, ...], dtype: type = np.uint8
) -> tuple[se.Report, np.ndarray, np.ndarray, se.Mlp]:
    random = np.random.default_rng(5)
    x = random.integers(0, 256, (60, *shape)).astype(dtype)
    if dtype == np.float32:
        x /= 255
    t = random.integers(0, 3, 60)
    size = int(np.prod(shape))
    model = se.Mlp([se.Layer(random.normal(size=(size, 3)), random.normal(size=3), "identity")])
    return se.evaluate(model, (x, t)), x, t, model


@pytest.mark.parametrize("shape", [(6, 5), (1, 6, 5), (6, 5, 1), (3, 6, 5), (6, 5, 3)])
def test_a_worst_row_comes_with_its_image_its_class_and_what_it_was_taken_for(shape):
    report, x, t, model = evaluated(shape)

    found = worst_rows(report)

    assert [(one.loss, one.row) for one in found] == [*report.state.sums.worst]
    guesses = se.predict(model, x.reshape(60, -1)).argmax(axis=1)
    for one in found:
        assert (one.label, one.predicted) == (t[one.row], guesses[one.row])
        image = x[one.row].transpose(1, 2, 0) if shape[0] == 3 else x[one.row]
        assert np.array_equal(one.image, image.reshape((6, 5, 3) if 3 in shape else (6, 5)))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((30,), np.uint8), ((6, 5), np.float32), ((2, 6, 5), np.uint8), ((300, 2), np.uint8)]
)
def test_rows_that_are_no_small_images_of_bytes_have_classes_and_no_picture(shape, dtype):
    report = evaluated(shape, dtype)[0]

    found = worst_rows(report)

    assert found
    assert all(one.image is None and one.predicted is not None for one in found)
    assert pictures.worst(found, TextStyle()) == []


def test_flat_rows_are_images_where_the_model_says_so():
    random = np.random.default_rng(6)
    x, t = random.integers(0, 256, (40, 30), dtype=np.uint8), random.integers(0, 3, 40)
    numbers = [random.normal(size=size).astype(np.float32) for size in ((2, 1, 2, 2), (2,), (40, 3), (3,))]
    model = se.Network([se.Conv2d(*numbers[:2]), se.Layer(*numbers[2:], "identity")], shape=(1, 6, 5))

    found = worst_rows(se.evaluate(model, (x, t)))

    assert all(np.array_equal(one.image, x[one.row].reshape(6, 5)) for one in found)


IMAGE = np.array([[0, 255, 255], [255, 0, 255], [255, 0, 0]], np.uint8)


def test_halves_of_a_character_are_two_pixels():
    assert pictures.blocks(IMAGE, TextStyle()) == ["▄▀█", "▀  "]
    assert pictures.blocks(IMAGE, TextStyle(unicode=False)) == ["==@", "=  "]


def test_in_colour_each_pixel_has_its_grey():
    style = TextStyle(colour=True)

    said = style.finish(pictures.blocks(IMAGE, style))

    black, white = 232, 255
    first = f"\x1b[38;5;{black};48;5;{white}m▀\x1b[0m\x1b[38;5;{white};48;5;{black}m▀\x1b[0m"
    assert said.splitlines()[0] == first + f"\x1b[38;5;{white};48;5;{white}m▀\x1b[0m"


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_pictures_stand_side_by_side_as_far_as_the_window_goes(width, colour):
    found = worst_rows(evaluated((28, 28))[0])

    lines = pictures.worst(found, TextStyle(width, colour))

    assert max(map(visible, lines)) <= width
    across = (width - 2) // 30
    assert len(lines) == -(-len(found) // across) * (14 + 2 + 1) - 1
    assert sum(line.count(" taken for ") for line in lines) == len(found)


def test_a_coloured_image_survives_the_way_through_png():
    image = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype=np.uint8)

    data = encode(image)

    assert struct.unpack(">2I5B", data[16:29]) == (3, 4, 8, 2, 0, 0, 0)
    start = data.index(b"IDAT") + 4
    lines = np.frombuffer(zlib.decompress(data[start : data.index(b"IEND") - 8]), np.uint8).reshape(4, 10)
    assert np.array_equal(lines[:, 1:].reshape(4, 3, 3), image)


def test_the_command_shows_them_when_asked_and_the_page_always(digits_file, network_file):
    report = se.evaluate(se.load_model(network_file), digits_file)
    one = worst_rows(report)[0]

    shown = in_process("evaluate", network_file, digits_file, "--images").stdout
    plain = in_process("evaluate", network_file, digits_file).stdout
    page = html.render(pages.report(report))

    assert f"{one.label} taken for {one.predicted} · " in shown
    assert pictures.blocks(one.image, TextStyle())[6].strip() in shown
    assert " taken for " not in plain
    assert f"{one.label} taken for {one.predicted}" in page
    assert "<th>predicted</th>" in page
