"""JSON read piece by piece: lines of a file, or the items of a long list inside it, each parsed by itself.

Knows JSON and its limits: an item of 64 MiB, numbers of 1,000 digits, Python's own depth of nesting, a name once in an
object. Does not know what the items mean.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from streameval.errors import DataError
from streameval.files import storage_errors
from streameval.json_text import once

MOST_BYTES = 64 << 20
MOST_DIGITS = 1_000
PIECE = 1 << 16
_BLANK: Final = re.compile(r"[ \t\r\n]*")
# A number, or a word such as null, that may go on in the next piece.
_OPEN_END: Final = re.compile(r"[-+.\w]\Z")


def lines(path: str, file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of every line that is not blank. Raises DataError, naming the line."""
    number = 0
    while True:
        with _told(path):
            line = file.readline(MOST_BYTES + 1)
        if not line:
            return
        number += 1
        if len(line) > MOST_BYTES:
            raise DataError(f"{path}, line {number}: over {MOST_BYTES} bytes long, expected one JSON object.")
        if line.strip():
            value = parse(f"{path}, line {number}", line)
            if not isinstance(value, dict):
                raise DataError(
                    f"{path}, line {number}: {type(value).__name__}, expected one JSON object a line: "
                    '{"loss": 0.5, ...}.'
                )
            yield number, value


def parse(where: str, text: bytes | str) -> Any:
    """One JSON value. Raises DataError, naming the place, for what is none, or goes beyond the limits."""
    with _told(where):
        given = text.decode() if isinstance(text, bytes) else text
        # A call for each number takes most of the time: it is left out where no number can be long.
        return (_DECODER if _LONG.search(given) else _QUICK).decode(given)


def items(path: str, file: IO[bytes], key: str | None = None) -> Iterator[Any]:
    """Yield the items of the list that the file is or, in an object, of the list at `key`, one after another.

    Nothing is yielded where the object has no such key. Raises DataError, naming the item.
    """
    text = _Text(path, file)
    first = text.next_character()
    if first == "[" and key is None:
        yield from _list(text)
    elif first == "{" and key is not None:
        yield from _members(text, key)
    else:
        expected = "a list" if key is None else f"an object with {key!r}"
        raise DataError(f"{path}: it begins with {first[:10]!r}, expected {expected} as JSON.")


def _list(text: _Text) -> Iterator[Any]:
    """The items after an opening bracket, up to the closing one."""
    if text.peek() == "]":
        text.next_character()
        return
    number, after = 0, ","
    while after == ",":
        yield text.value(f"item {number}")
        number += 1
        after = text.next_character()
    if after != "]":
        raise text.error(f"{after!r} after item {number - 1}, expected a comma or the end of the list")


def _members(text: _Text, key: str) -> Iterator[Any]:
    if text.peek() == "}":
        return
    after, seen = ",", False
    while after == ",":
        name = text.value("a name")
        if not isinstance(name, str) or text.next_character() != ":":
            raise text.error("no name and colon inside an object")
        if name == key and seen:
            raise text.error(f"the name {name[:40]!r} is there twice in an object")
        seen |= name == key
        if name == key and text.peek() == "[":
            text.next_character()
            yield from _list(text)
        else:
            text.value(f"the value of {name[:40]!r}")
        after = text.next_character()
    if after != "}":
        raise text.error(f"{after!r}, expected a comma or the end of the object")


class _Text:
    """A file's text, as much of it as one value takes."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        import codecs

        self._path, self._file = path, file
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False

    def peek(self) -> str:
        """The next character that is not blank, "" at the end of the file."""
        while True:
            match = _BLANK.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._more(PIECE)

    def next_character(self) -> str:
        """The same, and go on after it."""
        character = self.peek()
        self._at += len(character)
        return character

    def value(self, what: str) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                with _told(f"{self._path}, {what}"):
                    value, end = self._try()
            except _UnfinishedError as error:
                # As much again as there is: each character is parsed twice at most.
                size = len(self._text) - self._at
                if self._ended or size > MOST_BYTES:
                    raise DataError(f"{self._path}, {what}: {error}. Correct the file.") from None
                self._more(max(PIECE, size))
                continue
            self._at = end
            return value

    def error(self, said: str) -> DataError:
        """What is wrong with the file."""
        return DataError(f"{self._path}: {said}. Correct the file, or write it again.")

    def _try(self) -> tuple[Any, int]:
        try:
            value, end = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise _UnfinishedError(f"{error.msg} ({len(self._text) - self._at} characters of it)") from None
        if end == len(self._text) and not self._ended and _OPEN_END.search(self._text):
            raise _UnfinishedError("it does not end")
        return value, end

    def _more(self, size: int) -> None:
        with _told(self._path):
            raw = self._file.read(size)
            self._ended = not raw
            self._text = self._text[self._at :] + self._decode.decode(raw, final=self._ended)
        self._at = 0


class _UnfinishedError(Exception):
    """A value that does not parse, since it is none, or since more of it must be read."""


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


_DECODER: Final = json.JSONDecoder(parse_int=_integer, object_pairs_hook=once)
_QUICK: Final = json.JSONDecoder(object_pairs_hook=once)
_LONG: Final = re.compile(rf"[0-9]{{{MOST_DIGITS + 1}}}")


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn what parsing raises into DataError."""
    try:
        with storage_errors(where):
            yield
    except RecursionError:
        raise DataError(f"{where}: nested too deep to be outputs. Correct the file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 ({error.reason} at byte {error.start}).") from None
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: not usable JSON: {str(error)[:200]}. Correct the file.") from None
