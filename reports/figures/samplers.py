"""Quality against network evaluations on one panel: which setting is the cheapest within 5% of the best?

Of several models, a line each: the best that it reaches at a cost or less. Of one model, a line for each sampler, and
the model's Pareto front behind them. Names stand at the lines' ends; filled points are those that may be within 5% of
the best, for all that intervals say. Lines that share a cost stand side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..cheapest import SETTING, WITHIN, Answer, cheapest, judged, measured
from ..numbers import interval, number
from ..tables import better, by, each
from . import style
from .sketch import Sketch

DODGE = 0.022
"""Between neighbours at the same cost, of the whole span of log evaluations: so that intervals don't overlap."""
LINES = 9
"""More than this many samplers' lines are named only where they touch the front or hold a contender."""
FAR, NAMED = 4.0, 3
"""Settings so many times worse than the best would flatten all others; so many of them are named."""
ROOM = 0.08
"""Above and below all points, of the axis."""
HEIGHT, LABEL = 440, 17
"""Pixels: of the figure, and of a line's name."""
LEAST_GAP = LABEL / (HEIGHT - 130)
PANEL = (720, HEIGHT - 120)
"""Pixels of the panel, about: its width is the reader's."""
AWAY, LETTER = (54, 84, 114, 34, 150), 8.5
"""Pixels: a name's distances from what it names, the nicest first; a letter."""


@dataclass(frozen=True)
class _Line:
    name: str
    rows: pd.DataFrame
    """In order of evaluations."""
    colour: str
    dash: str
    symbol: str
    steps: bool
    """Whether it is a staircase: the best at a cost or less."""
    loud: bool


def samplers(
    table: pd.DataFrame,
    metric: str,
    colours: dict[str, str],
    theme: style.Theme = "light",
    model: str = "",
    chosen: Mapping[str, object] | None = None,
) -> go.Figure:
    """From `tables.samplers`: all models, or one of them by name. `chosen`: the setting that gets a ring."""
    rows = table[table["model"] == model] if model else table
    if rows.empty:
        return style.empty(f"No samples were scored by {metric or 'any metric'} in these runs.", theme)
    rows = judged(rows, metric) if better(metric) else rows.reset_index(drop=True).assign(verdict="unknown")
    one = len(set(rows["model"])) == 1
    lines = list(_by_sampler(rows, colours, theme) if one else _by_model(rows, colours))
    figure = Sketch()
    if one:
        _front(figure, rows, theme)
    span = math.log10(max(rows["evaluations"].max() / rows["evaluations"].min(), 1.5))
    shifts = dodges([list(line.rows["evaluations"]) for line in lines], span)
    for line, shift in zip(lines, shifts, strict=True):
        _draw(figure, line, shift, rows, theme)
        _ring(figure, line.rows, shift, chosen, theme)
    _axes(figure, rows, metric, beside=set(shifts) != {1.0})
    log = figure.layout["yaxis"].get("type") == "log"
    answer = cheapest(rows, metric)
    if answer is not None:
        _within(figure, answer.best, metric, theme)
        shift = next(s for line, s in zip(lines, shifts, strict=True) if answer.pick.name in line.rows.index)
        _point_out(figure, answer, shift, _places(figure, lines, shifts, log), log, theme)
    _legend(figure, one, theme)
    _names(figure, lines, rows, log)
    _note_what_leaves(figure, rows, one, theme)
    return figure.figure(
        template=style.template(theme), height=HEIGHT, margin={"t": 44, "r": 150, "b": 76}, legend_traceorder="normal"
    )


def _by_model(rows: pd.DataFrame, colours: dict[str, str]) -> Iterator[_Line]:
    for model, own in by(rows, "model"):
        yield _Line(model, own.sort_values("evaluations"), colours[model], "solid", "circle", steps=True, loud=True)


def _by_sampler(rows: pd.DataFrame, colours: dict[str, str], theme: style.Theme) -> Iterator[_Line]:
    marks = style.sampler_marks(rows["sampler"])
    several = [name for name in ("grid", "guidance") if len(set(rows[name])) > 1]
    groups = list(rows.groupby(["sampler", "grid", "guidance"], sort=False))
    for _, own in groups:
        first = own.iloc[0]
        parts = [str(first["grid"])] if "grid" in several else []
        parts += [f"guidance {first['guidance']}"] if "guidance" in several and first["guidance"] else []
        named = f"{first['sampler']}" + (f" ({', '.join(parts)})" if parts else "")
        symbol, dash = marks[first["sampler"]]
        loud = len(groups) <= LINES or bool(own["front"].any())
        colour = colours[first["model"]] if loud else style.quiet(theme)
        yield _Line(named, own.sort_values("evaluations"), colour, dash, symbol, steps=False, loud=loud)


