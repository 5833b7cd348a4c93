"""What the samples look like: a row per model, a column per sample id, so that a column is one seed in every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from . import style
from .pictures import difference, flip, grid

MAX_COLUMNS = 12

Kept = Mapping[str, Mapping[int, np.ndarray]]
"""model -> (sample id -> HWC uint8)."""


def samples(
    rows: Kept,
    colours: dict[str, str],
    labels: Mapping[int, int] | None = None,
    theme: style.Theme = "light",
    ids: Sequence[int] | None = None,
    notes: Mapping[int, str] | None = None,
) -> go.Figure:
    """The images of `ids` in this order, else the first twelve that some model has kept.

    labels: sample id -> class asked for; -1 where there was none. notes: sample id -> what else stands over a column.
    """
    shown = shared_ids(rows)[:MAX_COLUMNS] if ids is None else list(ids)
    if not shown or not any(rows.values()):
        return style.empty("No images were kept for this sampler.", theme)
    titles = [title(sample, labels or {}, notes or {}) for sample in shown]
    columns = [{place: kept[sample] for place, sample in enumerate(shown) if sample in kept} for kept in rows.values()]
    return grid(columns, [style.coloured(model, colours) for model in rows], titles, 74, theme)


def pairs(rows: Kept, labels: Mapping[int, int] | None = None, theme: style.Theme = "light") -> go.Figure:
    """Same-seed images of a baseline and a candidate, the first two of `rows`, in one place, with buttons to flip."""
    both = sorted(set.intersection(*(set(kept) for kept in rows.values()))) if len(rows) > 1 else []
    if not both:
        return style.empty("No seed has an image of both models in this setting.", theme)
    both = both[: 3 * MAX_COLUMNS]
    (first, ours), (second, theirs) = list(rows.items())[:2]
    faces = {
        style.text(first): dict(enumerate(ours[sample] for sample in both)),
        style.text(second): dict(enumerate(theirs[sample] for sample in both)),
        "difference": dict(enumerate(difference(ours[sample], theirs[sample]) for sample in both)),
    }
    return flip(faces, [title(sample, labels or {}, {}) for sample in both], MAX_COLUMNS, theme=theme)


def shared_ids(rows: Kept) -> list[int]:
    """Sample ids that any model kept, in order."""
    return sorted({sample for images in rows.values() for sample in images})


def title(sample: int, labels: Mapping[int, int], notes: Mapping[int, str]) -> str:
    lines = [f"#{sample}"]
    lines += [f"class {labels[sample]}"] if labels.get(sample, -1) >= 0 else []
    lines += [style.text(notes[sample])] if sample in notes else []
    return "<br>".join(lines)
