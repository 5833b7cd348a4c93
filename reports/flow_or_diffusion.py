"""Flow matching against diffusion, side by side: how straight their paths are, and what that is worth in few steps.

Straight paths take few steps. In the coordinates of rectified flow (probe `straightness`) every model's path can be
compared with every other's, whatever it was trained for; what it needs in the end is seen in its samples.

run -> sides -> figures/flow_or_diffusion.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from .numbers import interval, number
from .tables import better, cell_title, each

if TYPE_CHECKING:
    from ..evals.records import ModelRecord
    from ..evals.store import Run

SETTING = ["sampler", "steps", "grid", "guidance"]


@dataclass(frozen=True)
class Sides:
    """Three tables, a row's `kind` being "flow matching" or "diffusion".

    paths: per model, at the finest setting: straightness, low, high; chord_to_arc; turning (the angles between steps
        added up, in radians); the setting
    bends: the same walks interval by interval: time (the middle, in t = sigma / (1 + sigma)), and density, the
        interval's share of straightness over its length in t
    few: per model and sampler setting: evaluations, metric, value, low, high
    """

    paths: pd.DataFrame
    bends: pd.DataFrame
    few: pd.DataFrame
    better: str
    """Which way the metric is better: "lower", "higher" or ""."""
    setting: str = ""
    """Of the walks: "heun, 20 steps"."""

    @property
    def text(self) -> str:
        return f"{self.lead} {self.evidence}".strip()

    @property
    def lead(self) -> str:
        """Which model's paths are the straightest, and whether that is sure."""
        ordered, best = self._ordered, self._ordered.iloc[0]
        where = f" with {self.setting}" if self.setting else ""
        if len(ordered) < 2:
            return f"How bent the paths are{where} (0 is straight): {self._told[0]}, {best['kind']}."
        tied = ordered[ordered["low"] <= best["high"]]
        if len(tied) == 1:
            return f"The paths of {best['model']} ({best['kind']}) are the straightest{where}."
        return f"Intervals can't tell whose paths are the straightest{where}: {' or '.join(tied['model'])}."

    @property
    def evidence(self) -> str:
        """Every model's number; empty where the lead has the only one."""
        return f"Straightness, 0 being straight: {', '.join(self._told)}." if len(self.paths) > 1 else ""

    @property
    def _ordered(self) -> pd.DataFrame:
        return self.paths.sort_values("straightness", kind="stable").reset_index(drop=True)

    @property
    def _told(self) -> list[str]:
        return [f"{row.model} {number(row.straightness)} {interval(row.low, row.high)}" for row in each(self._ordered)]


def kind(model: ModelRecord) -> str:
    """By what the network predicts: a velocity of flow matching (arXiv:2210.02747), or anything else."""
    return "flow matching" if model.parameterization.startswith("flow") else "diffusion"


def sides(run: Run, metric: str = "") -> Sides:
    """Of every model of a run; `metric` is the first one scored where none is named.

    A walk is as straight as its steps show: straightness is of the setting with the most steps that all models share.
    To be the model's and not the solver's, those must be fine: some 50 of Heun's.
    Raises DataError where the run has no `straightness`.
    """
    steps = run.table("steps")
    steps = steps[steps["probe"] == "straightness"]
    kinds = {model.name: kind(model) for model in run.record.models}
    if steps.empty:
        raise DataError(f'run {run.id}: expected its samplers\' straightness; add sampling.probes = ["straightness"]')
    finest = _finest(steps, len(kinds))
    paths, bends = [], []
    for model, rows in finest.groupby("model", sort=False):
        whole = rows[rows["index"] < 0].set_index("quantity")
        angles = rows[rows["quantity"] == "angle"]
        straight = whole.loc["straightness"]
        paths.append(
            {
                "model": model, "kind": kinds[str(model)], "straightness": straight["value"], "low": straight["low"],
                "high": straight["high"], "chord_to_arc": whole.loc["chord_to_arc", "value"],
                "turning": float(angles["value"].sum()), **{name: rows[name].iloc[0] for name in SETTING},
            }
        )  # fmt: skip
        bends.append(_bends(rows[rows["quantity"] == "deviation"]).assign(model=model, kind=kinds[str(model)]))
    scores = run.table("metrics")
    named = metric or next(iter(scores["metric"]), "")
    few = scores[scores["metric"] == named].dropna(subset=["value"])
    few = few.assign(kind=few["model"].map(kinds))
    columns = ["model", "kind", *SETTING, "evaluations", "metric", "value", "low", "high"]
    setting = cell_title({**finest.iloc[0], "grid": ""})
    return Sides(pd.DataFrame(paths), pd.concat(bends, ignore_index=True), few[columns], better(named), setting)


def _finest(steps: pd.DataFrame, models: int) -> pd.DataFrame:
    """The rows of the one setting with the most steps among those that most models share."""
    counts = steps.groupby(SETTING, sort=False)["model"].nunique().reset_index(name="models")
    chosen = (
        counts[counts["models"] == min(models, counts["models"].max())].sort_values("steps", kind="stable").iloc[-1]
    )
    return steps[np.logical_and.reduce([steps[name] == chosen[name] for name in SETTING])]


def _bends(rows: pd.DataFrame) -> pd.DataFrame:
    """Where on the way the path leaves the straight line."""
    high, low = (rows[name].astype(float) / (1.0 + rows[name].astype(float)) for name in ("sigma", "sigma_next"))
    density = rows["value"].astype(float) / (high - low)
    table = pd.DataFrame({"time": (high + low) / 2, "begin": high, "end": low, "density": density})
    return table.sort_values("time", ascending=False).reset_index(drop=True)
