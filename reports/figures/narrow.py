"""The same figure on a phone: panels that stand side by side go under one another, and a finger scrolls the page."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

PANEL, GAP = (150.0, 260.0), 108.0
"""Pixels: the least and the largest height of a panel, and what lies between two, for ticks and titles."""
TILE = 46
"""Pixels that an image takes at least; what has no room scrolls in a box of its own."""


def narrow(figure: go.Figure) -> dict[str, Any]:
    """What `Plotly.relayout` takes to stack the panels of a figure; the same axes, numbers and colours."""
    layout = figure.layout
    patch: dict[str, Any] = {"dragmode": False}
    panels = _panels(figure)
    if least_width(figure):
        rows = len(layout.yaxis.tickvals or ())
        height = float(layout.margin.t or 48) + float(layout.margin.b or 56) + TILE * rows
        return patch | {"height": height, "xaxis.tickangle": 0, "xaxis.tickfont.size": 10}
    if len({layout[x].domain for x, _ in panels}) < 2:
        return patch | _broken(figure)
    rows = len({layout[y].domain for _, y in panels})
    above, below = float(layout.margin.t or 48), float(layout.margin.b or 56)
    height = min(max((float(layout.height) - above - below) / rows, PANEL[0]), PANEL[1])
    inner = len(panels) * height + (len(panels) - 1) * GAP
    titles = [place for place, note in enumerate(layout.annotations) if note.xref == "paper" and note.yref == "paper"]
    for place, (x, y) in enumerate(panels):
        top = 1 - place * (height + GAP) / inner
        patch |= {f"{x}.domain": [0, 1], f"{y}.domain": [top - height / inner, top]}
        patch |= {f"{x}.showticklabels": True, f"{y}.showticklabels": True}
        patch |= {f"{x}.title.text": _title(figure, x, "xaxis"), f"{y}.title.text": _title(figure, y, "yaxis")}
        if place < len(titles):
            note = f"annotations[{titles[place]}]"
            patch |= {f"{note}.x": 0.5, f"{note}.y": top, f"{note}.font.size": 11}
    return patch | {"height": above + inner + below, "legend.y": 1 + 44 / inner, "margin.l": 8}


def least_width(figure: go.Figure) -> int:
    """Pixels that a sheet of many images needs to be looked at; 0 where a phone's are enough."""
    pictures = any(trace.type == "image" for trace in figure.data) or bool(figure.layout.images)
    columns = len(figure.layout.xaxis.tickvals or ()) if pictures else 0
    return 110 + TILE * columns if columns > 6 else 0


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


def _broken(figure: go.Figure) -> dict[str, Any]:
    """Long notes at the right edge, a part a line, and room under them."""
    notes = [
        (place, note.text.replace(", ", ",<br>"))
        for place, note in enumerate(figure.layout.annotations)
        if note.xref == "paper" and note.xanchor == "right" and note.x == 1
    ]
    lines = max((text.count("<br>") for _, text in notes), default=0)
    patch = {f"annotations[{place}].text": text for place, text in notes}
    return patch | ({"margin.b": float(figure.layout.margin.b or 56) + 15 * lines} if lines else {})
