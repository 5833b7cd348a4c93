"""The same figure on a phone: panels that stand side by side go under one another, and a finger scrolls the page.

The HTML report sends the patch along, and the browser applies it; the dashboard applies it before it sends a figure.
"""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from . import lettering, style
from .lettering import PLOT, SCREEN, width

PANEL, GAP = (150.0, 260.0), 108.0
"""Pixels: the least and the largest height of a panel, and what lies between two, for ticks and titles."""
TILE = 50
"""Pixels that an image takes at least; what has no room scrolls in a box of its own."""
HEADED = 44
"""Pixels between the uppermost panel and the legend, where panels have titles."""
LEAST = 8
"""Pixels on the left, where Plotly takes what numbers need."""
NAMES, LINE = 150, 15
"""Pixels: what the names of rows may take, and a line of small print."""


def narrow(figure: go.Figure) -> dict[str, Any]:
    """What `Plotly.relayout` takes to stack the panels of a figure; the same axes, numbers and colours."""
    patch: dict[str, Any] = {"dragmode": False}
    if _pictures(figure):
        return patch | _sheet(figure)
    for name in figure.layout:
        if name.startswith("xaxis"):
            patch |= {f"{name}.{key}": value for key, value in lettering.thinned(figure.layout[name]).items()}
    legend = lettering.ROW * lettering.legend_rows(figure)
    if legend:
        patch |= {"legend.font.size": 11, "legend.tracegroupgap": 2}
    panels = _panels(figure)
    beside = len({figure.layout[x].domain for x, _ in panels}) > 1
    return patch | (_stacked(figure, panels, legend) if beside else _alone(figure, legend))


def least_width(figure: go.Figure) -> int:
    """Pixels that a sheet of many images needs to be looked at; 0 where a phone's are enough."""
    columns = len(figure.layout.xaxis.tickvals or ()) if _pictures(figure) else 0
    return 110 + TILE * columns if columns > 6 else 0


def _pictures(figure: go.Figure) -> bool:
    return any(trace.type == "image" for trace in figure.data) or bool(figure.layout.images)


def _sheet(figure: go.Figure) -> dict[str, Any]:
    """Images keep their shape: only as high as they are at this width."""
    layout, least = figure.layout, least_width(figure)
    patch: dict[str, Any] = {"xaxis.tickangle": 0, "xaxis.tickfont.size": 10} if least else {}
    across, down = _extent(layout.xaxis), _extent(layout.yaxis)
    if not across or not down:
        return patch
    left, right, above, below = _margins(figure)
    names = max((width(text) for text in layout.yaxis.ticktext or ()), default=0.0)
    height = ((least or SCREEN) - max(left if layout.margin.l else 0.0, names) - right) * down / across
    return patch | {"height": min(height + above + below, float(layout.height))}


def _extent(axis: go.layout.XAxis | go.layout.YAxis) -> float:
    """How far a sheet reaches, in its own pixels; 0 where its axis doesn't tell."""
    if axis.range:
        return abs(float(axis.range[1]) - float(axis.range[0]))
    ticks = list(axis.tickvals or ())
    return float(len(ticks) * (ticks[1] - ticks[0])) if len(ticks) > 1 else 0.0


def _stacked(figure: go.Figure, panels: list[tuple[str, str]], legend: float) -> dict[str, Any]:
    """Every panel as wide as the screen, with the titles that it shared with those beside it."""
    layout, patch = figure.layout, dict[str, Any]()
    _, _, above, below = _margins(figure)
    rows = len({layout[y].domain for _, y in panels})
    height = min(max((float(layout.height) - above - below) / rows, PANEL[0]), PANEL[1])
    inner = len(panels) * height + (len(panels) - 1) * GAP
    titles = [place for place, note in enumerate(layout.annotations) if note.xref == "paper" and note.yref == "paper"]
    for place, (x, y) in enumerate(panels):
        top = 1 - place * (height + GAP) / inner
        patch |= {f"{x}.domain": [0, 1], f"{y}.domain": [top - height / inner, top]}
        patch |= {f"{x}.showticklabels": True, f"{y}.showticklabels": True}
        under = _title(figure, x, "xaxis")
        patch |= {f"{x}.title.text": under and lettering.title(under), f"{y}.title.text": _title(figure, y, "yaxis")}
        if place < len(titles):
            note = f"annotations[{titles[place]}]"
            patch |= {f"{note}.x": 0.5, f"{note}.y": top, f"{note}.font.size": 11}
    above = max(above, HEADED + legend) if legend else above
    patch |= {"legend.y": 1 + HEADED / inner, "margin.t": above, "margin.l": LEAST}
    return patch | {"height": above + inner + below}


