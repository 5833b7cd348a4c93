"""What a run's trajectory probes say, as figures want it: which quantities there are, and of which settings.

Report.steps (table `steps` of the runs) -> offered_steps -> of_setting -> figures/steps.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

WHOLE = -1
"""The `index` of a number of the whole walk."""
SETTING = ("sampler", "steps", "grid", "guidance")

MEANINGS = {
    ("local_error", "size"): "how far each step moves samples off the exact path, in the data's spread",
    ("local_error", "error"): "mean squared miss of each step, in data units",
    ("local_error", "share"): "which part of all that is lost is lost in this step",
    ("straightness", "deviation"): "how far each step leaves the straight line from noise to data",
    ("straightness", "angle"): "the turn between a step and the next, in radians",
    ("straightness", "straightness"): "0 is a straight path, which few steps can follow",
    ("straightness", "chord_to_arc"): "the path's ends apart, over its length: 1 is straight",
    ("order", "order"): "error falls as steps to the power of minus this: Euler 1, Heun 2 once steps are small",
    ("order", "error"): "mean squared error of the whole walk, with 1, 2 and 4 times its steps",
    ("transport", "gain"): "how much of a small error at this level reaches the sample",
    ("refinement", "gain"): "what halving the steps of this band alone is worth",
}
"""In plain words."""


@dataclass(frozen=True, order=True)
class Quantity:
    """One quantity of one trajectory probe: interval by interval, or of the whole walk."""

    probe: str
    quantity: str
    slice: str
    whole: bool

    @property
    def name(self) -> str:
        """ "local error: size"; "straightness" alone where a probe's quantity has its name."""
        parts = dict.fromkeys((self.probe, self.quantity))
        named = ": ".join(parts).replace("_", " ")
        return named if self.slice == "all" else f"{named}, {self.slice}"

    @property
    def meaning(self) -> str:
        return MEANINGS.get((self.probe, self.quantity), "")


FIRST = Quantity("local_error", "size", "all", whole=False)
"""What is shown at first, where it was measured: where the sampler loses."""


def offered_steps(steps: pd.DataFrame, whole: bool) -> list[Quantity]:
    """The quantities of table `steps` by interval, or of whole walks; `FIRST` first, else in the order of the runs."""
    rows = steps[(steps["index"] == WHOLE) == whole]
    keys = rows[["probe", "quantity", "slice"]].drop_duplicates().itertuples(index=False, name=None)
    found = [Quantity(str(probe), str(name), str(part), whole) for probe, name, part in keys]
    return sorted(found, key=lambda one: one != FIRST)


def settings(steps: pd.DataFrame) -> pd.DataFrame:
    """The sampler settings that were looked at step by step: sampler, steps, grid, guidance, the finest last."""
    unique = steps[list(SETTING)].drop_duplicates()
    return unique.sort_values("steps", kind="stable").reset_index(drop=True)


def of_setting(steps: pd.DataFrame, setting: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of one sampler setting, of all models."""
    chosen = pd.Series(data=True, index=steps.index)
    for name in SETTING:
        chosen &= steps[name] == setting[name]
    return steps[chosen]


def of_quantity(steps: pd.DataFrame, one: Quantity) -> pd.DataFrame:
    """The rows of one quantity, in the order of intervals within each model."""
    rows = steps[(steps["probe"] == one.probe) & (steps["quantity"] == one.quantity) & (steps["slice"] == one.slice)]
    return rows[(rows["index"] == WHOLE) == one.whole]
