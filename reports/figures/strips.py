"""The images behind a point of a curve: what a denoiser was given, what it answered, and what was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..numbers import number, percent
from ..tables import each
from . import style
from .pictures import grid, targets

Pictures = Mapping[int, np.ndarray]
"""`Run.worst`: tile number -> HWC uint8."""
Shown = tuple[pd.DataFrame, Pictures]
"""Rows of table `worst` of one model, and its pictures."""

First = Literal["losses", "hardest"]
"""Which images of a level come first: those that lose most against the baseline, or those with the largest error."""

KEYS = ["level", "image", "draw"]
"""What two models must have in common for their answers to be compared."""
NOISY, PREDICTION, TRUTH, DIFFERENCE = range(4)
NOT_KEPT = "not<br>kept"
"""Of an image that another model got so wrong that it was kept, and this one did not."""
MOST = 8
"""Rows of a strip of one level."""
STRIP = 45
"""Pixels a row of a strip beside a figure."""


def worst(
    model: str,
    own: Shown,
    colours: dict[str, str],
    theme: style.Theme = "light",
    baseline: str = "",
    other: Shown | None = None,
    first: First = "losses",
) -> go.Figure:
    """A row per image, at most MOST: noisy input, the model's answer, the truth, and answer less truth (mid-grey: no
    difference).

    Beside each row the image's id, its class, and its squared error. Where the baseline kept the same image and noise
    too, its answer stands beside the model's, and its error before the model's. first: see `paired`.
    """
    rows = paired(own[0], other[0] if other else None, first).head(MOST)
    return _strip(model, (rows, own[1]), colours, theme, baseline, other)


def image(
    model: str,
    own: Shown,
    number: int,
    colours: dict[str, str],
    theme: style.Theme = "light",
    baseline: str = "",
    other: Shown | None = None,
) -> go.Figure:
    """The same of one image, a row for each noise level at which the model kept it, the least noise first."""
    rows = paired(own[0], other[0] if other else None, "hardest")
    rows = rows[rows["image"] == number].sort_values("sigma", kind="stable")
    return _strip(model, (rows, own[1]), colours, theme, baseline, other, by_level=True)


def paired(rows: pd.DataFrame, other: pd.DataFrame | None, first: First = "losses") -> pd.DataFrame:
    """Rows of table `worst` of a model, with the baseline's error at the same image and noise as `base`, else NaN.

    first: "losses", only those that both models kept, the largest loss first; "hardest", all, those that both kept
    first, and then by the model's own error. Where no image was kept by both, it is always "hardest".
    """
    if rows.empty:
        return rows.assign(base=np.nan)
    if other is None or other.empty:
        return rows.assign(base=np.nan).sort_values("rank", kind="stable")
    base = other[[*KEYS, "error"]].rename(columns={"error": "base"})
    joined = rows.merge(base, on=KEYS, how="left", validate="one_to_one")
    both = joined[joined["base"].notna()]
    if first == "losses" and len(both):
        return both.iloc[np.argsort(both["base"] - both["error"], kind="stable")]
    return joined.assign(alone=joined["base"].isna()).sort_values(["alone", "rank"], kind="stable")


def _strip(
    model: str,
    own: Shown,
    colours: dict[str, str],
    theme: style.Theme,
    baseline: str,
    other: Shown | None,
    by_level: bool = False,
) -> go.Figure:
    rows, pictures = own
    if rows.empty or not pictures:
        return style.empty("No images were kept at this level.", theme)
    theirs = {} if other is None else _predictions(*other)
    beside = any(_key(row) in theirs for row in each(rows))
    answers = [style.in_colour("base", colours[baseline])] if beside else []
    titles = ["noisy", *answers, style.in_colour("answer", colours[model]), "truth", "answer<br>− truth"]
    lines, names = [], []
    said: dict[tuple[int, int], tuple[str, list[object]]] = {}
    for row in each(rows):
        own_four = [pictures.get(row.tile + offset) for offset in (NOISY, PREDICTION, TRUTH, DIFFERENCE)]
        if beside:
            own_four.insert(1, theirs.get(_key(row)))
        lines.append({place: image for place, image in enumerate(own_four) if image is not None})
        names.append(_name(row, by_level))
        hover = f"{_name(row, False)}<br>σ {number(row.sigma, 3)}"
        said |= {(len(lines) - 1, place): (hover, [int(row.image)]) for place in lines[-1]}
    figure = grid(lines, names, titles, STRIP, theme, NOT_KEPT)
    targets(figure, lines, said)
    figure.update_layout(margin={"t": 60, "l": 8, "r": 8}, height=72 + STRIP * len(lines))
    return figure.update_xaxes(tickangle=0, tickfont_size=11).update_yaxes(tickfont_size=10)


def _name(row: Any, by_level: bool) -> str:
    """ "#335 (6) +45%<br><b>0.066 → 0.096</b>": squared error, of the baseline first where it is known.

    Bold is what rows are ordered by.
    """
    label = f" ({row.label})" if row.label >= 0 else ""
    head = f"σ {number(row.sigma, 2)}" if by_level else f"#{row.image}{label}"
    if np.isnan(row.base):
        return f"{head}<br><b>{number(row.error, 2)}</b>"
    change = f" {percent(row.error / row.base)}" if row.base > 0 else ""
    return f"{head}{change}<br><b>{number(row.base, 2)} → {number(row.error, 2)}</b>"


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
