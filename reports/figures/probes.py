"""What probes say at every noise level: a panel a curve, on the sigma axis of the denoising error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..diagnosis import Diagnosis
from ..numbers import interval, number
from ..quantities import Curve
from ..tables import by, each
from . import style
from .sketch import Sketch

PANEL = 190
"""Pixels high."""
LOG_FROM = 30.0
"""Values above 0 that span more than this factor stand on a logarithmic axis."""
BELOW = "below the threshold of a finding"
SEEN = 0.03
"""Of a panel's height: what a reader sees."""
OVERSHOOT = 0.6
"""How far intervals may stretch an axis, in spans of the values: one unsure level must not flatten all others."""


def probes(
    table: pd.DataFrame,
    colours: dict[str, str],
    theme: style.Theme = "light",
    found: Sequence[Diagnosis] = (),
    small: Mapping[Curve, Sequence[float]] | None = None,
    baseline: str = "",
) -> go.Figure:
    """From `quantities.quantities`: a panel for each curve in order, the bands of `found` shaded in its own.

    small: of a curve the sigmas of `negligible.negligible`, in grey.
    """
    if table.empty:
        return style.empty("No probe measured this in these runs.", theme)
    panels = list(curves(table))
    figure = Sketch(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.2 / (len(panels) + 3))
    grey = False
    for row, (curve, rows) in enumerate(panels, start=1):
        grey |= panel(figure, rows, colours, row, theme, baseline, found, (small or {}).get(curve, ()))
    seen: set[str] = set()
    for trace in figure.data:  # each model once, where it first appears
        first_seen = trace["mode"] == "lines+markers" and trace["legendgroup"] not in seen
        trace["showlegend"] = first_seen
        seen |= {trace["legendgroup"]} if first_seen else set()
    if grey:
        grey_entry(figure, theme)
    first, last = table["sigma"].min(), table["sigma"].max()
    figure.update_xaxes(**style.log_axis(first, last), range=[math.log10(first / 1.08), math.log10(last * 1.08)])
    figure.update_xaxes(title_text="noise level σ", row=len(panels), col=1)
    return figure.figure(template=style.template(theme), height=110 + PANEL * len(panels))


def curves(table: pd.DataFrame) -> Iterator[tuple[Curve, pd.DataFrame]]:
    """(curve, its rows), in order of first appearance."""
    grouped = table.groupby(["probe", "quantity", "slice"], sort=False)
    return ((Curve(*map(str, key)), rows) for key, rows in grouped)


def is_about(found: Diagnosis, curve: Curve) -> bool:
    return (found.rule.probe, found.rule.quantity, found.slice) == (curve.probe, curve.quantity, curve.slice)


def panel(
    figure: Sketch,
    rows: pd.DataFrame,
    colours: dict[str, str],
    row: int,
    theme: style.Theme,
    baseline: str = "",
    found: Sequence[Diagnosis] = (),
    small: Sequence[float] = (),
) -> bool:
    """One curve of every model, with its interval, and a dashed line where a perfect denoiser lies.

    Shaded: the bands of those of `found` that are about this curve, and in grey the levels of `small`; whether there
    is such a level, for the legend.
    """
    low, high = reach(rows)
    logarithmic = low > 0 and high > LOG_FROM * low
    for model, own in sorted(by(rows, "model"), key=lambda one: one[0] != baseline):
        _line(figure, own, model, colours, row, (low, high) if logarithmic else None, model == baseline)
    curve = next(curves(rows))[0]
    context, name = map(style.text, curve.label)
    words = [context, f"<b>{name}</b>"]
    words += [] if curve.slice == "all" else [style.text(curve.slice)]
    axis = style.log_axis(low, high) if logarithmic else {"range": [low, high], "nticks": 6}
    figure.update_yaxes(**axis, title_text="<br>".join(words), row=row, col=1)
    for optimal in rows["optimal"].dropna().unique():
        if not (logarithmic and optimal <= 0):
            figure.across(optimal, row, color=style.quiet(theme), width=1.5, dash="dash")
            figure.add_annotation(
                text="perfect denoiser", font={"color": style.quiet(theme), "size": 11}, showarrow=False, x=1,
                xref=f"{figure.axes(row)[0]} domain", xanchor="right", yanchor="bottom",
                y=math.log10(optimal) if logarithmic else optimal, row=row,
            )  # fmt: skip
    for one in found:
        if is_about(one, curve):
            left, right = style.ends(one.sigma_low, one.sigma_high)
            figure.shade(left, right, row, fillcolor=colours[one.model], opacity=0.12, line_width=0)
    return _grey(figure, visible(small, rows), rows, row, theme)