def _panels(figure: go.Figure) -> list[tuple[str, str]]:
    """(x axis, y axis) of every panel, in the order in which `make_subplots` counts."""
    axes = [name for name in figure.layout if name.startswith("yaxis") and not figure.layout[name].overlaying]
    axes.sort(key=lambda name: int(name.removeprefix("yaxis") or 1))
    pairs = ((f"xaxis{(figure.layout[name].anchor or 'x').removeprefix('x')}", name) for name in axes)
    return [(x, y) for x, y in pairs if x in figure.layout and figure.layout[x].domain]


def _title(figure: go.Figure, axis: str, kind: str) -> str | None:
    """An axis' title, or that of the one whose it shares: the only one of its kind."""
    own = figure.layout[axis].title.text
    if own:
        return str(own)
    shared = {figure.layout[name].title.text for name in figure.layout if name.startswith(kind)} - {None}
    return str(shared.pop()) if len(shared) == 1 else None


def _alone(figure: go.Figure, legend: float) -> dict[str, Any]:
    """Panels that are under one another already: words in lines that fit, and room for them beside the panels'."""
    _, right, above, below = _margins(figure)
    patch, titled, named = _axes(figure.layout)
    patch["margin.l"] = LEAST
    notes, noted = _notes(figure.layout, right, titled)
    more, under = max(0.0, legend + 12 - above), LINE * (titled + noted)
    if more:
        patch["margin.t"] = above + more
    if under:
        patch["margin.b"] = below + under
    if (more or under or named) and figure.layout.height:
        patch["height"] = float(figure.layout.height) + more + under + LINE * named
    return patch | notes


def _axes(layout: go.Layout) -> tuple[dict[str, Any], int, int]:
    """Titles and names of rows in lines that fit; how many lines these take more, below and in all rows."""
    patch, titled, named = dict[str, Any](), 0, 0
    for name in layout:
        axis = layout[name]
        if name.startswith("xaxis") and axis.title.text:
            title = lettering.title(axis.title.text)
            patch[f"{name}.title.text"] = title
            titled = max(titled, title.count("<br>") - axis.title.text.count("<br>"))
        texts = [str(text) for text in axis.ticktext or ()] if name.startswith("yaxis") else []
        if any(width(text) > NAMES for text in texts):
            patch[f"{name}.ticktext"] = [text.replace(" · ", "<br>") for text in texts]
            named = max(named, len(texts))
    return patch, titled, named


def _notes(layout: go.Layout, right: float, titled: int) -> tuple[dict[str, Any], int]:
    """Headings and notes on the paper in lines that fit; how many more those below take, `titled` under the axes'."""
    patch, noted = dict[str, Any](), 0
    placed = [(place, note) for place, note in enumerate(layout.annotations) if note.xref == "paper"]
    heads = [(place, note) for place, note in placed if (note.xanchor, note.x) == ("left", 0)]
    over = max((width(note.text) - PLOT for _, note in heads), default=0.0)
    if over > 0:  # they begin over the names of the rows
        patch |= {f"annotations[{place}].xshift": -over for place, _ in heads}
    for place, note in placed:
        if note.x == 0.5 and width(note.text) > PLOT:
            patch[f"annotations[{place}].text"] = lettering.title(note.text)
        if (note.xanchor, note.x) == ("right", 1) and (titled or width(note.text) > SCREEN):
            text, across, down = lettering.note(note.text), note.xshift or 0, note.yshift or 0
            moved = {"text": text, "xshift": across + right - 12, "yshift": down - LINE * titled}
            patch |= {f"annotations[{place}].{key}": value for key, value in moved.items()}
            noted = max(noted, text.count("<br>"))
    return patch, noted


def _margins(figure: go.Figure) -> tuple[float, float, float, float]:
    """Left, right, above, below; those of the house where a figure has no own."""
    own = figure.layout.margin
    usual = zip((own.l, own.r, own.t, own.b), (style.MARGINS[side] for side in "lrtb"), strict=True)
    left, right, above, below = (float(default if one is None else one) for one, default in usual)
    return left, right, above, below
