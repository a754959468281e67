"""What an earlier version called otherwise works for a version more, with a DeprecationWarning. Knows names only."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

from streameval.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


def gathered(keyword: str, kind: Callable[..., Any], *earlier: str) -> Callable[[Function], Function]:
    """Let a function whose keywords `earlier` became fields of one value, `keyword`, take them as before."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def taking(*arguments: Any, **named: Any) -> Any:
            moved = {name: named.pop(name) for name in earlier if name in named}
            if moved:
                names = ", ".join(f"{name}=..." for name in moved)
                if keyword in named:
                    raise UsageError(
                        f"{function.__name__}: {names} belong into {keyword}=, which is given too."
                    )
                warnings.warn(
                    f"{function.__name__}({names}): write {keyword}=streameval.{kind.__name__}({names}). The next "
                    "version takes them there alone.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                named[keyword] = kind(**moved)
            return function(*arguments, **named)

        return cast(Function, taking)

    return decorate
