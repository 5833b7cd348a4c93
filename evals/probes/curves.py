"""From rows to curves: each probe's quantities at each level, with 95% intervals clustered by image.

An interval is Student's t around the value with the delete-one-image jackknife's standard error, which serves any
smooth function of means (Efron & Tibshirani 1993, ch. 11). `image_means` is the table that every interval starts from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ...metrics.intervals import Floats, jackknife
from ..records import TABLES
from .probe import Probe, Quantity


def curves(table: pd.DataFrame, probes: Sequence[Probe], confidence: float = 0.95) -> pd.DataFrame:
    """One row per quantity and level of `engine.measure`'s table. A level where it is undefined has none."""
    rows = []
    for probe in probes:
        for quantity in probe.quantities:
            columns = [f"{probe.name}.{name}" for name in quantity.columns]
            if set(columns) <= set(table):
                rows += _curve(probe.name, quantity, table, columns, confidence)
    return pd.DataFrame(rows, columns=[name for name in TABLES["curves"] if name != "model"])


def image_means(rows: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """Each image's mean over its draws, `(images, columns)`, of rows in which all columns are scored."""
    scored = rows[["image", *columns]].dropna()
    return scored.groupby("image", sort=True)[list(columns)].mean().to_numpy(np.float64)


def _curve(
    probe: str, quantity: Quantity, table: pd.DataFrame, columns: list[str], confidence: float
) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for (level, sigma), rows in table.groupby(["level", "sigma"], sort=True):
        means = image_means(rows, columns)
        if len(means) < 2:
            continue
        influence = jackknife(quantity.statistic, means)
        if not np.isfinite([influence.value, influence.standard_error]).all():
            continue  # 0 / 0 say: nothing to be scored at this level
        half = stats.t.ppf((1 + confidence) / 2, len(means) - 1) * influence.standard_error
        found.append(
            {
                "probe": probe,
                "quantity": quantity.name,
                "slice": quantity.slice,
                "level": level,
                "sigma": sigma,
                "value": influence.value,
                "low": influence.value - half,
                "high": influence.value + half,
                "error": influence.standard_error,
                "optimal": np.nan if quantity.optimal is None else quantity.optimal,
                "images": len(means),
            }
        )
    return found
