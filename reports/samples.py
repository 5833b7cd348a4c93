"""Sample by sample: the images that a sampler setting kept, and every number known of each, to sort them by.

runs, tables -> sampled -> Sampled -> figures/samples.py, the Samples page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .numbers import number, percent
from .tables import Tables, each

if TYPE_CHECKING:
    from ..evals.store import Run

Kept = Mapping[str, Mapping[int, np.ndarray]]
"""model -> (sample id -> HWC uint8)."""

DIFFERENCE, NEAREST = "difference", "nearest_ratio"
SCORES = {
    DIFFERENCE: "difference from baseline",
    NEAREST: "nearest to training",
    "nearest_distance": "distance to a training image",
    "nearest_heldout": "held-out images nearer to one",
    "clipped": "values out of range",
}
"""What a score is called; one that is not among them goes by its column's name."""
LOWEST_FIRST = {NEAREST, "nearest_distance", "nearest_heldout"}
"""Scores of which the low values are those to look at."""
_FACTS = {"steps", "sample", "label", "evaluations", "tile", "nearest", "nearest_tile"}
"""Numbers of a sample that say what it is, not how good."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """One sampler setting. kept: samples; beside: the training image nearest to each; classes: sample id -> class;
    table: rows of table `samples` with `difference`, the root mean square difference of the thumbnail from the
    baseline's of the same seed, 1 being from black to white, NaN where either is not kept.
    """

    kept: Kept
    beside: Kept
    classes: Mapping[int, int]
    table: pd.DataFrame

    @property
    def ids(self) -> list[int]:
        """Samples that any model kept, in order."""
        return sorted({sample for images in self.kept.values() for sample in images})

    @property
    def scores(self) -> list[str]:
        """Columns of the table that tell something of each sample, those of `SCORES` first."""
        numeric = [str(name) for name in self.table if pd.api.types.is_numeric_dtype(self.table[name])]
        known = [name for name in numeric if name not in _FACTS and self.table[name].notna().any()]
        return sorted(known, key=lambda name: list(SCORES).index(name) if name in SCORES else len(SCORES))

    def alike(self, one: str, other: str) -> bool:
        """Whether two models kept the same samples, pixel by pixel."""
        ours, theirs = self.kept.get(one, {}), self.kept.get(other, {})
        same = (np.array_equal(image, theirs[sample]) for sample, image in ours.items())
        return bool(ours) and ours.keys() == theirs.keys() and all(same)

    def values(self, score: str, model: str) -> dict[int, float]:
        """A model's samples, those most worth looking at first, without those that have no such score."""
        values = self.table[self.table["model"] == model].set_index("sample")[score].dropna()
        ranked = values.sort_values(ascending=score in LOWEST_FIRST, kind="stable")
        return {int(str(sample)): float(value) for sample, value in ranked.items()}

    def facts(self, model: str, sample: int) -> list[str]:
        """What is known of one sample, a few words a line."""
        row = self._rows.get((model, sample))
        if row is None:
            return []
        said = [] if np.isnan(row.difference) else [f"differs by {number(row.difference, 2)}"]
        if row.nearest >= 0:
            said += [f"training #{row.nearest}: {number(row.nearest_ratio, 2)}"]
            said += [f"{100 * row.nearest_heldout:.0f}% of held-out nearer"]
        if row.clipped > 0:
            said += [f"{percent(1 + row.clipped, signed=False)} out of range"]
        return said

    @cached_property
    def _rows(self) -> dict[tuple[str, int], Any]:
        return {(str(row.model), int(row.sample)): row for row in each(self.table[self.table["tile"] >= 0])}


def sampled(runs: Sequence[Run], tables: Tables, setting: Mapping[str, Any]) -> Sampled:
    """Everything kept of one sampler setting: its sampler, steps, grid and guidance."""
    where = (str(setting["sampler"]), int(setting["steps"]), str(setting["grid"]), str(setting.get("guidance", "")))
    table = tables.samples
    for name, value in zip(("sampler", "steps", "grid", "guidance"), where, strict=True):
        table = table[table[name] == value]
    models = list(each(tables.models))
    kept = {model.label: runs[model.source].images(model.name, *where) for model in models}
    beside = {model.label: runs[model.source].neighbours(model.name, *where) for model in models}
    base = kept.get(tables.baseline, {})
    apart = [
        difference(kept[row.model].get(row.sample), base.get(row.sample)) if row.model != tables.baseline else np.nan
        for row in each(table)
    ]
    return Sampled(
        {label: images for label, images in kept.items() if images},
        {label: images for label, images in beside.items() if images},
        {int(row.sample): int(row.label) for row in each(table)},
        table.assign(difference=np.array(apart, float)),
    )


def difference(first: np.ndarray | None, second: np.ndarray | None) -> float:
    """Root mean square over values, 1 being from black to white; NaN where an image is missing, or of another size."""
    if first is None or second is None or first.shape != second.shape:
        return float("nan")
    return float(np.sqrt(np.mean((first.astype(float) - second.astype(float)) ** 2)) / 255)


def most_different(first: Mapping[int, np.ndarray], second: Mapping[int, np.ndarray]) -> dict[int, float]:
    """Samples of which both have an image of one size, those that differ most first, with their differences."""
    both = {sample: difference(first[sample], second[sample]) for sample in sorted(first.keys() & second.keys())}
    known = [(sample, apart) for sample, apart in both.items() if not np.isnan(apart)]
    return dict(sorted(known, key=lambda pair: -pair[1]))
