"""Quality against network evaluations: a panel per model, a line per sampler, the best of all models in grey.

Filled points are those that nothing of their cost or less surely beats; hollow ones are beaten.
"""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..numbers import interval, number
from ..tables import better, each
from . import style

COLUMNS = 4


def samplers(table: pd.DataFrame, metric: str, colours: dict[str, str], theme: style.Theme = "light") -> go.Figure:
    """From `tables.samplers`. The broad grey line is the Pareto front of models and samplers; its points wear rings.
    A point is hollow where a setting of no more evaluations is better by more than the point's own interval.

    All panels share both axes, so that heights compare across models as well as along a line.
    """
    if table.empty:
        return style.empty(f"No samples were scored by {metric or 'any metric'} in these runs.", theme)
    models = list(dict.fromkeys(table["model"]))
    columns = min(COLUMNS, len(models))
    rows = math.ceil(len(models) / columns)
    figure = make_subplots(
        rows=rows, cols=columns, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=0.14,
        subplot_titles=[f"<b>{style.text(model)}</b>" for model in models],
    )  # fmt: skip
    marks = style.sampler_marks(table["sampler"])
    front = table[table["front"]].sort_values("evaluations")
    for index, model in enumerate(models):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        _front_line(figure, front, place, theme)
        for _, line in table[table["model"] == model].groupby(["sampler", "grid", "guidance"], sort=False):
            ordered = line.sort_values("evaluations")
            _sampler_line(figure, ordered, marks[ordered["sampler"].iloc[0]], colours[model], place, theme)
        figure.layout.annotations[index].update(font={"color": colours[model], "size": 13})
    _legend(figure, marks, theme)
    _axes(figure, table, metric, rows, columns)
    return figure.update_layout(
        template=style.template(theme), height=130 + 330 * rows, margin_t=80, legend_y=1 + 0.09 / rows
    )


def _front_line(figure: go.Figure, front: pd.DataFrame, place: dict[str, int], theme: style.Theme) -> None:
    figure.add_scatter(
        x=front["evaluations"], y=front["value"], mode="lines", showlegend=False, hoverinfo="skip",
        line={"color": style.rgba(style.quiet(theme), 0.3), "width": 8}, **place,
    )  # fmt: skip


def _sampler_line(
    figure: go.Figure, line: pd.DataFrame, mark: tuple[str, str], colour: str, place: dict[str, int], theme: style.Theme
) -> None:
    hover = [
        f"<b>{style.text(row.model)}</b> · {style.text(row.sampler)} {style.text(row.grid)}{_guided(row.guidance)}"
        f"<br>{row.steps} steps, {row.evaluations} network evaluations"
        f"<br>{number(row.value)} {interval(row.low, row.high)} · n = {row.n}"
        for row in each(line)
    ]
    figure.add_scatter(
        x=line["evaluations"], y=line["value"], mode="lines+markers", showlegend=False,
        line={"color": colour, "width": 1.8, "dash": mark[1]},
        marker={
            "symbol": mark[0], "size": [10 if front else 7 for front in line["front"]],
            "color": [colour if contender else style.ground(theme) for contender in line["contender"]],
            "line": {
                "width": [2 if front else 1.5 for front in line["front"]],
                "color": [style.ink(theme) if front else colour for front in line["front"]],
            },
        },
        error_y={
            "type": "data", "symmetric": False, "array": line["high"] - line["value"],
            "arrayminus": line["value"] - line["low"], "thickness": 1, "width": 0, "color": colour,
        },
        text=hover, hoverinfo="text", **place,
    )  # fmt: skip


def _guided(guidance: str) -> str:
    return f", guidance {style.text(guidance)}" if guidance else ""


def _legend(figure: go.Figure, marks: dict[str, tuple[str, str]], theme: style.Theme) -> None:
    """The samplers' symbols in a neutral ink: colour belongs to the models."""
    quiet = style.quiet(theme)
    entries = [(style.text(name), symbol, dash, 1.8, quiet) for name, (symbol, dash) in marks.items()]
    for name, symbol, dash, width, colour in entries:
        figure.add_scatter(
            x=[None], y=[None], mode="lines+markers", name=name, line={"color": colour, "dash": dash, "width": width},
            marker={"symbol": symbol, "size": 8, "color": colour}, hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="lines+markers", hoverinfo="skip", row=1, col=1,
        name="best of all models (Pareto front)",
        line={"color": style.rgba(quiet, 0.3), "width": 8},
        marker={"symbol": "circle-open", "size": 10, "color": style.ink(theme), "line": {"width": 2}},
    )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="markers", hoverinfo="skip", row=1, col=1, name="beaten for sure at no more cost",
        marker={"symbol": "circle-open", "size": 8, "color": quiet, "line": {"width": 1.5}},
    )  # fmt: skip


def _axes(figure: go.Figure, table: pd.DataFrame, metric: str, rows: int, columns: int) -> None:
    least, most = int(table["evaluations"].min()), int(table["evaluations"].max())
    places = [least * 2**power for power in range(math.floor(math.log2(most / least) + 0.1) + 1)]
    figure.update_xaxes(type="log", tickvals=places, ticktext=[str(place) for place in places])
    for column in range(1, columns + 1):
        figure.update_xaxes(title_text="network evaluations", row=rows, col=column)
    if table["value"].min() > 0 and table["value"].max() > 5 * table["value"].min():
        figure.update_yaxes(**style.log_axis(table["value"].min(), table["value"].max()))
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=f"{style.text(metric)}<br>{style.DIRECTIONS[better(metric)]}", row=row, col=1)
