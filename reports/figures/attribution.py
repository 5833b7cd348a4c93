"""Which noise bands carry the change: a bar per band with its interval, under it the two switch curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from ..attribution import share, share_interval
from ..numbers import interval, number, sigma_range, signed
from ..tables import each
from . import style
from .sketch import Sketch

if TYPE_CHECKING:
    from ..attribution_document import AnyAttribution

SURE, UNSURE = 0.85, 0.3
"""Opacity of a bar whose interval, all bands at once, leaves 0 out, and of one whose does not."""
CURVES = {"above": "candidate above the switch", "below": "candidate below the switch"}


def attribution(found: AnyAttribution, metric: str, theme: style.Theme = "light") -> go.Figure:
    """Two panels over one logarithmic sigma axis, in the metric's own units.

    The upper one has each band's contribution, as wide as the band; bars sum to the whole change. The lower one has the
    change when the candidate has all bands above, or below, a switch: it rises where the change is made.
    """
    bands = found.tables["bands"]
    bands, curves = bands[bands["metric"] == metric], found.tables["curves"]
    figure = Sketch(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.55, 0.45])
    _bars(figure, bands, theme)
    for index, (side, words) in enumerate(CURVES.items()):
        rows = curves[(curves["metric"] == metric) & (curves["curve"] == side)].sort_values("sigma")
        _curve(figure, rows, words, style.PALETTES[theme][index + 1], style.DASHES[index])
    for edge in found.bands.edges:
        for row in (1, 2):
            figure.down(edge, row, color=style.rgba(style.quiet(theme), 0.35), width=1)
    for row in (1, 2):
        figure.across(0, row, color=style.quiet(theme), width=1)
    low, high = found.bands.edges[-1], found.bands.edges[0]
    figure.update_xaxes(**style.log_axis(low, high), range=[math.log10(low / 1.08), math.log10(high * 1.08)])
    figure.update_xaxes(title_text="noise level σ", row=2, col=1)
    name = style.text(metric)
    figure.update_yaxes(title_text=f"contribution to the<br>change in {name}", row=1, col=1)
    figure.update_yaxes(title_text=f"change in<br>{name}", row=2, col=1)
    return figure.figure(template=style.template(theme), height=560, bargap=0, margin_t=40)


def _bars(figure: Sketch, bands: pd.DataFrame, theme: style.Theme) -> None:
    colour = style.PALETTES[theme][0]
    for row in each(bands):
        sure = row.band_low > 0 or row.band_high < 0
        middle = math.sqrt(row.sigma_low * row.sigma_high)
        hover = (
            f"σ {sigma_range(row.sigma_low, row.sigma_high)}<br>{signed(row.phi)} "
            f"{interval(row.band_low, row.band_high)}<br>{share(row.share)} "
            f"{share_interval(row.share_low, row.share_high)} of the change"
        )
        corners = [row.sigma_low, row.sigma_low, row.sigma_high, row.sigma_high]
        figure.add_scatter(
            x=corners, y=[0, row.phi, row.phi, 0], fill="toself", mode="lines", showlegend=False, hoverinfo="skip",
            line={"width": 0, "color": colour}, fillcolor=style.rgba(colour, SURE if sure else UNSURE), row=1, col=1,
        )  # fmt: skip
        figure.add_scatter(
            x=[middle], y=[row.phi], mode="markers", showlegend=False, text=[hover], hoverinfo="text",
            marker={"size": 7, "color": style.ink(theme)},
            error_y={
                "type": "data", "symmetric": False, "array": [row.band_high - row.phi],
                "arrayminus": [row.phi - row.band_low], "thickness": 1.5, "width": 5, "color": style.ink(theme),
            },
            row=1, col=1,
        )  # fmt: skip
        if not math.isnan(row.share):
            end = row.band_high if row.phi >= 0 else row.band_low
            bounds = share_interval(row.share_low, row.share_high) if row.phi else ""
            figure.add_annotation(
                x=math.log10(middle), y=row.phi if math.isnan(end) else end, xref="x", yref="y",
                yshift=14 if row.phi >= 0 else -14,
                text=f"<b>{share(row.share)}</b> {bounds}", font={"size": 12}, showarrow=False,
            )  # fmt: skip


def _curve(figure: Sketch, rows: pd.DataFrame, name: str, colour: str, dash: str) -> None:
    hover = [
        f"{name} σ {number(row.sigma)}<br>{signed(row.change)} {interval(row.low, row.high)}" for row in each(rows)
    ]
    figure.add_scatter(
        x=[*rows["sigma"], *rows["sigma"][::-1]], y=[*rows["high"], *rows["low"][::-1]], fill="toself", mode="lines",
        line={"width": 0, "color": colour}, fillcolor=style.rgba(colour, 0.15), hoverinfo="skip", showlegend=False,
        legendgroup=name, row=2, col=1,
    )  # fmt: skip
    figure.add_scatter(
        x=rows["sigma"], y=rows["change"], mode="lines+markers", name=name, legendgroup=name,
        line={"color": colour, "width": 2, "dash": dash}, marker={"size": 6, "color": colour},
        text=hover, hoverinfo="text", row=2, col=1,
    )  # fmt: skip
