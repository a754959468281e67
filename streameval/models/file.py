"""What goes into a reader of a weight format, and what comes out of it. Knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from streameval.frozen import frozen
from streameval.layers.layer import Layer, Shape


@frozen
class ModelFile:
    """A file of weights.

    data  its content
    path  where it lies, for formats of several files; None for an object in a store
    """

    data: bytes = field(repr=False)
    path: str | None = None


@frozen
class Choices:
    """What the caller says of a network, where its file does not.

    activation  of the hidden layers: one name, or one per layer
    dropout     "book": layers of dropout multiply by 0.5, as in the book's code; "identity": they do nothing
    """

    activation: str | Sequence[str] | None = None
    dropout: str | None = None


@frozen
class Loaded:
    """What a reader found.

    layers   one after another
    notes    one sentence for each decision that was taken, for people
    shape    of a row, None where the first layer says it
    guessed  what was assumed without the file or the caller saying so, None if nothing was
    dropout  how layers of dropout were read, None where the file has none that could be read in two ways
    files    other files that were read as well
    softmax  whether the graph ends in a softmax, which is no layer
    raw      whether it takes bytes: pixels as they are stored
    labels   what it calls its classes, where that are other numbers than 0, 1, 2, … in their order
    """

    layers: Sequence[Layer]
    notes: Sequence[str]
    shape: Shape | None = None
    guessed: str | None = None
    dropout: str | None = None
    files: Sequence[str] = ()
    softmax: bool = False
    raw: bool = False
    labels: tuple[int, ...] = ()
