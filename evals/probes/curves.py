"""From rows to curves: each probe's quantities at each level, with 95% intervals clustered by image.

An interval is Student's t around the value with the delete-one-image jackknife's standard error, which serves any
smooth function of means (Efron & Tibshirani 1993, ch. 11); its degrees of freedom are those that the images' own spread
leaves, few where few images carry the value. `image_means` is the table that every interval starts from.
`slices` tells the denoising error per class, prompt or image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ...metrics.intervals import Floats, cluster_means, jackknife
from ..records import TABLES
from .probe import Probe, Quantity


def curves(
    table: pd.DataFrame, probes: Sequence[Probe], confidence: float = 0.95, labels: str = "class"
) -> pd.DataFrame:
    """One row per quantity and level of `engine.measure`'s table. A level where it is undefined has none.

    Where images have labels, the denoising error of each follows, as slice "class 3": `labels` says what they are.
    """
    asked = [(probe.name, quantity) for probe in probes for quantity in probe.quantities]
    by_quantity: list[list[dict[str, object]]] = [[] for _ in asked]
    for (level, sigma), rows in table.groupby(["level", "sigma"], sort=True):  # one level in memory at a time
        for (name, quantity), found_so_far in zip(asked, by_quantity, strict=True):
            found_so_far += _point(name, quantity, level, sigma, rows, confidence)
    columns = [name for name in TABLES["curves"] if name != "model"]
    found = pd.DataFrame([row for quantity_rows in by_quantity for row in quantity_rows], columns=columns)
    labelled = table[table["label"] >= 0]
    if len(labelled):
        found = pd.concat([found, _by_label(labelled, labels, confidence)[columns]], ignore_index=True)
    return found


def slices(table: pd.DataFrame, by: str, column: str = "error", confidence: float = 0.95) -> pd.DataFrame:
    """The mean of one column of `engine.measure`'s table per `by` ("label", "image") and level, worst first at each.

    Columns: by, level, sigma, value, low, high, error (standard error), images. Intervals are Student's t over images,
    NaN where a slice has only one.
    """
    scored = table[[by, "level", "sigma", column]].assign(cluster=table["image"]).dropna()
    means = scored.groupby([by, "level", "sigma", "cluster"])[column].mean().astype(np.float64)
    found = means.groupby([by, "level", "sigma"]).agg(value="mean", error="sem", images="size").reset_index()
    freedom = (found["images"] - 1).where(found["images"] > 1)
    half = stats.t.ppf((1 + confidence) / 2, freedom) * found["error"]
    found = found.assign(low=found["value"] - half, high=found["value"] + half)
    order = found.sort_values(["level", "value"], ascending=[True, False], ignore_index=True)
    return order[[by, "level", "sigma", "value", "low", "high", "error", "images"]]


def _by_label(table: pd.DataFrame, labels: str, confidence: float) -> pd.DataFrame:
    found = slices(table, "label", confidence=confidence)
    found = found[found["images"] > 1].sort_values(["label", "level"])
    names = f"{labels} " + found["label"].astype(str)
    return found.assign(
        probe="denoising_error", quantity="error", slice=names, freedom=found["images"] - 1.0, optimal=np.nan
    )


def image_means(rows: pd.DataFrame, columns: Sequence[str]) -> Floats:
    """Each image's mean over its draws, `(images, columns)`, of rows in which all columns are scored."""
    values = np.stack([rows[column].to_numpy(np.float64) for column in columns], axis=1)
    scored = ~np.isnan(values).any(axis=1)
    return cluster_means(values[scored], rows["image"].to_numpy()[scored])


def _point(
    probe: str, quantity: Quantity, level: object, sigma: object, rows: pd.DataFrame, confidence: float
) -> list[dict[str, object]]:
    """A quantity at one level: one row of table `curves`, or none where it isn't scored."""
    columns = [f"{probe}.{name}" for name in quantity.columns]
    means = image_means(rows, columns) if set(columns) <= set(rows) else np.empty((0, 1))
    if len(means) < 2:
        return []
    influence = jackknife(quantity.statistic, means)
    if not np.isfinite([influence.value, influence.standard_error]).all():
        return []  # 0 / 0 say: nothing to be scored at this level
    freedom = influence.freedom
    half = stats.t.ppf((1 + confidence) / 2, freedom) * influence.standard_error
    return [
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
            "freedom": freedom,
            "optimal": np.nan if quantity.optimal is None else quantity.optimal,
            "images": len(means),
        }
    ]
