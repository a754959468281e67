"""Which columns of a table are features, which one the target. Knows names; reads nothing."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from streameval.errors import UsageError
from streameval.frozen import frozen
from streameval.tables.table import Table, listed

# Names that mean something without being asked for, in any case.
_SETS: Final = ("", "_train", "_test", "_val", "_valid")
TARGETS: Final = frozenset(
    f"{name}{one}" for name in ("label", "labels", "target", "targets", "y", "t", "class") for one in _SETS
)
FEATURES: Final = frozenset(
    f"{name}{one}"
    for name in ("image", "images", "img", "pixel_values", "features", "x", "data", "pixels")
    for one in _SETS
)
# One column a pixel, as Kaggle's (pixel0, pixel1, ...) and OpenML's (1x1, 1x2, ...) MNIST have it.
PIXEL: Final = re.compile(r"(?:pixel|px)_?\d+|\d+x\d+", re.IGNORECASE)
# The numbers in a column's name; what is longer is no place in a row.
_NUMBERS: Final = re.compile(r"\d{1,18}")
# What only numbers the rows.
ROW_NUMBERS: Final = ("", "id", "idx", "index", "row", "row_id", "unnamed: 0", "__index_level_0__")

WORDS: Final = {
    "features": "features= (--features)",
    "target": "target= (--target)",
    "image": "image= (--image)",
}

Names = str | Sequence[str] | None


@frozen
class Columns:
    """What was asked for, None where names decide.

    features  names or patterns ("pixel*"); in one text with commas between
    target    the column of class numbers, or of lists of weights; several columns of weights
    image     the column of encoded images, or of arrays, in place of features
    """

    features: Names = None
    target: Names = None
    image: str | None = None

    def __post_init__(self) -> None:
        for name in ("features", "target"):
            given = getattr(self, name)
            if given is not None and (not given or not all(isinstance(one, str) for one in given)):
                raise UsageError(f"{name}: {given!r}, expected the names of one or more columns.")
        if self.image is not None and not isinstance(self.image, str):
            raise UsageError(f"image: {self.image!r}, expected the name of a column.")
        if self.image is not None and self.features is not None:
            raise UsageError(
                f"{WORDS['image']} and {WORDS['features']} were given: expected one of them. Leave one out."
            )

    @property
    def given(self) -> dict[str, Names]:
        """What was asked for, by name."""
        all_of: dict[str, Names] = {
            "features": self.features,
            "target": self.target,
            "image": self.image,
        }
        return {name: value for name, value in all_of.items() if value is not None}


@frozen
class Roles:
    """What is read of a table.

    features, target   columns
    guessed            what of it nobody named
    """

    features: tuple[str, ...]
    target: tuple[str, ...]
    guessed: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """All columns, each once."""
        return tuple(dict.fromkeys((*self.features, *self.target)))

    def said(self) -> str:
        """What was taken as what, for a message; nothing where all was named."""
        shown = {
            "features": f"features {_span(self.features)}",
            "target": f"target {_span(self.target)}",
        }
        return ", ".join(shown[one] for one in self.guessed)


def choose(table: Table, asked: Columns) -> Roles:
    """What is read of a table where this was asked for. Raises UsageError, listing what there is."""
    target = _target(table, asked)
    features, guessed = _features(table, asked, target)
    both = [name for name in features if name in target]
    if both:
        raise UsageError(
            f"{table.name}: column {both[0]!r} is asked for as feature and as target: name another one."
        )
    for name in features:
        _check(table, name, WORDS["image" if asked.image else "features"], ("number", "list", "image"))
    if len(features) > 1:
        images = [name for name in features if table.columns[name].what == "image"]
        if images:
            raise UsageError(
                f"{table.name}: column {images[0]!r} holds images, and is no feature beside others: name it alone, "
                f"{WORDS['image']}."
            )
    for name in target:
        _check(table, name, WORDS["target"], ("number",) if len(target) > 1 else ("number", "list"))
    said = ("features",) * guessed + ("target",) * (asked.target is None)
    return Roles(features, target, said)


def _target(table: Table, asked: Columns) -> tuple[str, ...]:
    if asked.target is not None:
        return tuple(_named(table, asked.target, "target", ()))
    found = [name for name in table.columns if name.lower() in TARGETS]
    if len(found) != 1:
        several = (
            f"{' and '.join(map(repr, found[:4]))}: which one is it"
            if found
            else "none of these is known as one"
        )
        raise UsageError(
            f"{table.name}: which column is the target, the number of each row's class? Its columns: "
            f"{listed(table.columns)}; {several}. Name it: {WORDS['target']}.{_swapped(table)}"
        )
    return (found[0],)


def _features(table: Table, asked: Columns, target: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The columns of features, and whether they were guessed."""
    if asked.image is not None:
        return tuple(_named(table, (asked.image,), "image", target)), False
    if asked.features is not None:
        return tuple(_named(table, asked.features, "features", target)), False
    others = {name: kind for name, kind in table.columns.items() if name not in target}
    wide = [name for name, kind in others.items() if kind.what in ("list", "image")]
    known = [name for name in wide if name.lower() in FEATURES] or wide
    pixels = tuple(name for name in others if PIXEL.fullmatch(name))
    if len(known) == 1:
        return (known[0],), True
    if not known and pixels:
        return _by_number(pixels), True
    numbers = all(kind.what == "number" for kind in others.values())
    odd = [name for name in others if name.lower() in ROW_NUMBERS or name.lower() in TARGETS]
    if known or not others or not numbers or odd:
        why = (
            f"{odd[0]!r} looks like none" if odd and numbers else "it is not clear from their names and types"
        )
        raise UsageError(
            f"{table.name}: which columns are features? Beside the target {target[0]!r} there are "
            f"{listed(others)}; {why}. Name them: {WORDS['features']}, with commas between or as a pattern "
            f"('f*'); or a column of images, {WORDS['image']}.{_swapped(table)}"
        )
    return _by_number(tuple(others)), True


