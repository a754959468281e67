"""What is said of an ONNX graph that is not read: which program may compute it all the same.

Knows which refusals another program changes nothing about. Does not know what is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from streameval.errors import ModelError

CURE: Final = (
    "If ONNX Runtime takes the file, let it compute: --with onnxruntime (library: "
    "evaluate(onnxruntime.InferenceSession(path), data))."
)


class UnfitError(ModelError):
    """A file that is of no use elsewhere either: damaged, against ONNX's rules, or no trained classifier."""


@contextlib.contextmanager
def cured() -> Iterator[None]:
    """Add the cure to every refusal but that of an unfit file; each is a plain ModelError outside."""
    try:
        yield
    except UnfitError as error:
        raise ModelError(str(error)) from None
    except ModelError as error:
        raise ModelError(f"{str(error).removesuffix('.')}. {CURE}") from None
