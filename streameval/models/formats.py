"""Which weight formats there are, how their files begin and end, and what is often taken for one of them.

Knows names, first bytes and endings. Does not know what is inside any of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class WeightFormat(NamedTuple):
    """How files of a format are told.

    endings  of their names, with the dot, in small letters
    magic    bytes that they have at `at`, one of several; none if only the ending tells
    """

    endings: tuple[str, ...]
    magic: tuple[bytes, ...] = ()
    at: int = 0


# By the module of this package that reads it, with `load_layers(file, choices)`. By content they are tried from
# the last to the first: a safetensors file begins with a length, which may look like any other's first bytes.
FORMATS: Final = {
    "pickle": WeightFormat((".pkl", ".pickle"), tuple(bytes([0x80, protocol]) for protocol in range(6))),
    "npz": WeightFormat((".npz", ".pt", ".pth"), (b"PK\x03\x04", b"PK\x05\x06")),
    "safetensors": WeightFormat((".safetensors",), (b"\0\0\0\0{",), at=4),
    "onnx": WeightFormat((".onnx",)),
}

# Files that are not weights, or not readable ones, by their first bytes: what to do instead.
FOREIGN_MAGIC: Final = {
    b"version https://git-lfs": "a Git LFS pointer, not the weights. Fetch them: git lfs pull",
    b"\x1f\x8b": "compressed with gzip. Unpack it: gunzip",
    b"\x89HDF": "an HDF5 file (Keras). Save the weights with numpy.savez: W1, b1, W2, b2, …",
    b"ARROW1": "an Arrow file: data, not a network. Is the order MODEL DATA?",
    b"\x00\x00\x08": "an IDX file: data, not a network. Is the order MODEL DATA?",
    b'{"schema": "streameval/': "a result of streameval, no network. Of verify, is the order REPORT.json MODEL DATA?",
    b"\x93NUMPY": "a single .npy array. Save weights and biases together with numpy.savez: W1, b1, … Of saved outputs, "
    "save both, numpy.savez(path, z=logits, t=labels), and give this file alone: --logits z --label-column t",
}


def by_content(head: bytes) -> str | None:
    """Return the format of a file that begins with `head`, at least 9 bytes unless the file is shorter, or None."""
    for name, form in reversed(FORMATS.items()):
        if head.startswith(form.magic, form.at):
            return name
    return None


def by_ending(suffix: str) -> str | None:
    """Return the format whose files' names end so, in small or large letters, or None."""
    return next((name for name, form in FORMATS.items() if suffix.lower() in form.endings), None)