def _by_number(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that differ in their numbers alone, in the order of these (pixel2 before pixel10); others as they are."""
    numbers = {name: tuple(map(int, _NUMBERS.findall(name))) for name in names}
    alike = len({_NUMBERS.sub("0", name) for name in names}) == 1
    if not alike or len(set(numbers.values())) < len(names):
        return names
    return tuple(sorted(names, key=numbers.__getitem__))


def _named(table: Table, names: Names, role: str, taken: tuple[str, ...]) -> Iterator[str]:
    """The columns that names and patterns mean, each once; patterns leave out what is `taken`.

    Names stay in the order given; what a pattern means is in the order of its numbers.
    """
    if isinstance(names, str):
        names = (names,) if names in table.columns else tuple(one.strip() for one in names.split(","))
    seen: set[str] = set()
    for name in names or ():
        found = (name,) if name in table.columns else matching(table.columns, name, taken)
        if not found:
            raise UsageError(
                f"{table.name}: no column {name!r} for {WORDS[role]}. Its columns: {listed(table.columns)}."
            )
        for one in found:
            if one not in seen:
                seen.add(one)
                yield one


def matching(columns: Iterable[str], pattern: str, taken: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that a pattern ("pixel*") means, but for those `taken`; none where it is no pattern."""
    if not set(pattern) & set("*?["):
        return ()
    return _by_number(
        tuple(name for name in columns if name not in taken and fnmatch.fnmatchcase(name, pattern))
    )


def _check(table: Table, name: str, role: str, expected: tuple[str, ...]) -> None:
    kind = table.columns[name]
    if kind.what not in expected:
        cure = (
            " Make numbers of the classes first: of a frame, df[name].astype('category').cat.codes; of an array, "
            "np.unique(array, return_inverse=True)[1]."
            if role == WORDS["target"] and kind.what == "text"
            else ""
        )
        raise UsageError(
            f"{table.name}: column {name!r} is of type {kind.type}, expected numbers for {role}."
            f"{cure or ' Name others.'}"
        )


def _swapped(table: Table) -> str:
    return " Or is it a file of weights? The order is MODEL DATA." if table.format == "a .npz file" else ""


def _span(names: tuple[str, ...]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{names[0]!r} to {names[-1]!r} ({len(names)} columns)"


def columns_of(features: Any = None, target: Any = None, image: Any = None) -> Columns:
    """What was asked for. Raises UsageError for what names no columns."""
    # Frames may call their columns 0, 1, 2: as a table, they have these as text.
    features, target = (tuple(map(str, one)) if isinstance(one, list) else one for one in (features, target))
    return Columns(features, target, image)
