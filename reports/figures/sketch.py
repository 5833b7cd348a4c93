"""A figure in the making: panels, curves and axes as plain dictionaries, which Plotly reads once, when it is finished.

Plotly's own figure checks and copies itself at every call, and takes ten times as long. The methods are those of its
figures that ours use, with the same arguments, and `make_subplots`'s where a sketch is begun.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go

Axis = Literal["x", "y"]


class Sketch:
    """A figure of rows x cols panels, counted from 1 at the upper left."""

    def __init__(
        self,
        rows: int = 1,
        cols: int = 1,
        horizontal_spacing: float = 0.0,
        vertical_spacing: float = 0.0,
        column_widths: Sequence[float] = (),
        row_heights: Sequence[float] = (),
        shared_xaxes: bool = False,
        shared_yaxes: bool = False,
        subplot_titles: Sequence[str] = (),
    ) -> None:
        """Spacing is a share of the figure; widths and heights, from the left and the top, are relative.

        Shared axes are those of the panels under one another (x, told under the lowest) or beside one another (y, told
        at the left).
        """
        self.rows, self.cols = rows, cols
        self.data: list[dict[str, Any]] = []
        self.layout: dict[str, Any] = {"annotations": [], "shapes": []}
        across = _stretches(column_widths or [1.0] * cols, horizontal_spacing)
        down = [(1 - end, 1 - begin) for begin, end in _stretches(row_heights or [1.0] * rows, vertical_spacing)]
        for number, (row, col) in enumerate(product(range(1, rows + 1), range(1, cols + 1)), start=1):
            x, y = self.axes(row, col)
            self.layout[_named(x)] = {"anchor": y, "domain": across[col - 1]}
            self.layout[_named(y)] = {"anchor": x, "domain": down[row - 1]}
            if shared_xaxes and row < rows:
                self.layout[_named(x)] |= {"matches": self.axes(rows, col)[0], "showticklabels": False}
            if shared_yaxes and col > 1:
                self.layout[_named(y)] |= {"matches": self.axes(row, 1)[1], "showticklabels": False}
            if number <= len(subplot_titles) and subplot_titles[number - 1]:
                self.add_annotation(
                    text=subplot_titles[number - 1], x=sum(across[col - 1]) / 2, y=down[row - 1][1], xref="paper",
                    yref="paper", xanchor="center", yanchor="bottom", showarrow=False, font={"size": 13},
                )  # fmt: skip

    def axes(self, row: int, col: int = 1) -> tuple[str, str]:
        """What the axes of a panel are called in traces, notes and shapes: ("x3", "y3")."""
        number = (row - 1) * self.cols + col
        return (f"x{number}", f"y{number}") if number > 1 else ("x", "y")

    def add_scatter(self, row: int = 1, col: int = 1, **trace: Any) -> None:
        x, y = self.axes(row, col)
        told = {name: _array(value) for name, value in trace.items()}
        self.data.append({"type": "scatter", "xaxis": x, "yaxis": y, **told})

    def add_annotation(self, row: int = 1, col: int = 1, **note: Any) -> None:
        """At a place of a panel's axes, unless `xref` and `yref` say otherwise."""
        x, y = self.axes(row, col)
        self.layout["annotations"].append({"xref": x, "yref": y, **note})

    def add_shape(self, **shape: Any) -> None:
        self.layout["shapes"].append(shape)

    def update_xaxes(self, row: int | None = None, col: int | None = None, **axis: Any) -> None:
        """Of one panel, of a row or column of them, or of all."""
        for place in self._places(row, col):
            self.layout[_named(self.axes(*place)[0])] |= axis

    def update_yaxes(self, row: int | None = None, col: int | None = None, **axis: Any) -> None:
        for place in self._places(row, col):
            self.layout[_named(self.axes(*place)[1])] |= axis

    def shade(self, left: float, right: float, row: int, col: int = 1, **look: Any) -> None:
        """A stretch of the x axis, over the whole height of a panel."""
        x, y = self.axes(row, col)
        ends = {"x0": left, "x1": right, "xref": x, "y0": 0, "y1": 1, "yref": f"{y} domain"}
        self.add_shape(type="rect", layer="below", **ends, **look)

    def across(self, height: float, row: int, col: int = 1, **line: Any) -> None:
        """A line at one height, over the whole width of a panel."""
        x, y = self.axes(row, col)
        self.add_shape(type="line", x0=0, x1=1, xref=f"{x} domain", y0=height, y1=height, yref=y, line=line)

    def down(self, place: float, row: int, col: int = 1, **line: Any) -> None:
        """A line at one place of the x axis, over the whole height of a panel."""
        x, y = self.axes(row, col)
        self.add_shape(type="line", x0=place, x1=place, xref=x, y0=0, y1=1, yref=f"{y} domain", line=line)

    def figure(self, **layout: Any) -> go.Figure:
        """The finished figure, with what else its layout has. Raises ValueError where Plotly knows no such property."""
        return go.Figure({"data": self.data, "layout": {**self.layout, **layout}})

    def _places(self, row: int | None, col: int | None) -> Iterator[tuple[int, int]]:
        rows = [row] if row else range(1, self.rows + 1)
        return product(rows, [col] if col else range(1, self.cols + 1))


def _stretches(sizes: Sequence[float], spacing: float) -> list[tuple[float, float]]:
    """Where each begins and ends between 0 and 1, `spacing` lying between two."""
    unit = (1 - spacing * (len(sizes) - 1)) / sum(sizes)
    ends, at = [], 0.0
    for size in sizes:
        ends.append((at, at + unit * size))
        at += unit * size + spacing
    return ends


def _array(value: Any) -> Any:
    """Columns as arrays: of tables Plotly asks first, by another library, of which kind they are."""
    if isinstance(value, dict):
        return {name: _array(one) for name, one in value.items()}
    return value.to_numpy() if isinstance(value, pd.Series | pd.DataFrame) else value


def _named(axis: str) -> str:
    """What the layout calls an axis: "y2" is its "yaxis2"."""
    return f"{axis[0]}axis{axis[1:]}"