def reach(rows: pd.DataFrame) -> tuple[float, float]:
    """The ends of an axis: all values, the perfect one, and of the intervals what doesn't flatten them."""
    values = rows[["value", "optimal"]].to_numpy(float)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    positive = low > 0 and high > LOG_FROM * low
    if positive:
        return low / 1.3, high * 1.3
    span = high - low or abs(high) or 1.0
    bottom = max(float(rows["low"].min()), low - OVERSHOOT * span)
    top = min(float(rows["high"].max()), high + OVERSHOOT * span)
    return min(bottom, low) - 0.06 * span, max(top, high) + 0.06 * span


def visible(small: Sequence[float], rows: pd.DataFrame) -> list[float]:
    """Of these sigmas, those at which a reader sees the curve leave the perfect denoiser's line, where there is one."""
    low, high = reach(rows)
    away = (rows["value"] - rows["optimal"]).abs()
    seen = set(rows.loc[away.isna() | (away > SEEN * (high - low)), "sigma"])
    return [sigma for sigma in small if sigma in seen]


def _grey(figure: Sketch, small: Sequence[float], rows: pd.DataFrame, row: int, theme: style.Theme) -> bool:
    """Shades levels at which leaving the healthy range is no finding, stretch by stretch."""
    sigmas = np.sort(rows.drop_duplicates("level")["sigma"].to_numpy(float))
    inside = np.isclose(sigmas[:, None], np.asarray(small, float), rtol=1e-9).any(axis=1)
    turns = np.flatnonzero(np.diff(np.concatenate(([False], inside, [False])).astype(int)))
    for first, beyond in zip(turns[::2], turns[1::2], strict=True):
        left, right = style.ends(sigmas[first], sigmas[beyond - 1])
        figure.shade(left, right, row, fillcolor=_grey_ink(theme), line_width=0, name="small")
    return bool(len(turns))


def grey_entry(figure: Sketch, theme: style.Theme) -> None:
    """What grey means, in the legend, where it hides no curve."""
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=BELOW, hoverinfo="skip", row=1, col=1,
        marker={"symbol": "square", "size": 13, "color": _grey_ink(theme)},
    )  # fmt: skip


def _grey_ink(theme: style.Theme) -> str:
    return style.rgba(style.quiet(theme), 0.2)


def _line(
    figure: Sketch,
    rows: pd.DataFrame,
    model: str,
    colours: dict[str, str],
    row: int,
    ends: tuple[float, float] | None,
    beneath: bool,
) -> None:
    """`ends` of a logarithmic axis: an interval that reaches 0 is drawn to the axis' end, as it is."""
    name, low, high = style.text(model), rows["low"], rows["high"]
    colour, symbol = colours[model], style.symbol(model, colours)
    if ends:
        low = low.where(low > 0, ends[0] / 10)
    style.interval_band(figure, rows["sigma"], low, high, colour, name, row)
    hover = [
        f"<b>{name}</b><br>σ {number(point.sigma)} · t {number(point.time)} · log-SNR {number(point.log_snr)}"
        f"<br>{style.text(point.probe)} {style.text(point.quantity)} {number(point.value)} "
        f"{interval(point.low, point.high)}<br>{point.images} images"
        for point in each(rows)
    ]
    figure.add_scatter(
        x=rows["sigma"], y=rows["value"], mode="lines+markers", name=name, legendgroup=name, showlegend=False,
        line=style.line(colour, beneath), marker={"size": 6, "color": colour, "symbol": symbol},
        text=hover, hoverinfo="text", customdata=rows[["model", "level"]], **style.CHOSEN, row=row, col=1,
    )  # fmt: skip
