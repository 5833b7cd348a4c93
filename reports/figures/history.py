"""A metric over runs: a line per series with its intervals, the mean of every stretch, a mark where it changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go

from ...metrics.directions import better
from ..history import Change, Point, Series
from ..numbers import interval, number
from ..policy import DENOISING_ERROR
from . import style

MOST_TICKS = 12
"""Runs that are named on the axis; all are where one points at."""
APART = 0.07
"""Of the way from run to run: models stand so far beside one another, that no interval hides another."""


def quantity(metric: str) -> str:
    """What the numbers are, with their unit."""
    return "squared error in the image (x₀)" if metric == DENOISING_ERROR else metric


def history(
    series: Sequence[Series], theme: style.Theme = "light", colours: Mapping[str, str] | None = None, chosen: str = ""
) -> go.Figure:
    """Runs from left to right, oldest first, evenly spaced, with 95% intervals; each series of a model has its dash.

    colours: of models, as in the other figures; by their order where there are none. chosen: a run to make larger.
    """
    if not series:
        return style.empty("No run has this metric.", theme)
    runs = {point.run: point for one in sorted(series, key=lambda one: one.points[0].created) for point in one.points}
    ordered = sorted(runs.values(), key=lambda point: (point.created, point.run))
    places = {point.run: place for place, point in enumerate(ordered)}
    own = style.model_colours([one.model for one in series], theme)
    known = colours if colours and set(own) <= set(colours) else own
    figure, drawn = go.Figure(), Counter[str]()
    for one in series:
        look = known[one.model], style.symbol(one.model, known), style.DASHES[drawn[one.model] % len(style.DASHES)]
        title = one.model if len(own) == len(series) else one.title
        beside = min(APART, 0.8 / len(own)) * (list(own).index(one.model) - (len(own) - 1) / 2)
        _line(figure, one, title, {run: place + beside for run, place in places.items()}, look, chosen)
        drawn[one.model] += 1
        for change in one.changes:
            _mark(figure, one, change, places, known[one.model] if len(own) > 1 else style.ink(theme))
    named = _names(ordered)
    shown = ordered[:: -(-len(ordered) // MOST_TICKS)]
    figure.update_xaxes(
        tickvals=[places[point.run] for point in shown], ticktext=[named[point.run] for point in shown],
        showgrid=False, range=[-0.5, len(ordered) - 0.5],
    )  # fmt: skip
    mean = "denoising error, mean over noise levels:<br>" if series[0].metric == DENOISING_ERROR else ""
    way = style.DIRECTIONS[better(series[0].metric)]
    title = f"{mean}{style.text(quantity(series[0].metric))}<br><span style='font-size:11px'>{way}</span>"
    figure.update_yaxes(title={"text": title})
    return figure.update_layout(template=style.template(theme), height=400, showlegend=len(series) > 1)


def _line(
    figure: go.Figure, one: Series, title: str, places: dict[str, float], look: tuple[str, str, str], chosen: str
) -> None:
    """look: colour, symbol and dash."""
    points, (colour, symbol, dash) = one.points, look
    figure.add_scatter(
        x=[places[point.run] for point in points], y=[point.value for point in points], mode="lines+markers",
        name=style.text(title), line={"color": colour, "width": 1, "dash": dash},
        marker={
            "color": colour, "symbol": symbol, "size": [14 if point.run == chosen else 8 for point in points],
            "line": {"width": 0},
        },
        error_y={
            "type": "data", "symmetric": False, "array": [point.high - point.value for point in points],
            "arrayminus": [point.value - point.low for point in points], "thickness": 1, "width": 0,
            "color": style.rgba(colour, 0.4),
        },
        customdata=[[point.run] for point in points],
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


def _mark(figure: go.Figure, one: Series, change: Change, places: dict[str, int], colour: str) -> None:
    """A line between the last run before a change and the first one after it."""
    last, first = places[one.points[change.index - 1].run], places[one.points[change.index].run]
    figure.add_vline(
        x=(last + first) / 2, line={"color": colour, "dash": "dot", "width": 1},
        annotation={
            "text": f"{number(change.before)} → {number(change.after)}", "font": {"size": 11, "color": colour},
        },
    )  # fmt: skip


def _names(points: Sequence[Point]) -> dict[str, str]:
    """Each run's commit, with its sign of local changes, where commits tell the runs apart; else its day, or minute."""
    if len({point.commit for point in points} - {""}) == len(points):
        said = [point.commit[:7] + point.commit[40:] for point in points]
    else:
        days = [point.created[:10] for point in points]
        said = days if len(set(days)) == len(points) else [point.created[:16].replace("T", " ") for point in points]
    return {point.run: style.text(words).replace(" ", "<br>") for point, words in zip(points, said, strict=True)}
