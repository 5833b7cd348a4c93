"""The picture: error at every noise level, under it the ratio to the baseline, the worst bands named on the plot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ...metrics.units import Unit
from ..compare import Band
from ..diagnosis import Diagnosis
from ..numbers import interval, number, percent, sigma_range
from ..tables import by, each
from . import style
from .probes import grey_entry, panel
from .sketch import Sketch

UNIT_TITLES = {
    "x0": "in the image (x₀)", "eps": "in the noise (ε)", "v": "in v", "flow": "in the flow velocity",
    "F": "in F, EDM's output",
}  # fmt: skip
ANNOTATED, FAR_SMALLER = 3, 1 / 3
HEIGHTS = {1: 380, 2: 600, 3: 650}
"""Pixels, by the number of panels."""
FLOOR = "best without a network"
LEGEND = 32
"""Characters of a model's name in the legend: a line of a phone; hovers have all of it."""
WEIGHT_SHARE = 0.45
"""Of the upper panel, the height of the training weights."""


def noise_levels(
    table: pd.DataFrame,
    bands: Sequence[Band],
    baseline: str,
    colours: dict[str, str],
    unit: Unit = "x0",
    theme: style.Theme = "light",
    quantity: pd.DataFrame | None = None,
    weights: pd.DataFrame | None = None,
    weighting: str = "",
    small: Sequence[float] = (),
    found: Sequence[Diagnosis] = (),
) -> go.Figure:
    """Two panels over one logarithmic sigma axis, from `tables.noise_levels` and the comparisons' bands.

    baseline: what the ratios are against; "its baseline" where models have different ones.
    quantity: one curve of `quantities.quantities`, for a third panel.
    small: sigmas of `negligible.negligible`, grey in the third panel; found: what is wrong, its bands shaded there.
    weights: `quantities.training_weights`, drawn behind the error as a grey area; `weighting` is its name.
    The lower panel draws ln(ratio), so that twice and half are as far from the baseline; labels read in percent.
    Each model's worst significant band, the three largest of them, is shaded in both and named in the lower one.
    """
    if table.empty:
        return style.empty("No noise levels were measured in this run.", theme)
    compared = [model for model, rows in by(table, "model") if model != baseline and rows["ratio"].notna().any()]
    asked = quantity is not None and not quantity.empty
    panels = 1 + bool(compared) + asked
    figure = Sketch(rows=panels, cols=1, shared_xaxes=True, vertical_spacing=0.06 if panels < 3 else 0.04)
    for model, rows in sorted(by(table, "model"), key=lambda one: one[0] != baseline):
        symbol = style.symbol(model, colours)
        _curve(figure, rows, colours[model], symbol, model == baseline)
        if model in compared:
            _ratio(figure, rows, colours[model], symbol)
    _floor(figure, table, theme)
    if weights is not None:
        _weights(figure, weights, weighting, theme)
    _axes(figure, table, unit, panels)
    if quantity is not None and asked and panel(figure, quantity, colours, panels, theme, baseline, found, small):
        grey_entry(figure, theme)
    if compared:
        _ratio_axis(figure, table, baseline, colours)
        _name_bands(figure, named_bands(bands), table, colours)
        _note_what_leaves(figure, table, theme)
    return figure.figure(template=style.template(theme), height=HEIGHTS[panels], margin_b=76)


def named_bands(bands: Sequence[Band]) -> list[Band]:
    """What is written on the plot, worst first: each model's worst band, three at most, none far below the largest.

    A 1% difference beside one of 34% stays in the curves and in the findings; named as loudly, it would only distract.
    """
    worse = sorted((band for band in bands if band.ratio > 1), key=lambda band: -band.ratio)
    first = {band.model: band for band in reversed(worse)}
    return [
        band for band in worse
        if first[band.model] is band and math.log(band.ratio) >= FAR_SMALLER * math.log(worse[0].ratio)
    ][:ANNOTATED]  # fmt: skip


