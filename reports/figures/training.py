"""A model's noise levels over its training: one curve a reading, and each reading's ratio to the first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ...evals.training import Reading
from . import style
from .noise_levels import noise_levels


def training(readings: Mapping[int, Reading], theme: style.Theme = "light") -> go.Figure:
    """Readings by step, as `sigmascope.probe` gives them: the first and last, and up to six evenly between.

    Ratios are to the first reading, without intervals: a reading keeps no pairs.
    """
    if not readings:
        return style.empty("Nothing was read yet.", theme)
    steps = sorted(readings)
    steps = [steps[i] for i in np.unique(np.linspace(0, len(steps) - 1, min(8, len(steps))).round().astype(int))]
    first = readings[steps[0]].levels["error"].to_numpy()
    names = {step: f"step {step:,}" for step in steps}
    table = pd.concat(
        readings[step].levels.assign(model=names[step], ratio=lambda rows: rows["error"].to_numpy() / first)
        for step in steps
    )
    table[["ratio_low", "ratio_high"]] = np.nan
    return noise_levels(table, (), names[steps[0]], style.model_colours(list(names.values())), theme=theme)
