"""What the samples look like: a row per model, a column per sample id, so that a column is one seed in every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ..numbers import number
from ..samples import LOWEST_FIRST, Kept, Sampled, most_different
from . import style
from .pictures import difference, flip, grid, largest_gain, targets

MAX_COLUMNS = 12
LESS = "− baseline"
"""Over what differs from the baseline's image."""
LARGE = 62
"""Pixels a row of a closeup, in a column beside the grid."""


def samples(
    sampled: Sampled,
    colours: dict[str, str],
    theme: style.Theme = "light",
    ids: Sequence[int] | None = None,
    score: str = "",
    of: str = "",
    pitch: int = 74,
) -> go.Figure:
    """The images of `ids` in this order, else the first twelve that some model has kept.

    pitch: as in `grid`.
    score, of: a score and the model whose values of it stand over the columns; one of nearness brings that model's
    nearest training images into a row of their own.
    """
    chosen = sampled.ids[:MAX_COLUMNS] if ids is None else list(ids)
    if not chosen or not sampled.kept:
        return style.empty("No images were kept for this sampler.", theme)
    values = sampled.values(score, of) if score else {}
    notes = {sample: number(value, 2) for sample, value in values.items()}
    rows: list[dict[int, np.ndarray]] = []
    names: list[str] = []
    said: dict[tuple[int, int], tuple[str, list[object]]] = {}
    for model, images in sampled.kept.items():
        lines = [(style.coloured(model, colours), images)]
        if model == of and score in LOWEST_FIRST and model in sampled.beside:
            lines.append(("nearest in<br>training", sampled.beside[model]))
        for name, kept in lines:
            row = {place: kept[sample] for place, sample in enumerate(chosen) if sample in kept}
            said |= {(len(rows), at): (_facts(sampled, model, chosen[at]), [model, chosen[at]]) for at in row}
            rows.append(row)
            names.append(name)
    titles = [title(sample, sampled.classes, notes) for sample in chosen]
    figure = grid(rows, names, titles, pitch, theme, "not<br>kept")
    targets(figure, rows, said)
    return figure


def closeup(sampled: Sampled, sample: int, colours: dict[str, str], baseline: str, theme: style.Theme) -> go.Figure:
    """One seed, large: of each model its sample, what differs from the baseline's, and the training image nearest."""
    models = [model for model, images in sampled.kept.items() if sample in images]
    if not models:
        return style.empty(f"No model kept sample {sample}.", theme)
    columns = ["sample", LESS, "training"] if sampled.beside else ["sample", LESS]
    if baseline not in models or len(models) == 1:
        columns.remove(LESS)
    base = sampled.kept.get(baseline, {}).get(sample)
    rows, names = [], []
    for model in models:
        own = {"sample": sampled.kept[model][sample]}
        if base is not None and model != baseline and base.shape == own["sample"].shape:
            own[LESS] = difference(base, own["sample"])
        if sample in sampled.beside.get(model, {}):
            own["training"] = sampled.beside[model][sample]
        rows.append({place: own[name] for place, name in enumerate(columns) if name in own})
        names.append("<br>".join([style.coloured(model, colours), *map(style.text, sampled.facts(model, sample)[:2])]))
    figure = grid(rows, names, columns, LARGE, theme)
    figure.update_layout(height=34 + LARGE * len(rows), margin={"t": 26, "l": 8, "r": 8, "b": 6})
    return figure.update_xaxes(tickfont_size=11, tickangle=0).update_yaxes(tickfont_size=11)


def pairs(rows: Kept, labels: Mapping[int, int] | None = None, theme: style.Theme = "light") -> go.Figure:
    """Same-seed images of a baseline and a candidate, the first two of `rows`, in one place, with buttons to flip.

    Those that differ most come first.
    """
    (first, ours), (second, theirs) = [*rows.items(), ("", {}), ("", {})][:2]
    apart = most_different(ours, theirs)
    if not apart:
        return style.empty("No seed has an image of both models in this setting.", theme)
    both = list(apart)[: 3 * MAX_COLUMNS]
    gain = largest_gain([(ours[sample], theirs[sample]) for sample in both])
    face = f"difference ×{number(gain, 2)}" if gain > 1 else "difference"
    faces = {
        style.text(first): dict(enumerate(ours[sample] for sample in both)),
        style.text(second): dict(enumerate(theirs[sample] for sample in both)),
        face: dict(enumerate(difference(ours[sample], theirs[sample], gain) for sample in both)),
    }
    titles = [title(sample, labels or {}, {}) for sample in both]
    lines = zip(titles, both, strict=True)
    said = [f"{name.replace('<br>', ', ')}<br>differs by {number(apart[one], 2)}" for name, one in lines]
    short = [f"#{one} ({labels[one]})" if labels and labels.get(one, -1) >= 0 else f"#{one}" for one in both]
    return flip(faces, short, MAX_COLUMNS, theme=theme, said=said)


def title(sample: int, labels: Mapping[int, int], notes: Mapping[int, str]) -> str:
    lines = [f"#{sample}"]
    lines += [f"class {labels[sample]}"] if labels.get(sample, -1) >= 0 else []
    lines += [style.text(notes[sample])] if sample in notes else []
    return "<br>".join(lines)


def _facts(sampled: Sampled, model: str, sample: int) -> str:
    lines = [f"<b>{style.text(model)}</b>", title(sample, sampled.classes, {}).replace("<br>", ", ")]
    return "<br>".join([*lines, *map(style.text, sampled.facts(model, sample))])
