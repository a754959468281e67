"""Read a pickle without running anything that is in it.

Knows pickle's opcodes, protocols 0 to 5, as an interpreter of its own: dicts, lists, tuples, strings, numbers, and the
NumPy arrays of `rebuild`. Every other global or opcode ends the reading. Does not know what the arrays are of.

The opcodes: https://docs.python.org/3/library/pickletools.html and PEP 307, 3154, 574.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

from streameval.budget import Budget
from streameval.errors import ModelError
from streameval.models.rebuild import CALLS, GLOBALS, Array, Callee, Dtype, text

# A thousand layers take about 100,000 opcodes; an opcode makes at most one small object, so this also
# bounds what a file of nothing but "new list" can allocate: some 20 MB.
MAX_OPCODES = 250_000
# Memoised text and arrays may be used several times, but not without end.
TIMES = 4
_STOP: Final = object()


def read(data: bytes) -> Any:
    """Return the dict, list, tuple or array that the pickle holds; arrays are views of its own bytes.

    Allocates no more than a small multiple of `len(data)`, runs nothing, recurses nowhere.

    Raises:
        ModelError: a global or opcode that is not on the list, named; or a damaged file.
    """
    return Machine(data).run()


class Machine:
    """The state of one reading: position, stack, marks, memo, and what may still be allocated."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.budget = Budget(len(data), times=TIMES, error=ModelError)

    def run(self) -> Any:
        for _ in range(MAX_OPCODES):
            start = self.at
            code = self.take(1)
            step = self.step(code)
            if step is None:
                name = _REFUSED.get(code, f"opcode {code!r}")
                raise ModelError(
                    f"the pickle asks for {name} at byte {start}, which could run code or is not needed for "
                    "arrays: refused, nothing was run. Save the arrays with numpy.savez or as safetensors."
                )
            try:
                if step(self) is _STOP:
                    return self.finish()
            except ModelError as error:
                raise ModelError(f"the pickle holds at byte {start} {error}") from None
            except (ValueError, KeyError, OverflowError, struct.error) as error:
                raise ModelError(
                    f"no pickle, or a damaged one: {code!r} at byte {start} ({type(error).__name__}). Restore it from "
                    "a good copy, or save the arrays with numpy.savez or as safetensors."
                ) from None
        raise ModelError(f"the pickle takes more than {MAX_OPCODES} steps, far more than a network needs.")

    def step(self, code: bytes) -> Callable[[Machine], object] | None:
        """What an opcode does, None if it is not read."""
        return _STEPS.get(code)

    def callee(self, module: str, name: str) -> Callee:
        """The global of this name, which is only ever compared. Raises ModelError for one that is not on the list."""
        return _callee(module, name)

    def call(self, callee: Callee, args: tuple[Any, ...]) -> Any:
        """What a global on the list makes of its arguments."""
        if callee.name not in CALLS:
            raise ModelError("a call of something that is not one of NumPy's array rebuilders")
        return CALLS[callee.name](args)

    def finish(self) -> Any:
        """Return the one value left, with every array complete."""
        value = self.pop()
        if self.stack or self.marks:
            raise ModelError("a STOP with values left over")
        return value

    # Reading bytes: nothing is sliced before the file was found to be long enough.

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise ModelError(
                f"a promise of {size} bytes at byte {self.at}, but it ends at byte {len(self.data)}. "
                "Is the file whole? Copy it again."
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise ModelError("text without an end of line")
        return self.take(end + 1 - self.at)[:-1]

    # The stack: nothing below the last mark can be reached.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ModelError("a value taken from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise ModelError("a mark that was never set")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    # What the opcodes do.

    def protocol(self) -> None:
        version = self.number("<B")
        if version > 5:
            raise ModelError(f"protocol {version}, expected 0 to 5")

    def integer_line(self) -> None:
        digits = self.line().removesuffix(b"L")
        if digits in (b"00", b"01"):
            return self.push(digits == b"01")
        if re.fullmatch(rb"-?[0-9]{1,20}", digits) is None:
            raise ModelError("an integer that is not written in at most 20 digits")
        return self.push(int(digits))

    def unicode_line(self) -> None:
        self.push(self.line().decode("raw-unicode-escape"))

    def string_line(self) -> None:
        quoted = self.line()
        if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in b"'\"":
            raise ModelError("a string without quotes")
        self.push(_ESCAPE.sub(_unescape, quoted[1:-1]))

    def name_line(self) -> None:
        module, name = self.line(), self.line()
        self.push(self.callee(module.decode("latin-1"), name.decode("latin-1")))

    def name_from_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise ModelError("a global whose name is not text")
        self.push(self.callee(module, name))

    def reduce(self) -> None:
        args, callee = self.pop(), self.pop()
        if type(callee) is not Callee or type(args) is not tuple:
            raise ModelError("a call of something that is not one of NumPy's array rebuilders")
        if callee.name == "_codecs encode" and args and type(args[0]) is str:
            self.budget.spend(len(args[0]), "the same text again and again")
        if callee.name == "numpy dtype" and args and type(args[0]) is bytes:
            self.budget.spend(len(args[0]), "the same text again and again")
        self.push(self.call(callee, args))

    def build(self) -> None:
        state, target = self.pop(), self.top()
        if not isinstance(target, (Array, Dtype)):
            raise ModelError("a state for something that is neither an array nor a dtype")
        target.build(state)

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def put_line(self) -> None:
        self.put(int(self.line()[:20]))

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    def get_line(self) -> None:
        self.get(int(self.line()[:20]))

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise ModelError("an item appended to something that is not a list")
        target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        self.into(self.top(), values)

    def new_dict(self) -> None:
        target: dict[Any, Any] = {}
        self.into(target, self.since_mark())
        self.push(target)

    def into(self, target: Any, values: list[Any]) -> None:
        """Store key, value, key, value… Keys are text or numbers: hashing a deep tuple would recurse."""
        if type(target) is not dict or len(values) % 2:
            raise ModelError("items set on something that is not a dict, or a key without a value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) is bytes:  # it is decoded each time
                self.budget.spend(len(key), "the same key again and again")
            name = key if type(key) is int else text(key)
            if name is None:
                raise ModelError("a dict key that is neither text nor a number")
            target[name] = value

    def small_tuple(self, size: int) -> None:
        values = [self.pop() for _ in range(size)]
        self.push(tuple(reversed(values)))

    def frame(self) -> None:
        size = self.number("<Q")
        if size > len(self.data) - self.at:
            raise ModelError(f"a frame of {size} bytes, but {len(self.data) - self.at} are left")


def _callee(module: str, name: str) -> Callee:
    full = f"{module} {name}"
    if full not in GLOBALS:
        shown = f"{module[:60]}.{name[:60]}"
        raise ModelError(
            f"the global {shown!r}: refused, nothing was run. Only NumPy arrays in dicts, lists and tuples "
            "are read. Save the arrays with numpy.savez or as safetensors."
        )
    return Callee(full)


_ESCAPE = re.compile(rb"\\(?:x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def _unescape(match: re.Match[bytes]) -> bytes:
    """Undo one escape of Python 2's repr of a byte string, which writes no others than these."""
    escape = match[0][1:]
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _LETTERS[escape]


# One row per opcode, in the order of pickletools. What is not here or in _REFUSED does not exist.
_STEPS: dict[bytes, Callable[[Machine], object]] = {
    b"\x80": Machine.protocol,
    b"\x95": Machine.frame,
    b"I": Machine.integer_line,
    b"L": Machine.integer_line,
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    b"S": Machine.string_line,
    b"T": lambda m: m.push(m.take(m.number("<i"))),
    b"U": lambda m: m.push(m.take(m.number("<B"))),
    b"B": lambda m: m.push(m.take(m.number("<I"))),
    b"C": lambda m: m.push(m.take(m.number("<B"))),
    b"\x8e": lambda m: m.push(m.take(m.number("<Q"))),
    b"\x96": lambda m: m.push(m.take(m.number("<Q"))),  # a bytearray: nothing here would change it
    b"\x98": lambda m: None,  # "make it read-only": it is
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"V": Machine.unicode_line,
    b"X": lambda m: m.push(m.take(m.number("<I")).decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m.push(m.take(m.number("<B")).decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m.push(m.take(m.number("<Q")).decode("utf-8", "surrogatepass")),
    b"F": lambda m: m.push(float(m.line()[:400])),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"l": lambda m: m.push(m.since_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.small_tuple(1),
    b"\x86": lambda m: m.small_tuple(2),
    b"\x87": lambda m: m.small_tuple(3),
    b"}": lambda m: m.push({}),
    b"d": Machine.new_dict,
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"0": lambda m: m.pop(),
    b"1": Machine.since_mark,
    b"2": lambda m: m.push(m.top()),
    b"(": lambda m: m.marks.append(len(m.stack)),
    b"g": Machine.get_line,
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    b"p": Machine.put_line,
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"c": Machine.name_line,
    b"\x93": Machine.name_from_stack,
    b"R": Machine.reduce,
    b"b": Machine.build,
    b".": lambda m: _STOP,
}

_REFUSED = {
    b"i": "INST (making an object)",
    b"o": "OBJ (making an object)",
    b"\x81": "NEWOBJ (making an object)",
    b"\x92": "NEWOBJ_EX (making an object)",
    b"P": "PERSID (an object outside the file)",
    b"Q": "BINPERSID (an object outside the file)",
    b"\x82": "EXT1 (a registered global)",
    b"\x83": "EXT2 (a registered global)",
    b"\x84": "EXT4 (a registered global)",
    b"\x97": "NEXT_BUFFER (memory outside the file)",
    b"\x8b": "LONG4 (a number of more than 255 bytes)",
    b"\x8f": "EMPTY_SET (a set)",
    b"\x90": "ADDITEMS (a set)",
    b"\x91": "FROZENSET (a set)",
}