def _curve(figure: Sketch, rows: pd.DataFrame, colour: str, symbol: str, is_baseline: bool) -> None:
    name = style.text(rows["model"].iloc[0])
    style.interval_band(figure, rows["sigma"], rows["low"], rows["high"], colour, name, 1)
    hover = [
        f"<b>{name}</b><br>σ {number(row.sigma)} · t {number(row.time)} · log-SNR {number(row.log_snr)}"
        f"<br>error {number(row.error)} {interval(row.low, row.high)}"
        for row in each(rows)
    ]
    figure.add_scatter(
        x=rows["sigma"], y=rows["error"], mode="lines+markers", name=_legend_name(rows, is_baseline),
        legendgroup=name, line=style.line(colour, is_baseline), marker={"size": 6, "color": colour, "symbol": symbol},
        text=hover, hoverinfo="text", customdata=rows[["model", "level"]], **style.CHOSEN, row=1, col=1,
    )  # fmt: skip


def _legend_name(rows: pd.DataFrame, is_baseline: bool) -> str:
    name = style.text(style.short(str(rows["model"].iloc[0]), LEGEND))
    return f"{name} (baseline)" if is_baseline else name


def _ratio(figure: Sketch, rows: pd.DataFrame, colour: str, symbol: str) -> None:
    name = style.text(rows["model"].iloc[0])
    style.interval_band(figure, rows["sigma"], np.log(rows["ratio_low"]), np.log(rows["ratio_high"]), colour, name, 2)
    hover = [
        f"<b>{name}</b><br>σ {number(row.sigma)} · t {number(row.time)} · log-SNR {number(row.log_snr)}"
        f"<br>{percent(row.ratio)} against the baseline [{percent(row.ratio_low)}, {percent(row.ratio_high)}]"
        for row in each(rows)
    ]
    figure.add_scatter(
        x=rows["sigma"], y=np.log(rows["ratio"]), mode="lines+markers", name=name, legendgroup=name, showlegend=False,
        line={"color": colour, "width": 2}, marker={"size": 6, "color": colour, "symbol": symbol},
        text=hover, hoverinfo="text", customdata=rows[["model", "level"]], **style.CHOSEN, row=2, col=1,
    )  # fmt: skip


def _floor(figure: Sketch, table: pd.DataFrame, theme: style.Theme) -> None:
    """What a few lines of algebra reach on these images: the same for all models, so drawn once."""
    if "floor" not in table:
        return
    known = table.dropna(subset=["floor"]).drop_duplicates("sigma").sort_values("sigma")
    if known.empty:
        return
    hover = [f"<b>{FLOOR}</b><br>σ {number(row.sigma)}<br>error {number(row.floor)}" for row in each(known)]
    figure.add_scatter(
        x=known["sigma"], y=known["floor"], mode="lines", name=FLOOR, legendgroup=FLOOR, text=hover, hoverinfo="text",
        line={"color": style.quiet(theme), "width": 1.8, "dash": "dot"}, row=1, col=1,
    )  # fmt: skip


def _weights(figure: Sketch, weights: pd.DataFrame, weighting: str, theme: style.Theme) -> None:
    """How much each level counts in training, on an axis of its own without ticks: the area says where."""
    name = f"training weight ({style.text(weighting)})"
    hover = [
        f"<b>{name}</b><br>σ {number(row.sigma)}<br>{100 * row.weight:.1f}% of the weight" for row in each(weights)
    ]
    figure.add_scatter(
        x=weights["sigma"], y=weights["weight"], fill="tozeroy", mode="lines", name=name, text=hover, hoverinfo="text",
        line={"color": style.rgba(style.quiet(theme), 0.5), "width": 1}, xaxis="x", yaxis="y99",
        fillcolor=style.rgba(style.quiet(theme), 0.16),
    )  # fmt: skip
    top = float(weights["weight"].max()) / WEIGHT_SHARE
    figure.layout["yaxis99"] = {"overlaying": "y", "range": [0, top], "visible": False, "fixedrange": True}


