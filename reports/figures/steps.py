"""What happens on the way, step by step: one quantity of a trajectory probe over the intervals of a sampler's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..numbers import interval, number, percent
from ..tables import by, cell_titles, each
from ..trajectories import FIRST, SETTING, Quantity, of_quantity
from . import style
from .sketch import Sketch

LOG_FROM = 200.0
"""Values above 0 that span more than this factor stand on a logarithmic axis."""
ROW = 26
"""Pixels a line of `walks`."""


def steps(table: pd.DataFrame, one: Quantity, colours: dict[str, str], theme: style.Theme = "light") -> go.Figure:
    """A staircase for each model, from `trajectories.of_quantity` of one setting: a tread is an interval of the grid.

    Bands are 95% intervals. The last interval, which ends at 0, is drawn one e-fold wide; one from pure noise, which
    begins at infinity, is left out. `local_error: size` is told in percent of the data's spread.
    """
    rows = table[np.isfinite(table["sigma"].astype(float))]
    if rows.empty:
        return style.empty("No step of this sampler was measured so.", theme)
    scale = 100.0 if one == FIRST else 1.0
    figure, dashes = Sketch(), style.DASHES
    for index, (model, own) in enumerate(by(rows, "model")):
        _staircase(figure, own.sort_values("index"), model, colours[model], dashes[index % len(dashes)], scale)
    low, high = float(rows["sigma"].min()) / math.e, float(rows["sigma"].max())
    figure.update_xaxes(**style.log_axis(low, high), range=[math.log10(low), math.log10(high * 1.08)])
    figure.update_xaxes(title_text="noise level σ: sampling goes from right to left")
    values = rows["value"].astype(float) * scale
    if one != FIRST and values.min() > 0 and values.max() > LOG_FROM * values.min():
        figure.update_yaxes(**style.log_axis(float(values.min()), float(values.max())))
    unit = "moves samples, of the data's spread<br>in this step" if one == FIRST else style.text(one.name)
    figure.update_yaxes(title_text=unit, ticksuffix="%" if one == FIRST else "")
    if one == FIRST:
        figure.update_yaxes(rangemode="tozero")
    return figure.figure(template=style.template(theme), height=360)


def _staircase(figure: Sketch, rows: pd.DataFrame, model: str, colour: str, dash: str, scale: float) -> None:
    begins = rows["sigma"].to_numpy(float)
    ends = np.where(rows["sigma_next"] > 0, rows["sigma_next"], begins / math.e).astype(float)
    x = np.column_stack((begins, ends)).ravel()
    low, high, value = (np.repeat(scale * rows[name].to_numpy(float), 2) for name in ("low", "high", "value"))
    name = style.text(model)
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", mode="lines", line={"width": 0, "color": colour},
        fillcolor=style.rgba(colour, 0.18), hoverinfo="skip", legendgroup=name, showlegend=False,
    )  # fmt: skip
    suffix = "%" if scale > 1 else ""
    hover = [
        f"<b>{name}</b><br>from σ {number(row.sigma)} to {number(row.sigma_next)}"
        f"<br>{number(scale * row.value)}{suffix} {interval(scale * row.low, scale * row.high)}"
        f"<br>{row.samples} samples"
        for row in each(rows)
    ]
    total = f": {percent(1 + value[::2].sum() / scale, signed=False)} in all" if scale > 1 else ""
    figure.add_scatter(
        x=x, y=value, mode="lines", name=name + total, legendgroup=name,
        line={"color": colour, "width": 2, "dash": dash}, text=np.repeat(hover, 2), hoverinfo="text",
    )  # fmt: skip


def walks(
    table: pd.DataFrame, chosen: Sequence[Quantity], colours: dict[str, str], theme: style.Theme = "light"
) -> go.Figure:
    """Numbers of whole walks: a panel a quantity, a line a sampler setting, a point a model, with its interval.

    From table `steps` with `model` a label. A dashed line is what an exact sampler or straight paths give.
    """
    panels = [(one, _rows(table, one)) for one in chosen]
    panels = [(one, rows) for one, rows in panels if len(rows)]
    if not panels:
        return style.empty("Nothing was measured of whole walks in this run.", theme)
    lines = [rows["setting"].nunique() for _, rows in panels]
    figure = Sketch(
        rows=len(panels), cols=1, row_heights=[count + 0.5 for count in lines],
        vertical_spacing=min(0.9 / len(panels), 62 / (ROW * sum(lines) + 62 * len(panels))),
        subplot_titles=[style.heading(one.name, one.meaning) for one, _ in panels],
    )  # fmt: skip
    seen: set[str] = set()
    for row, (_, rows) in enumerate(panels, start=1):
        names = list(dict.fromkeys(rows["setting"]))
        models = list(dict.fromkeys(rows["model"]))
        for index, model in enumerate(models):
            own = rows[rows["model"] == model]
            shift = 0.5 * ((index + 0.5) / len(models) - 0.5)
            figure.add_scatter(
                x=own["value"], y=[names.index(name) + shift for name in own["setting"]], mode="markers",
                name=style.text(model), legendgroup=model, showlegend=model not in seen,
                marker={"color": colours[model], "size": 9, "symbol": style.SYMBOLS[index % len(style.SYMBOLS)]},
                error_x={"type": "data", "symmetric": False, "array": own["high"] - own["value"],
                         "arrayminus": own["value"] - own["low"], "thickness": 1.4, "width": 0,
                         "color": colours[model]},
                text=[f"<b>{style.text(one.model)}</b> {style.text(one.setting)}<br>{number(one.value)} "
                      f"{interval(one.low, one.high)}<br>{one.samples} samples" for one in each(own)],
                hoverinfo="text", row=row, col=1,
            )  # fmt: skip
            seen.add(model)
        figure.update_yaxes(
            tickvals=list(range(len(names))), ticktext=[style.text(style.short(name, 34)) for name in names],
            range=[len(names) - 0.5, -0.5], row=row, col=1,
        )  # fmt: skip
        for optimal in rows["optimal"].dropna().unique():
            figure.down(optimal, row, color=style.quiet(theme), width=1.5, dash="dash")
    for title in figure.layout["annotations"]:
        title |= {"x": 0, "xanchor": "left", "align": "left"}
    height = 120 + ROW * sum(lines) + 62 * len(panels)
    return figure.figure(
        template=style.template(theme), height=height, margin={"t": 100, "b": 30}, legend_y=1 + 52 / (height - 130)
    )


def _rows(table: pd.DataFrame, one: Quantity) -> pd.DataFrame:
    rows = of_quantity(table, one).sort_values("steps", kind="stable")
    several = len(set(rows["grid"])) > 1
    named = rows if several else rows.assign(grid="")
    return rows.assign(setting=cell_titles(named[list(SETTING)]))
