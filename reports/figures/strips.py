"""The images behind a point of a curve: what a denoiser was given, what it answered, and what was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..numbers import number
from ..tables import each
from . import style
from .pictures import grid

Pictures = Mapping[int, np.ndarray]
"""`Run.worst`: tile number -> HWC uint8."""
Shown = tuple[pd.DataFrame, Pictures]
"""Rows of table `worst` of one model, and its pictures."""

NOISY, PREDICTION, TRUTH, DIFFERENCE = range(4)
NOT_KEPT = "not<br>kept"
"""Of an image that another model got so wrong that it was kept, and this one did not."""
STRIP = 50
"""Pixels a row of a strip beside a figure."""


def worst(
    model: str,
    own: Shown,
    colours: dict[str, str],
    theme: style.Theme = "light",
    baseline: str = "",
    other: Shown | None = None,
) -> go.Figure:
    """A row per image: noisy input, the model's answer, the truth, how far they are apart (mid-grey: not at all).

    Beside each row the image's id, its class, and its squared error. Where the baseline kept the same image and noise
    too, its answer stands beside the model's.
    """
    rows, pictures = own
    if rows.empty or not pictures:
        return style.empty("No images were kept at this level.", theme)
    theirs = {} if other is None else _predictions(*other)
    beside = any(_key(row) in theirs for row in each(rows))
    answers = [_in_colour("base", colours[baseline])] if beside else []
    titles = ["noisy", *answers, _in_colour("answer", colours[model]), "truth", "apart"]
    lines, names = [], []
    for row in each(rows):
        own_four = [pictures.get(row.tile + offset) for offset in (NOISY, PREDICTION, TRUTH, DIFFERENCE)]
        if beside:
            own_four.insert(1, theirs.get(_key(row)))
        lines.append({place: image for place, image in enumerate(own_four) if image is not None})
        label = f" ({row.label})" if row.label >= 0 else ""
        names.append(f"#{row.image}{label}<br><b>{number(row.error, 2)}</b>")
    figure = grid(lines, names, titles, STRIP, theme, NOT_KEPT)
    figure.update_layout(margin={"t": 28, "l": 8, "r": 8}, height=40 + STRIP * len(lines))
    return figure.update_xaxes(tickangle=0, tickfont_size=11).update_yaxes(tickfont_size=11)


def levels(shown: Mapping[str, Shown], colours: dict[str, str], theme: style.Theme = "light") -> go.Figure:
    """A column per level: what each model makes of the image that the last model gets most wrong there.

    Rows are the noisy input, each model's prediction, and the truth; a model that kept another image there is left out.
    """
    *_, (_, (rows, pictures)) = shown.items()
    firsts = rows.sort_values("sigma")
    common = {model: _predictions(*one) for model, one in shown.items()}
    chosen = [_most_shared(group, common) for _, group in firsts.groupby("level", sort=False)]
    if not chosen or not pictures:
        return style.empty("No images were kept at any level.", theme)
    lines = [{place: pictures[row.tile + NOISY] for place, row in enumerate(chosen)}]
    for predictions in common.values():
        lines.append({p: predictions[_key(row)] for p, row in enumerate(chosen) if _key(row) in predictions})
    lines.append({place: pictures[row.tile + TRUTH] for place, row in enumerate(chosen)})
    names = ["noisy", *(style.coloured(model, colours) for model in shown), "truth"]
    titles = [f"{number(row.sigma, 2)}<br>#{row.image}" for row in chosen]
    figure = grid(lines, names, titles, 56, theme, NOT_KEPT)
    return figure.update_xaxes(title={"text": "noise level σ, image", "standoff": 4}, tickangle=0, tickfont_size=10)


def _most_shared(group: pd.DataFrame, common: Mapping[str, Mapping[tuple[int, int, int], np.ndarray]]) -> Any:
    """The worst entry among those that most models kept."""
    ranked = sorted(each(group), key=lambda row: (-sum(_key(row) in kept for kept in common.values()), row.rank))
    return ranked[0]


def _predictions(rows: pd.DataFrame, pictures: Pictures) -> dict[tuple[int, int, int], np.ndarray]:
    """(level, image, draw) -> prediction."""
    return {_key(row): pictures[row.tile + PREDICTION] for row in each(rows) if row.tile + PREDICTION in pictures}


def _key(row: Any) -> tuple[int, int, int]:
    return int(row.level), int(row.image), int(row.draw)


def _in_colour(word: str, colour: str) -> str:
    return f"<b><span style='color:{colour}'>{word}</span></b>"
