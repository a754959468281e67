"""Images as PNG or JPEG bytes, as arrays of pixels.

Knows Pillow, which is asked for these two formats alone. Does not know where the bytes are from.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streameval.errors import DataError, UsageError
from streameval.files import storage_errors
from streameval.tables.values import error

FORMATS: Final = ("PNG", "JPEG")
STARTS: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# Pixels of one image: more is no image of a data set, but a size that lies.
MOST_PIXELS: Final = 1 << 26
# Bytes of an encoded one.
MOST_BYTES: Final = 256 << 20
# Pillow's modes of eight bits a number; truth values (mode 1) become 0 and 255.
MODES: Final = ("L", "RGB", "1")
AS_RGB: Final = "Convert all images to one mode first: Image.convert('RGB'), or 'L' for grey."


def pixels(where: str, values: Any, first: int, expected: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """Encoded images as (n, height, width) of grey, or (n, 3, height, width) of red, green, blue.

    values    bytes, objects with the field `bytes` as Hugging Face writes them, or the `Path` of a file
    expected  the shape of the rows before, if there are any

    Raises DataError, naming the row, for missing, damaged and unlike images; UsageError without Pillow.
    """
    rows = values if isinstance(values, list) else _listed(values)
    out: NDArray[np.uint8] | None = None
    column = where
    for k, value in enumerate(rows):
        where = str(value) if isinstance(value, Path) else column
        image = _opened(where, _bytes(where, value, first + k), first + k)
        # The size stands in the header: nothing is decoded of an image that is unlike.
        expected = expected or _shape(image)
        if _shape(image) != expected:
            mode = "L" if len(expected) == 2 else "RGB"
            raise error(
                where, first + k, f"an image of {_said(image)}",
                f"{expected[-1]} x {expected[-2]} pixels, mode {mode}, as in the rows before",
                "Bring all images to one size and mode first.",
            )  # fmt: skip
        if out is None:
            out = np.empty((len(rows), *expected), np.uint8)
        out[k] = _decoded(where, image, first + k)
    return np.empty((0, 1, 1), np.uint8) if out is None else out


def _listed(array: Any) -> list[Any]:
    """The bytes of a pyarrow array, or of the field `bytes` of its objects; the path beside them may be any text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return list((pc.struct_field(array, "bytes") if pa.types.is_struct(array.type) else array).to_pylist())


def is_encoded(start: bytes) -> bool:
    """Whether bytes begin as an image does that is read here."""
    return start.startswith(STARTS)


def _bytes(where: str, value: Any, row: int) -> bytes:
    if isinstance(value, Path):
        # A reader of folders gave it: no file of a data set names another.
        with storage_errors(value):
            value = value.read_bytes() if value.stat().st_size <= MOST_BYTES else b""
    if isinstance(value, dict):
        value = value.get("bytes")
    if value is None:
        raise error(
            where, row, "no image (null)", "the bytes of an image",
            "A table that only names files is not followed: write the images into it (datasets' embed_table_storage), "
            "or leave the row out.",
        )  # fmt: skip
    if not isinstance(value, bytes) or not is_encoded(value[:8]):
        shown = repr(value[:8]) if isinstance(value, bytes) else type(value).__name__
        raise error(
            where, row, f"bytes that begin with {shown}", "a PNG or JPEG image", "Name another column, or write PNG."
        )  # fmt: skip
    return value


def _opened(where: str, content: bytes, row: int) -> Any:
    """The image, its header read."""
    Image = _pillow()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as problem:
        raise _damaged(where, row, problem) from None
    if image.size[0] * image.size[1] > MOST_PIXELS or 0 in image.size:
        raise error(
            where, row, f"an image of {_said(image)}", f"at most {MOST_PIXELS} pixels", "Write smaller ones."
        )
    if image.mode not in MODES:
        raise error(
            where, row, f"an image of mode {image.mode}", "grey (L) or red, green, blue (RGB)", AS_RGB
        )
    return image


def _decoded(where: str, image: Any, row: int) -> NDArray[np.uint8]:
    try:
        array = np.asarray(image.convert("L") if image.mode == "1" else image)
    except (OSError, ValueError, SyntaxError, EOFError) as problem:
        raise _damaged(where, row, problem) from None
    # Channels first, as torch and ONNX have them.
    return array.transpose(2, 0, 1) if array.ndim == 3 else array


def _shape(image: Any) -> tuple[int, ...]:
    sides = (image.size[1], image.size[0])
    return (3, *sides) if image.mode == "RGB" else sides


def _said(image: Any) -> str:
    return f"{image.size[0]} x {image.size[1]} pixels, mode {image.mode}"


def _damaged(where: str, row: int, problem: BaseException) -> DataError:
    # Pillow names what it was given, which is no file here.
    said = str(problem).partition(" <_io.")[0][:120]
    return error(where, row, f"a damaged image ({said})", "a whole one", "Restore it, or leave the row out.")


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise UsageError(
            "Images are decoded by Pillow, which is not installed. Install it: pip install 'streameval[images]'"
        ) from None
    return Image
