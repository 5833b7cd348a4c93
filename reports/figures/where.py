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
    kinds = list(KINDS)
    cells = np.full((len(shown), len(sigmas)), np.nan)
    signs, hover = (np.full(cells.shape, "", object) for _ in range(2))
    for row, one in enumerate(shown):
        for level in each(one.levels):
            column, kind = sigmas.index(float(level.sigma)), kind_of(level.change, level.verdict)
            cells[row, column], signs[row, column] = kinds.index(kind), KINDS[kind][1]
            hover[row, column] = (
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
            z=cells, x=list(range(len(sigmas))), y=[style.text(one.candidate) for one in shown], text=signs,
            texttemplate="%{text}", textfont={"color": style.ink(theme)}, customdata=hover,
            hovertemplate="%{customdata}<extra></extra>", zmin=-0.5, zmax=last + 0.5, colorscale=scale, showscale=False,
            xgap=2, ygap=4,
        )
    )  # fmt: skip
    step = -(-len(sigmas) // 12)
    places = list(range(0, len(sigmas), step))
    figure.update_xaxes(
        tickvals=places, ticktext=[number(sigmas[place], 2) for place in places], showgrid=False,
        title={"text": "noise level σ"},
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_layout(
        template=style.template(theme), height=96 + 34 * len(shown), margin={"t": 8, "b": 56, "r": 8}
    )


def kind_of(change: str, verdict: str) -> str:
    """Of a level: "worse", "better", "same", or "unclear" where no worse and no better, and the margin not held."""
    return "unclear" if change == "same" and verdict == "inconclusive" else change