def _axes(figure: Sketch, table: pd.DataFrame, unit: Unit, panels: int) -> None:
    first, last = table["sigma"].min(), table["sigma"].max()
    figure.update_xaxes(**style.log_axis(first, last), range=[math.log10(first / 1.08), math.log10(last * 1.08)])
    figure.update_xaxes(title_text="noise level σ", row=panels, col=1)
    errors = table[["error", "low", "high"]].to_numpy(float)
    errors = errors[errors > 0]
    title = f"squared error<br>{UNIT_TITLES[unit]}"
    figure.update_yaxes(**style.log_axis(errors.min(), errors.max()), title_text=title, row=1, col=1)


def _ratio_axis(figure: Sketch, table: pd.DataFrame, baseline: str, colours: dict[str, str]) -> None:
    low, high = ratio_range(table)
    reach = math.log(high / low)
    places, written = style.ratio_ticks(low, high)
    figure.update_yaxes(
        tickvals=np.log(places), ticktext=written, range=[math.log(low) - 0.08 * reach, math.log(high) + 0.28 * reach],
        title_text=f"error against<br>{style.text(style.short(baseline, 18))}", row=2, col=1,
    )  # fmt: skip
    figure.across(0, 2, color=colours.get(baseline, style.PALETTES["light"][-1]), width=1.5, dash="dash")


def ratio_range(table: pd.DataFrame) -> tuple[float, float]:
    """The ratios that the lower panel spans: all that are worse, and as far again on the better side.

    A model that is many times better somewhere would else flatten what is worse everywhere else; it leaves the panel,
    and a note says so.
    """
    spans = table[["ratio", "ratio_low", "ratio_high"]].to_numpy(float)
    high = max(float(np.nanmax(spans, initial=1.0)), 1.05)
    low = min(float(np.nanmin(spans, initial=1.0)), 0.97)
    return max(low, 1 / high), high


def _note_what_leaves(figure: Sketch, table: pd.DataFrame, theme: style.Theme) -> None:
    low, _ = ratio_range(table)
    beyond = [(model, rows["ratio"].min()) for model, rows in by(table, "model") if rows["ratio"].min() < low]
    if beyond:
        told = ", ".join(f"{style.text(model)} down to {percent(ratio)}" for model, ratio in beyond)
        figure.add_annotation(
            text=f"below this scale: {told}", x=1, xref="paper", xanchor="right", y=0, yref="paper", yanchor="top",
            yshift=-52, showarrow=False, font={"size": 11, "color": style.quiet(theme)},
        )  # fmt: skip


def _name_bands(figure: Sketch, bands: Sequence[Band], table: pd.DataFrame, colours: dict[str, str]) -> None:
    middle = math.sqrt(table["sigma"].min() * table["sigma"].max())
    for row, band in enumerate(bands):
        left, right = style.ends(band.sigma_low, band.sigma_high)
        for each_row in (1, 2):
            figure.shade(left, right, each_row, fillcolor=colours[band.model], opacity=0.12, line_width=0)
        rows = table[
            (table["model"] == band.model) & table["sigma"].between(band.sigma_low * 0.999, band.sigma_high * 1.001)
        ]
        peak = rows.nlargest(1, "ratio").iloc[0]
        where = sigma_range(band.sigma_low, band.sigma_high)
        label = f"<b>{style.text(style.short(band.model))}</b> {percent(band.ratio)} at σ {where}"
        figure.add_annotation(
            x=math.log10(peak["sigma"]), y=math.log(peak["ratio_high"]), xref="x2", yref="y2", text=label,
            font={"color": style.letters(colours[band.model]), "size": 13}, showarrow=True, arrowhead=0, arrowwidth=1.2,
            arrowcolor=colours[band.model], ax=0, ay=-22 - 20 * row, standoff=2,
            xanchor="left" if peak["sigma"] < middle / 20 else "right" if peak["sigma"] > middle * 20 else "center",
        )  # fmt: skip
