"""Figures and tables made once: a page that is drawn again, for another choice elsewhere on it, shows what it had."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

KEPT = 24
"""Results of one report."""

P = ParamSpec("P")
Owner = TypeVar("Owner")
Result = TypeVar("Result")


def remembered(method: Callable[Concatenate[Owner, P], Result]) -> Callable[Concatenate[Owner, P], Result]:
    """A method of an unchanging object whose results are kept with it, by everything that was asked for; the oldest go.

    What it gives is shared: nobody writes to it.
    """

    @wraps(method)
    def once(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        kept: dict[str, Result] = self.__dict__.setdefault("_kept", {})
        asked = f"{method.__name__} {args!r} {sorted(kwargs.items())!r}"
        result = kept.pop(asked, None)
        if result is None:
            result = method(self, *args, **kwargs)
        kept[asked] = result
        while len(kept) > KEPT:
            kept.pop(next(iter(kept)), None)
        return result

    return once
