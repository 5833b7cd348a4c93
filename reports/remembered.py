"""Figures made once: a page that is drawn again, for another choice elsewhere on it, shows the one it had."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import plotly.graph_objects as go

KEPT = 24
"""Figures of one report."""

P = ParamSpec("P")
Owner = TypeVar("Owner")
Method = Callable[Concatenate[Owner, P], go.Figure]


def remembered(method: Method[Owner, P]) -> Method[Owner, P]:
    """A method of an unchanging object whose figures are kept with it, by everything that was asked for; the oldest go.

    What it gives is shared: nobody writes to it.
    """

    @wraps(method)
    def once(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> go.Figure:
        figures: dict[str, go.Figure] = self.__dict__.setdefault("_figures", {})
        asked = f"{method.__name__} {args!r} {sorted(kwargs.items())!r}"
        figure = figures.pop(asked, None) or method(self, *args, **kwargs)
        figures[asked] = figure
        while len(figures) > KEPT:
            figures.pop(next(iter(figures)), None)
        return figure

    return once
