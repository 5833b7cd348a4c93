"""A metric over runs: a line per series with its intervals, the mean of every stretch, a mark where it changed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go

from ..history import Change, Point, Series
from ..numbers import interval, number
from . import style


def history(series: Sequence[Series], theme: style.Theme = "light") -> go.Figure:
    """Runs from left to right, oldest first, evenly spaced; colours by series."""
    if not series:
        return style.empty("No run has this metric.", theme)
    runs = {point.run: point for one in sorted(series, key=lambda one: one.points[0].created) for point in one.points}
    ordered = sorted(runs.values(), key=lambda point: (point.created, point.run))
    places = {point.run: place for place, point in enumerate(ordered)}
    figure = go.Figure()
    for one, colour in zip(series, style.model_colours([str(i) for i in range(len(series))]).values(), strict=True):
        _line(figure, one, places, colour)
        for change in one.changes:
            _mark(figure, one, change, places, theme)
    figure.update_xaxes(
        tickvals=list(places.values()), ticktext=[style.text(_name(point)) for point in ordered], showgrid=False
    )
    figure.update_yaxes(title={"text": style.text(series[0].metric)})
    return figure.update_layout(template=style.template(theme), height=420, showlegend=len(series) > 1)


def _line(figure: go.Figure, one: Series, places: dict[str, int], colour: str) -> None:
    points = one.points
    figure.add_scatter(
        x=[places[point.run] for point in points], y=[point.value for point in points], mode="lines+markers",
        name=style.text(one.title), line={"color": colour, "width": 1}, marker={"color": colour, "size": 8},
        error_y={
            "type": "data", "symmetric": False, "array": [point.high - point.value for point in points],
            "arrayminus": [point.value - point.low for point in points], "thickness": 1, "width": 0, "color": colour,
        },
        hoverinfo="text",
        hovertext=[
            f"<b>{style.text(one.title)}</b><br>{number(point.value)} {interval(point.low, point.high)}<br>"
            f"{style.text(point.run)}<br>{style.text(point.created)} {style.text(point.commit[:12])}"
            for point in points
        ],
    )  # fmt: skip
    ends = [0, *(change.index for change in one.changes), len(points)]
    means = [change.before for change in one.changes] + [one.changes[-1].after] if one.changes else []
    for mean, (start, end) in zip(means, pairwise(ends), strict=False):
        stretch = [places[points[start].run], places[points[end - 1].run]]
        figure.add_scatter(
            x=stretch, y=[mean, mean], mode="lines", line={"color": colour, "width": 3}, opacity=0.5,
            hoverinfo="skip", showlegend=False,
        )  # fmt: skip


def _mark(figure: go.Figure, one: Series, change: Change, places: dict[str, int], theme: style.Theme) -> None:
    """A line between the last run before a change and the first one after it."""
    last, first = places[one.points[change.index - 1].run], places[one.points[change.index].run]
    figure.add_vline(
        x=(last + first) / 2, line={"color": style.quiet(theme), "dash": "dot", "width": 1},
        annotation={"text": f"{number(change.before)} → {number(change.after)}", "font": {"size": 11}},
    )  # fmt: skip


def _name(point: Point) -> str:
    """A commit where one is known, with its sign of local changes, else the run."""
    return point.commit[:7] + point.commit[40:] if point.commit else point.run
