"""Model error beside sampler error on one sigma axis, in one unit, so that areas compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from ..model_or_solver import LARGER, Answer, share
from ..numbers import interval, number
from ..tables import each
from . import style
from .sketch import Sketch

COLUMNS = 2


def model_or_solver(answers: Sequence[Answer], colours: dict[str, str], theme: style.Theme = "light") -> go.Figure:
    """A panel per answer. Filled: the model's proven error; outlined: the sampler's, interval by interval.

    Heights are how far samples are moved per e-fold of sigma, in percent of the data's spread, so areas are how far in
    all. The last interval, which ends at 0, is drawn one e-fold wide. Panels of one sampler setting share their scale.
    """
    if not answers:
        return style.empty("No sampler's steps were measured beside a model's errors.", theme)
    columns = min(COLUMNS, len(answers))
    rows = math.ceil(len(answers) / columns)
    figure = Sketch(
        rows=rows, cols=columns, shared_xaxes=True, horizontal_spacing=0.07,
        vertical_spacing=0.26 / rows, subplot_titles=[style.heading(one.title, _summary(one)) for one in answers],
    )  # fmt: skip
    tops: dict[str, float] = {}
    for index, one in enumerate(answers):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        _model(figure, one, colours[str(one.setting["model"])], place)
        highest = max(_solver(figure, one.intervals, place, theme), 100 * float(one.levels["size"].max()))
        tops[one.steps] = max(tops.get(one.steps, 0.0), highest)
    for index, one in enumerate(answers):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        figure.update_yaxes(range=[0, 1.08 * tops[one.steps] or 1.0], **place)
    _legend(figure, theme)
    sigmas = pd.concat([one.levels["sigma"] for one in answers] + [one.intervals["sigma"] for one in answers])
    low, high = float(sigmas.min()), float(sigmas[sigmas < math.inf].max())
    figure.update_xaxes(**style.log_axis(low, high), range=[math.log10(low / math.e), math.log10(high * 1.08)])
    figure.update_xaxes(title_text="noise level σ", row=rows)
    figure.update_yaxes(ticksuffix="%")
    figure.update_yaxes(title_text="moves samples, of the data's spread<br>per e-fold (factor 2.7) of σ", col=1)
    return figure.figure(template=style.template(theme), height=150 + 260 * rows, margin_t=110, legend_y=1 + 0.2 / rows)


def _summary(one: Answer) -> str:
    return f"{LARGER[one.culprit]}: model at least {share(one.model)}, sampler {share(one.solver)}"


def _model(figure: Sketch, one: Answer, colour: str, place: dict[str, int]) -> None:
    hover = [
        f"<b>the model</b> at σ {number(row.sigma, 2)}<br>{number(100 * row.size, 2)}% per e-fold"
        f"<br>{style.text(row.because) or 'none is proven'}"
        for row in each(one.levels)
    ]
    figure.add_scatter(
        x=one.levels["sigma"], y=100 * one.levels["size"], mode="lines", fill="tozeroy", showlegend=False,
        line={"color": colour, "width": 2}, fillcolor=style.rgba(colour, 0.35), text=hover, hoverinfo="text", **place,
    )  # fmt: skip


def _solver(figure: Sketch, intervals: pd.DataFrame, place: dict[str, int], theme: style.Theme) -> float:
    """Draws it, and gives its height."""
    x: list[float] = []
    y: list[float] = []
    hover: list[str] = []
    for row in each(intervals[intervals["sigma"] < math.inf]):
        end = row.sigma_next or row.sigma / math.e
        height = 100 * row.size / math.log(row.sigma / end)
        told = (
            f"<b>the sampler</b> from σ {number(row.sigma, 2)} to {number(row.sigma_next, 2)}"
            f"<br>{number(100 * row.size, 2)}% {interval(100 * row.low, 100 * row.high, 2)} in this step"
        )
        x, y, hover = [*x, row.sigma, end], [*y, height, height], [*hover, told, told]
    figure.add_scatter(
        x=[x[0], *x, x[-1]], y=[0, *y, 0], mode="lines", showlegend=False,
        line={"color": style.ink(theme), "width": 1.8}, text=["", *hover, ""], hoverinfo="text", **place,
    )  # fmt: skip
    return max(y)


def _legend(figure: Sketch, theme: style.Theme) -> None:
    quiet = style.quiet(theme)
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name="the model's proven error", row=1, col=1, hoverinfo="skip",
        marker={"symbol": "square", "size": 13, "color": style.rgba(quiet, 0.4), "line": {"width": 2, "color": quiet}},
    )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="lines", name="the sampler's, step by step", row=1, col=1, hoverinfo="skip",
        line={"color": style.ink(theme), "width": 1.8},
    )  # fmt: skip
