"""The way from noise to a sample as film strips: each model's state and prediction of one seed, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from ..numbers import number
from . import pictures, style

FRAMES = 11
"""At most so many columns: of more steps, as many as evenly apart as can be, the first and the last among them."""
PICTURES = ("state", "prediction")

Film = Mapping[tuple[int, str], np.ndarray]
"""(index, "state" or "prediction") -> HWC uint8, of one sample."""


def film(
    films: Mapping[str, Film], sigmas: Sequence[float], colours: Mapping[str, str], theme: style.Theme = "light"
) -> go.Figure:
    """Two rows a model: the noisy state, and what the network takes it for; a column a step, under its noise level.

    sigmas: of each index, the last 0. A prediction stands where there is one: not at infinite sigma, and not at 0.
    """
    shown = {model: one for model, one in films.items() if one}
    if not shown:
        return style.empty("No film was kept of this sampler.", theme)
    chosen = frames(len(sigmas))
    rows, names = [], []
    for model, one in shown.items():
        for picture in PICTURES:
            rows.append({place: one[index, picture] for place, index in enumerate(chosen) if (index, picture) in one})
            title = style.in_colour(style.text(style.short(model)), colours[model])
            names.append(title if picture == "state" else "prediction")
    titles = [f"σ {number(sigmas[index], 2)}" if sigmas[index] > 0 else "sample" for index in chosen]
    return pictures.grid(rows, names, titles, 52, theme).update_layout(margin_t=28)


def frames(count: int) -> list[int]:
    """Which of `count` steps are shown."""
    return [int(index) for index in np.unique(np.linspace(0, count - 1, min(FRAMES, count)).round())]