def dodges(costs: Sequence[Sequence[float]], span: float) -> list[float]:
    """Factors that set lines beside each other, from each one's costs; 1 where none share a cost, or too many would.

    span: log10 of the highest cost over the lowest.
    """
    lines = len(costs)
    alone = len({cost for line in costs for cost in set(line)}) == sum(len(set(line)) for line in costs)
    if alone or lines > LINES:
        return [1.0] * lines
    apart = span * min(DODGE, 3 * DODGE / max(lines - 1, 1))
    return [float(10 ** (apart * (index - (lines - 1) / 2))) for index in range(lines)]


def best_so_far(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows, in order of evaluations, that are better than all of no more: the corners of a staircase."""
    loss = rows["value"].to_numpy(float) * (1.0 if better(metric) != "higher" else -1.0)
    order = np.lexsort((loss, rows["evaluations"]))
    before = np.minimum.accumulate(np.concatenate(([math.inf], loss[order][:-1])))
    return rows.iloc[order[loss[order] < before]]


def _front(figure: Sketch, rows: pd.DataFrame, theme: style.Theme) -> None:
    front = best_so_far(rows, _metric(rows))
    figure.add_scatter(
        x=[*front["evaluations"], rows["evaluations"].max()], y=[*front["value"], front["value"].iloc[-1]],
        mode="lines", showlegend=False, hoverinfo="skip",
        line={"color": style.rgba(style.quiet(theme), 0.25), "width": 9, "shape": "hv"},
    )  # fmt: skip


def _metric(rows: pd.DataFrame) -> str:
    return str(rows["metric"].iloc[0])


def _draw(figure: Sketch, line: _Line, shift: float, every: pd.DataFrame, theme: style.Theme) -> None:
    """The line, then its points; of a staircase, points off it small and without intervals."""
    rows = line.rows
    corners = best_so_far(rows, _metric(rows)) if line.steps else rows
    x, y = list(corners["evaluations"] * shift), list(corners["value"])
    if line.steps:
        x, y = [*x, float(every["evaluations"].max()) * 1.12], [*y, y[-1]]
    figure.add_scatter(
        x=x, y=y, mode="lines", hoverinfo="skip", showlegend=False, legendgroup=line.name,
        line={"color": line.colour, "width": 2 if line.loud else 1, "dash": line.dash,
              "shape": "hv" if line.steps else "linear"},
        opacity=1 if line.loud else 0.5,
    )  # fmt: skip
    on = rows.index.isin(corners.index)
    inks = [line.colour if one else style.faded(line.colour) for one in on]
    filled = rows["verdict"] != "beyond"
    bars = {"type": "data", "symmetric": False, "thickness": 1.3, "width": 0, "color": style.faded(line.colour)}
    figure.add_scatter(
        x=rows["evaluations"] * shift, y=rows["value"], mode="markers", showlegend=False, legendgroup=line.name,
        marker={
            "symbol": line.symbol, "size": np.where(on, 9, 5), "opacity": 1,
            "color": [ink if one else style.ground(theme) for ink, one in zip(inks, filled, strict=True)],
            "line": {"width": 1.6, "color": inks},
        },
        unselected_marker_opacity=1,  # a click fades nothing: the chosen point has a ring
        error_y={**bars, "array": (rows["high"] - rows["value"]).where(on & line.loud),
                 "arrayminus": (rows["value"] - rows["low"]).where(on & line.loud)},
        text=[_hover(row) for row in each(rows)], hoverinfo="text",
        customdata=rows[["model", "sampler", "steps", "grid", "guidance", "evaluations"]],
    )  # fmt: skip


VERDICTS = {
    "within": f"within {100 * WITHIN:.0f}% of the best", "may be": f"may be within {100 * WITHIN:.0f}% of the best",
    "beyond": f"surely not within {100 * WITHIN:.0f}% of the best", "unknown": "",
}  # fmt: skip


def _hover(row: Any) -> str:
    guided = f", guidance {style.text(row.guidance)}" if row.guidance else ""
    verdict = f"<br>{VERDICTS[row.verdict]}" if VERDICTS[row.verdict] else ""
    return (
        f"<b>{style.text(row.model)}</b> · {style.text(row.sampler)} {style.text(row.grid)}{guided}"
        f"<br>{row.steps} steps, {row.evaluations} network evaluations"
        f"<br>{number(row.value)} {interval(row.low, row.high)} · n = {row.n}{verdict}"
    )


def _within(figure: Sketch, best: pd.Series, metric: str, theme: style.Theme) -> None:
    """The strip of values within 5% of the best."""
    end = best["value"] * (1 + WITHIN if better(metric) == "lower" else 1 - WITHIN)
    figure.add_shape(
        type="rect", x0=0, x1=1, xref="x domain", y0=min(best["value"], end), y1=max(best["value"], end), yref="y",
        line_width=0, layer="below", fillcolor=_near(theme),
    )  # fmt: skip


def _near(theme: style.Theme) -> str:
    """The green of the strip, and of its entry in the legend."""
    return style.rgba(style.PALETTES[theme][2], 0.4)


def _ring(
    figure: Sketch, rows: pd.DataFrame, shift: float, chosen: Mapping[str, object] | None, theme: style.Theme
) -> None:
    """Around the point of the chosen setting, where it is one of these."""
    if chosen is None:
        return
    own = rows[np.logical_and.reduce([rows[name] == chosen[name] for name in SETTING])]
    if len(own):
        figure.add_scatter(
            x=own["evaluations"] * shift, y=own["value"], mode="markers", hoverinfo="skip", showlegend=False,
            marker={"symbol": "circle-open", "size": 19, "color": style.ink(theme), "line": {"width": 2.5}},
            unselected_marker_opacity=1, name="chosen",
        )  # fmt: skip


def _places(figure: Sketch, lines: Sequence[_Line], shifts: Sequence[float], log: bool) -> np.ndarray:
    """Where all points stand, in pixels from the panel's lower left corner. Shape (n, 2)."""
    x = np.concatenate([np.log10(line.rows["evaluations"] * shift) for line, shift in zip(lines, shifts, strict=True)])
    values = np.concatenate([line.rows["value"] for line in lines])
    with np.errstate(divide="ignore", invalid="ignore"):  # a value not above 0 has left a logarithmic panel
        y = np.log10(values) if log else values
    ends = np.array([figure.layout[axis]["range"] for axis in ("xaxis", "yaxis")], float)
    return np.asarray((np.column_stack((x, y)) - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * PANEL)


def _point_out(figure: Sketch, answer: Answer, shift: float, others: np.ndarray, log: bool, theme: style.Theme) -> None:
    """Names the pick, above or below it, where its name covers the fewest points and stays in the panel."""
    pick, lower = answer.pick, better(answer.metric) == "lower"
    x = math.log10(pick["evaluations"] * shift)
    y = math.log10(pick["value"]) if log else float(pick["value"])
    (left, right), (bottom, top) = (figure.layout[axis]["range"] for axis in ("xaxis", "yaxis"))
    at = ((x - left) / (right - left), (y - bottom) / (top - bottom))
    name = style.short(answer.title(pick), 44)
    anchor = "left" if at[0] < 0.25 else "right" if at[0] > 0.75 else "center"
    away = room(at[0] * PANEL[0], at[1] * PANEL[1], LETTER * len(name), anchor, others, up=not lower)
    figure.add_annotation(
        x=x, y=y, name="pick", text=f"<b>{style.text(name)}</b>", hovertext=measured(pick), font_size=13, ax=0,
        xanchor=anchor, ay=-away, standoff=7, showarrow=True, arrowhead=0, arrowwidth=1.4, arrowcolor=style.ink(theme),
        bgcolor=style.rgba(style.ground(theme), 0.85),
    )  # fmt: skip


def room(x: float, y: float, width: float, anchor: str, others: np.ndarray, up: bool) -> float:
    """How far above a point (below: negative) a name of this width has room, in pixels of the panel.

    Of the places inside the panel the one that covers the fewest of the others, shape (n, 2); the better side first.
    """
    begin = x - {"left": 0.0, "center": 0.5, "right": 1.0}[anchor] * width
    sides = (1, -1) if up else (-1, 1)
    places = [side * away for away in AWAY for side in sides if LABEL <= y + side * away <= PANEL[1] - LABEL]
    inside = others[(others[:, 0] > begin - LABEL) & (others[:, 0] < begin + width + LABEL)]
    covered = [int((np.abs(inside[:, 1] - y - place) < LABEL).sum()) for place in places]
    return float(places[int(np.argmin(covered))]) if places else float(sides[1] * AWAY[0])


def _names(figure: Sketch, lines: Sequence[_Line], rows: pd.DataFrame, log: bool) -> None:
    """Each line's name at its right end, moved apart where they would meet."""
    loud = [line for line in lines if line.loud]
    low, high = figure.layout["yaxis"]["range"]
    ends = [best_so_far(one.rows, _metric(rows)).iloc[-1] if one.steps else one.rows.iloc[-1] for one in loud]
    heights = [(math.log10(end["value"]) if log else end["value"]) for end in ends]
    places = spread([(height - low) / (high - low) for height in heights], LEAST_GAP)
    for line, place in zip(loud, places, strict=True):
        figure.add_annotation(
            x=1, xref="paper", xanchor="left", xshift=6, y=place, yref="paper", yanchor="middle", showarrow=False,
            text=f"<b>{style.text(style.short(line.name, 16))}</b>", hovertext=style.text(line.name), name="line",
            font={"color": style.letters(line.colour), "size": 13}, align="left",
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """The same places in [0, 1], moved as little as order and a least gap allow; evenly where there is no room."""
    from scipy.optimize import isotonic_regression  # slow to import: only this page waits for it

    if not places:
        return []
    gap = min(gap, 1 / max(len(places) - 1, 1))
    order = np.argsort(places, kind="stable")
    moved = np.clip(np.asarray(places, float)[order], 0.0, 1.0)
    ramp = gap * np.arange(len(moved))
    level = np.clip(isotonic_regression(moved - ramp).x, 0.0, 1.0 - ramp[-1])
    result = np.empty_like(level)
    result[order] = level + ramp
    return [float(one) for one in result]


def _legend(figure: Sketch, one: bool, theme: style.Theme) -> None:
    quiet, share = style.quiet(theme), f"{100 * WITHIN:.0f}%"
    mark = {"size": 9, "line": {"width": 1.6, "color": quiet}}
    entries: list[tuple[str, dict[str, Any]]] = [
        (f"within {share} of the best", {"marker": {"symbol": "square", "size": 12, "color": _near(theme)}}),
        (f"may be within {share}", {"marker": {"symbol": "circle", "color": quiet, **mark}}),
        ("surely not", {"marker": {"symbol": "circle", "color": style.ground(theme), **mark}}),
    ]
    for name, look in entries:
        figure.add_scatter(x=[None], y=[None], mode="markers", name=name, hoverinfo="skip", **look)
    name = "Pareto front" if one else "Pareto front of a model"
    line = {"color": style.rgba(quiet, 0.25 if one else 1), "width": 9 if one else 2, "shape": "hv"}
    figure.add_scatter(x=[None], y=[None], mode="lines", name=name, hoverinfo="skip", line=line)


def _axes(figure: Sketch, rows: pd.DataFrame, metric: str, beside: bool) -> None:
    least, most = int(rows["evaluations"].min()), int(rows["evaluations"].max())
    places = [least * 2**power for power in range(math.floor(math.log2(most / least) + 0.1) + 1)]
    pad = 0.06 * math.log10(max(most / least, 1.5))
    ends = [math.log10(least) - pad, math.log10(most) + pad]
    figure.update_xaxes(type="log", tickvals=places, ticktext=[str(place) for place in places], range=ends)
    told = " (points of one cost stand side by side)" if beside else ""
    figure.update_xaxes(title_text=f"network evaluations per sample{told}")
    low, high = reach(rows)
    if low > 0 and high > 2.5 * low:
        pad = ROOM * math.log10(high / low)
        figure.update_yaxes(**style.log_axis(low, high), range=[math.log10(low) - pad, math.log10(high) + pad])
    else:
        pad = ROOM * ((high - low) or abs(high) or 1.0)
        figure.update_yaxes(range=[low - pad, high + pad])
    figure.update_yaxes(title_text=f"{style.text(metric)}<br>{style.DIRECTIONS[better(metric)]}")


def reach(rows: pd.DataFrame) -> tuple[float, float]:
    """The ends of the axis: all values not FAR worse than the best one, with their intervals where these don't flatten
    them. What lies beyond leaves the panel, and a note says so."""
    values, metric, near = rows["value"], _metric(rows), rows
    if better(metric) == "lower" and values.min() > 0:
        near = rows[values <= FAR * values.min()]
    elif better(metric) == "higher" and values.max() > 0:
        near = rows[values >= values.max() / FAR]
    low, high = float(near["value"].min()), float(near["value"].max())
    ends = near[["low", "value", "high"]].to_numpy(float)
    bottom, top = float(np.nanmin(ends)), float(np.nanmax(ends))
    span = (high - low) or abs(high) or 1.0
    bottom, top = max(bottom, low - 1.5 * span), min(top, high + 1.5 * span)
    return (max(bottom, low / 2.5) if low > 0 else bottom), top


def _note_what_leaves(figure: Sketch, rows: pd.DataFrame, one: bool, theme: style.Theme) -> None:
    low, high = reach(rows)
    beyond = rows[(rows["value"] > high) | (rows["value"] < low)].sort_values("value", ascending=False)
    if beyond.empty:
        return
    named = [
        f"{style.text(style.short(row.sampler) if one else style.short(row.model))}"
        + (f" {row.steps}" if one else f" {style.text(style.short(row.sampler))} {row.steps}")
        + f" ({number(row.value)})"
        for row in each(beyond.head(NAMED))
    ]
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    figure.add_annotation(
        text=f"off this scale: {', '.join(named)}{more}", x=1, xref="paper", xanchor="right", y=0, yref="paper",
        yanchor="top", yshift=-50, showarrow=False, font={"size": 11, "color": style.quiet(theme)}, name="beyond",
    )  # fmt: skip
