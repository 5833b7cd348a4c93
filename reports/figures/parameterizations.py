"""Why one network's error hurts where another's does not: raw error times gain is error in the image and the noise."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from ..numbers import number
from ..tables import by, each
from . import style
from .sketch import Sketch

PANELS = (
    ("raw", "raw output error", "of what the network emits"),
    ("x0", "in the image (x₀)", "raw output error × gain to image"),
    ("eps", "in the noise (ε)", "raw output error × gain to noise"),
)


def parameterizations(
    table: pd.DataFrame, colours: dict[str, str], theme: style.Theme = "light", baseline: str = ""
) -> go.Figure:
    """Three panels of root-mean-square error over sigma, on one scale, from `tables.parameterizations`."""
    if table.empty:
        return style.empty("No noise levels were measured for a known parameterization in this run.", theme)
    figure = Sketch(
        rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.02,
        subplot_titles=[style.heading(title, note) for _, title, note in PANELS],
    )  # fmt: skip
    for model, rows in sorted(by(table, "model"), key=lambda one: one[0] != baseline):
        form = rows["parameterization"].iloc[0]
        for column, (quantity, _, _) in enumerate(PANELS, start=1):
            _curve(figure, rows, quantity, f"{style.text(model)} ({style.text(form)})", colours, column, baseline)
    figure.update_xaxes(**style.log_axis(table["sigma"].min(), table["sigma"].max()), title_text="noise level σ")
    shown = table[[quantity for quantity, _, _ in PANELS]].to_numpy(float)
    figure.update_yaxes(**style.log_axis(shown.min(), shown.max()))
    figure.update_yaxes(title_text="root-mean-square error", row=1, col=1)
    return figure.figure(template=style.template(theme), height=450, margin_t=96, legend_y=1.13)


def _curve(
    figure: Sketch,
    rows: pd.DataFrame,
    quantity: str,
    name: str,
    colours: dict[str, str],
    column: int,
    baseline: str,
) -> None:
    model = str(rows["model"].iloc[0])
    colour, symbol = colours[model], style.symbol(model, colours)
    hover = [
        f"<b>{name}</b><br>σ {number(row.sigma)} · t {number(row.time)} · log-SNR {number(row.log_snr)}"
        f"<br>raw {number(row.raw)}<br>× {number(row.gain_x0)} = {number(row.x0)} in x₀"
        f"<br>× {number(row.gain_eps)} = {number(row.eps)} in ε"
        for row in each(rows)
    ]
    figure.add_scatter(
        x=rows["sigma"], y=rows[quantity], mode="lines+markers", name=name, legendgroup=name, showlegend=column == 1,
        line=style.line(colour, model == baseline), marker={"size": 5, "color": colour, "symbol": symbol},
        text=hover, hoverinfo="text", row=1, col=column,
    )  # fmt: skip
