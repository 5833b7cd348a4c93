"""Leaderboards as dot plots: of one run a panel per measure, of many runs one measure; each dot with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..numbers import MISSING, interval, number, percent
from ..tables import WORST_LEVEL, each
from . import style
from .sketch import Sketch

NAME, LETTER = 260, 7.6
"""Pixels: what names may take, and a letter of one; Plotly gives them more where they need it."""


def overview(
    table: pd.DataFrame, models: Sequence[str], colours: dict[str, str], theme: style.Theme = "light"
) -> go.Figure:
    """From `tables.overview`; models from top to bottom in the order given. A missing dot reads "not scored"."""
    if table.empty:
        return style.empty("Nothing to rank: no second model, and no metric of samples.", theme)
    measures = table.drop_duplicates("measure").set_index("measure")["better"]
    figure = Sketch(
        rows=1, cols=len(measures), shared_yaxes=True, horizontal_spacing=0.06,
        subplot_titles=[_heading(str(name), style.DIRECTIONS[better]) for name, better in measures.items()],
    )  # fmt: skip
    places = {model: len(models) - 1 - index for index, model in enumerate(models)}
    for column, measure in enumerate(measures.index, start=1):
        rows = table[table["measure"] == measure].dropna(subset=["value"])
        for _, row in rows.iterrows():
            _dot(figure, row, places[row["model"]], colours[row["model"]], column)
        for model in set(models) - set(rows["model"]):
            _note(figure, MISSING, places[model], column, theme)
        _axis(figure, rows, column)
    figure.update_yaxes(
        tickvals=list(places.values()), ticklabelstandoff=8,
        ticktext=[style.coloured(model, colours) for model in places],
        range=[-0.6, len(models) - 0.4], showgrid=False,
    )  # fmt: skip
    return figure.figure(
        template=style.template(theme), height=134 + 52 * len(models), showlegend=False,
        margin={"t": 82, "b": 36, "l": min(16 + LETTER * max(map(len, models), default=0), NAME)},
    )  # fmt: skip


def _heading(measure: str, direction: str) -> str:
    """Metrics are of each model's own best sampler setting, and must say so: it need not be the same one."""
    best = "" if measure == WORST_LEVEL else "<br><span style='font-size:11px'>each at its best setting</span>"
    return style.heading(measure, direction) + best


def _dot(figure: Sketch, row: pd.Series[Any], place: int, colour: str, column: int) -> None:
    shown, where = _written(row), style.text(row["where"])
    figure.add_scatter(
        x=[row["value"]], y=[place], mode="markers+text", text=[shown], textposition="top center",
        marker={"color": colour, "size": 11}, cliponaxis=False, hoverinfo="text",
        hovertext=f"<b>{style.text(row['model'])}</b><br>{style.text(row['measure'])} {shown}<br>{where}",
        error_x={
            "type": "data", "symmetric": False, "array": [row["high"] - row["value"]],
            "arrayminus": [row["value"] - row["low"]], "thickness": 2, "width": 0, "color": colour,
        },
        row=1, col=column,
    )  # fmt: skip


def _written(row: pd.Series[Any]) -> str:
    if row["measure"] != WORST_LEVEL:
        return number(row["value"])
    return "baseline" if pd.isna(row["low"]) else percent(row["value"])


def _note(figure: Sketch, message: str, place: int, column: int, theme: style.Theme) -> None:
    figure.add_annotation(
        text=message, x=0.5, xref=f"x{column if column > 1 else ''} domain", y=place, showarrow=False,
        yref=f"y{column if column > 1 else ''}", font={"color": style.quiet(theme), "size": 12},
    )  # fmt: skip


def _axis(figure: Sketch, rows: pd.DataFrame, column: int) -> None:
    """Room on both sides for the numbers; the ratio's axis speaks in percent."""
    if rows.empty:
        return
    values = rows[["value", "low", "high"]].to_numpy(float)
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.2 * (most - least) or 0.1
    figure.update_xaxes(range=[least - room, most + room], nticks=5, row=1, col=column)
    if rows["measure"].iloc[0] == WORST_LEVEL:
        places, written = style.ratio_ticks(least, most)
        few = slice(None, None, -(-len(places) // 3))
        figure.update_xaxes(tickvals=places[few], ticktext=written[few], row=1, col=column)


def leaderboard(
    table: pd.DataFrame, measure: str, better: str, run: str, colours: dict[str, str], theme: style.Theme = "light"
) -> go.Figure:
    """From `leaderboard.excerpt`: a row per run and model, best on top; the models of one run in their colours."""
    if table.empty:
        return style.empty("No run that can be compared with this one has such a number.", theme)
    figure = Sketch()
    own = [row.run == run and row.model in colours for row in each(table)]
    inks = [colours[row.model] if ours else style.quiet(theme) for row, ours in zip(each(table), own, strict=True)]
    names = [
        style.in_colour(_place(row), ink) if ours else f"<span>{_place(row)}</span>"
        for row, ours, ink in zip(each(table), own, inks, strict=True)
    ]
    places = list(range(len(table)))[::-1]
    for row, place, ink in zip(each(table), places, inks, strict=True):
        if pd.notna(row.low) and pd.notna(row.high):
            line = {"color": ink, "width": 2}
            figure.add_scatter(x=[row.low, row.high], y=[place] * 2, mode="lines", line=line, hoverinfo="skip")
    hover = [
        f"<b>{style.text(row.model)}</b> of {style.text(row.run)}<br>{number(row.value)} "
        f"{interval(row.low, row.high)}<br>{style.text(row.where)}"
        for row in each(table)
    ]
    figure.add_scatter(
        x=table["value"], y=places, mode="markers", marker={"color": inks, "size": 10}, hovertext=hover,
        hoverinfo="text", customdata=table[["run"]].to_numpy(),
    )  # fmt: skip
    figure.update_yaxes(tickvals=places, ticktext=names, range=[-0.7, len(table) - 0.3], showgrid=False)
    figure.update_xaxes(title=f"{style.text(measure)}  {style.DIRECTIONS[better]}")
    return figure.figure(
        template=style.template(theme), height=110 + 26 * len(table), margin={"t": 16, "b": 48}, showlegend=False
    )


def _place(row: Any) -> str:
    return f"{row.rank:,}. {style.text(row.model)} · {style.text(row.run)}"
