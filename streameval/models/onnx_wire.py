"""Count what a protobuf message would have its library allocate, before the library sees it.

Knows the wire format (https://protobuf.dev/programming-guides/encoding): tags, lengths, messages in messages. Does not
know what any field means. Two bytes in a file may become an object of some 200 bytes in memory; here they are counted
without making any.
"""

from __future__ import annotations

from typing import Any, Final

from streameval.errors import ModelError

# The largest networks in use take some ten thousand; 250,000 of the largest messages are some 60 MB.
MAX_FIELDS: Final = 250_000
MAX_DEPTH: Final = 32
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def check_fields(data: bytes, message: Any) -> None:
    """Raise ModelError if `data` is not on the wire what `message`, a descriptor, says, or holds too many fields."""
    waiting = [(message, 0, len(data), 0)]
    fields = 0
    while waiting:
        kind, at, stop, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ModelError(f"the ONNX file is nested more than {MAX_DEPTH} messages deep: refused.")
        known = kind.fields_by_number
        while at < stop:
            fields += 1
            if fields > MAX_FIELDS:
                raise ModelError(
                    f"the ONNX file holds more than {MAX_FIELDS} fields, far more than a network needs: refused."
                )
            tag, at = _varint(data, at, stop)
            start, at = _value(data, at, stop, tag & 7)
            field = known.get(tag >> 3)
            inner = None if field is None or tag & 7 != _LENGTH else field.message_type
            if inner is not None and start < at:
                waiting.append((inner, start, at, depth + 1))


def _value(data: bytes, at: int, stop: int, kind: int) -> tuple[int, int]:
    """Return where the value at `at` begins, without its length, and where it ends."""
    start = at
    if kind == _VARINT:
        end = _varint(data, at, stop)[1]
    elif kind == _LENGTH:
        size, start = _varint(data, at, stop)
        end = start + size
    elif kind in (_EIGHT, _FOUR):
        end = at + (8 if kind == _EIGHT else 4)
    else:
        raise ModelError(f"the ONNX file is damaged: a field of kind {kind} at byte {at}.")
    if end > stop:
        raise ModelError(f"the ONNX file is damaged: a field at byte {at} ends after what it lies in.")
    return start, end


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return the number at `at`, and where it ends."""
    number = 0
    for place, byte in enumerate(data[at : min(at + 10, stop)]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise ModelError(f"the ONNX file is damaged: a number at byte {at} does not end.")
