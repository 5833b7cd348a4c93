"""Which model is worse, and where: a row for each candidate, a cell for each noise level, coloured by its verdict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ..compare import Comparison
from ..numbers import number, percent
from ..tables import each
from . import style

KINDS = {"worse": ("#D55E00", "▲"), "better": ("#009E73", "▼"), "unclear": ("#E69F00", "?"), "same": ("#9aa4af", "")}
"""Colour and sign. Unclear: neither worse nor shown to be within the margin."""
STRENGTH = {"worse": 0.9, "better": 0.75, "unclear": 0.35, "same": 0.25}


def where(comparisons: Sequence[Comparison], theme: style.Theme = "light") -> go.Figure:
    """The verdicts on the denoising error, from the least noise to the most. Empty where no level was compared."""
    shown = [one for one in comparisons if len(one.levels)]
    if not shown:
        return style.empty("No noise level was compared.", theme)
    sigmas = sorted({float(sigma) for one in shown for sigma in one.levels["sigma"]})
    kinds, names = list(KINDS), [style.text(one.candidate) for one in shown]
    cells = np.full((len(shown), len(sigmas)), np.nan)
    signs = np.full(cells.shape, "", object)
    hover: list[str] = []
    targets: list[list[object]] = []
    places: list[tuple[int, int]] = []
    for row, one in enumerate(shown):
        for level in each(one.levels):
            column, kind = sigmas.index(float(level.sigma)), kind_of(level.change, level.verdict)
            cells[row, column], signs[row, column] = kinds.index(kind), KINDS[kind][1]
            targets.append([one.candidate, int(level.level)])
            places.append((column, row))
            hover.append(
                f"<b>{style.text(one.candidate)}</b> at σ {number(level.sigma)}: {kind}<br>{percent(level.ratio)} "
                f"[{percent(level.band_low)}, {percent(level.band_high)}] against {style.text(one.baseline)}"
            )
    last = len(kinds) - 1
    scale = [
        [end, style.rgba(KINDS[kind][0], STRENGTH[kind])]
        for place, kind in enumerate(kinds)
        for end in (place / len(kinds), (place + 1) / len(kinds))
    ]
    figure = go.Figure(
        go.Heatmap(
            z=cells, x=list(range(len(sigmas))), y=names, text=signs,
            texttemplate="%{text}", textfont={"color": style.ink(theme)}, hoverinfo="skip",
            zmin=-0.5, zmax=last + 0.5, colorscale=scale, showscale=False,
            xgap=2, ygap=4,
        )
    )  # fmt: skip
    figure.add_scatter(  # a heatmap's cells can be hovered over, but not chosen
        x=[place[0] for place in places], y=[names[place[1]] for place in places], mode="markers",
        marker={"size": 30, "symbol": "square", "opacity": 0, "color": style.ground(theme)},
        customdata=targets, hovertext=hover, hoverinfo="text",
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}}, showlegend=False,
    )  # fmt: skip
    ticks = _ticks(shown, sigmas)
    lines = 1 + max(text.count("<br>") for text in ticks.values())
    figure.update_xaxes(
        tickvals=list(ticks), ticktext=list(ticks.values()), tickangle=0, showgrid=False, tickfont_size=11,
        title={"text": "noise level σ", "standoff": 4}, range=[-0.5, len(sigmas) - 0.5],
    )  # fmt: skip
    figure.update_yaxes(range=[len(shown) - 0.5, -0.5], showgrid=False)
    below = 42 + 15 * lines
    return figure.update_layout(
        template=style.template(theme), height=40 + below + 34 * len(shown), margin={"t": 8, "b": below, "r": 8}
    )


def _ticks(shown: Sequence[Comparison], sigmas: Sequence[float], most: int = 12) -> dict[int, str]:
    """Columns with a number under them: each model's worst one, bold, the ends of worse bands, both ends, and every
    so many. Neighbours stand on different lines, so that every number has the room of several columns.
    """
    room = -(-len(sigmas) // most)
    bands = [band for one in shown for band in one.bands if band.ratio > 1]
    worse = [one.levels[one.levels["change"] == "worse"] for one in shown]
    worst = {_nearest(sigmas, float(rows.nlargest(1, "ratio")["sigma"].iloc[0])) for rows in worse if len(rows)}
    ends = {_nearest(sigmas, end) for band in bands for end in (band.sigma_low, band.sigma_high)}
    told = sorted({*range(0, len(sigmas), room), len(sigmas) - 1, *ends, *worst})
    texts = {place: number(sigmas[place], 2) for place in told}
    return {
        place: "<br>" * (place % room) + (f"<b>{text}</b>" if place in worst else text) for place, text in texts.items()
    }


def _nearest(sigmas: Sequence[float], sigma: float) -> int:
    return int(np.abs(np.log(np.array(sigmas) / sigma)).argmin())


def kind_of(change: str, verdict: str) -> str:
    """Of a level: "worse", "better", "same", or "unclear" where no worse and no better, and the margin not held."""
    return "unclear" if change == "same" and verdict == "inconclusive" else change
