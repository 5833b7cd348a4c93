"""Straightness, where paths bend, and quality in few steps, of flow matching (solid) and diffusion (dashed)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..flow_or_diffusion import Sides
from ..numbers import interval, number
from ..tables import by, each
from . import style
from .samplers import best_so_far, dodges
from .sketch import Sketch

LINES = {"flow matching": "solid", "diffusion": "dash"}
RARE = 0.02
"""The share of a path that may bend beyond the middle panel's scale."""


def flow_or_diffusion(sides: Sides, colours: dict[str, str], theme: style.Theme = "light") -> go.Figure:
    """Three panels, a colour a model: straightness, its density over time, and the metric against evaluations.

    In the last each model stands with the settings that none of its others beats at no more evaluations.
    """
    figure = Sketch(
        rows=1, cols=3, column_widths=[0.24, 0.36, 0.4], horizontal_spacing=0.09,
        subplot_titles=[
            style.heading("How bent the paths are", "0 is straight; filled: flow matching"),
            style.heading("Where they bend", "solid: flow matching, dashed: diffusion"),
            style.heading("What it is worth", "each model's best settings"),
        ],
    )  # fmt: skip
    for row in each(sides.paths):
        colour = colours[row.model]
        figure.add_scatter(
            x=[row.straightness], y=[style.text(row.model)], mode="markers", showlegend=False,
            marker={"color": colour, "size": 11, "symbol": "circle" if row.kind == "flow matching" else "circle-open"},
            error_x={"type": "data", "symmetric": False, "array": [row.high - row.straightness],
                     "arrayminus": [row.straightness - row.low], "thickness": 1.4, "width": 0, "color": colour},
            text=f"<b>{style.text(row.model)}</b>, {row.kind}<br>straightness {number(row.straightness)} "
            f"{interval(row.low, row.high)}<br>chord to arc {number(row.chord_to_arc)}"
            f"<br>turning {number(row.turning)} rad",
            hoverinfo="text", row=1, col=1,
        )  # fmt: skip
    for model, rows in by(sides.bends, "model"):
        figure.add_scatter(
            x=rows[["begin", "end"]].to_numpy().ravel(), y=np.repeat(rows["density"], 2), mode="lines",
            name=style.text(model), legendgroup=model,
            line={"color": colours[model], "dash": LINES[rows["kind"].iloc[0]], "width": 2},
            row=1, col=2,
        )  # fmt: skip
    _what_leaves(figure, sides.bends, theme)
    metric = sides.few["metric"].iloc[0] if len(sides.few) else "not scored"
    names = list(sides.paths["model"])
    figure.update_yaxes(
        autorange="reversed", tickvals=[style.text(name) for name in names],
        ticktext=[style.coloured(name, colours) for name in names], row=1, col=1,
    )  # fmt: skip
    figure.update_xaxes(title_text="straightness<br>E |Z − u|² / d", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(title_text="t = σ/(1 + σ): data at 0, noise at 1", range=[0, 1], row=1, col=2)
    figure.update_yaxes(title_text="per unit of t", rangemode="tozero", row=1, col=2)
    figure.update_xaxes(title_text="network evaluations", type="log", row=1, col=3)
    _few(figure, sides, colours)
    direction = style.DIRECTIONS[sides.better]
    figure.update_yaxes(title_text=f"{style.text(metric)}<br>{direction}", row=1, col=3)
    return figure.figure(template=style.template(theme), height=430, margin_t=120, legend_y=1.16)


def _few(figure: Sketch, sides: Sides, colours: dict[str, str]) -> None:
    """Quality against cost: each model's best settings, beside each other where they cost the same."""
    if sides.few.empty:
        return
    least, most = int(sides.few["evaluations"].min()), int(sides.few["evaluations"].max())
    models = list(by(sides.few, "model"))
    costs = [list(best_so_far(rows, str(rows["metric"].iloc[0]))["evaluations"]) for _, rows in models]
    shifts = dodges(costs, math.log10(max(most / least, 1.5)))
    ends = []
    for (model, rows), shift in zip(models, shifts, strict=True):
        best = best_so_far(rows, str(rows["metric"].iloc[0]))
        ends += [best[["value", "low", "high"]].to_numpy(float)]
        figure.add_scatter(
            x=best["evaluations"] * shift, y=best["value"], mode="lines+markers", showlegend=False, legendgroup=model,
            line={"color": colours[model], "dash": LINES[rows["kind"].iloc[0]], "width": 2}, marker_size=7,
            error_y={"type": "data", "symmetric": False, "array": best["high"] - best["value"],
                     "arrayminus": best["value"] - best["low"], "thickness": 1, "width": 0, "color": colours[model]},
            customdata=best["evaluations"],
            text=[f"<b>{style.text(model)}</b><br>{style.text(row.sampler)}, {row.steps} steps"
                  f"<br>{row.evaluations} network evaluations<br>{number(row.value)} {interval(row.low, row.high)}"
                  for row in each(best)],
            hoverinfo="text", row=1, col=3,
        )  # fmt: skip
    if set(shifts) != {1.0}:
        figure.update_xaxes(title_text="network evaluations<br>(points of one cost stand side by side)", row=1, col=3)
    spent = [least * 2**power for power in range(int(math.log2(most / least) + 0.1) + 1)]
    figure.update_xaxes(tickvals=spent, ticktext=[str(count) for count in spent], row=1, col=3)
    values = np.concatenate(ends)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low > 0 and high > 5 * low:
        figure.update_yaxes(**style.log_axis(low, high), row=1, col=3)


def crowded(bends: pd.DataFrame) -> float:
    """The density that no model's path exceeds on more than 2% of its way: the height of the middle panel."""
    heights = []
    for _, rows in by(bends, "model"):
        ordered = rows.sort_values("density", ascending=False)
        way = (ordered["begin"] - ordered["end"]).cumsum() / (ordered["begin"] - ordered["end"]).sum()
        heights.append(float(ordered["density"][way > RARE].max()))
    return max(heights, default=1.0)


def _what_leaves(figure: Sketch, bends: pd.DataFrame, theme: style.Theme) -> None:
    """A path that bends sharply at one end would flatten all others: it leaves the panel, and a note says so."""
    top = 1.15 * crowded(bends)
    figure.update_yaxes(range=[0, top], row=1, col=2)
    beyond = bends[bends["density"] > top].groupby("model", sort=False)["density"].max()
    if len(beyond):
        told = "<br>".join(f"{style.text(style.short(str(model)))} {number(peak, 2)}" for model, peak in beyond.items())
        figure.add_annotation(
            text=f"off this scale, up to<br>{told}", x=0.5, xref="x2 domain", y=0.98, yref="y2 domain", yanchor="top",
            showarrow=False, font={"size": 11, "color": style.quiet(theme)}, name="beyond",
        )  # fmt: skip
