"""How many images and samples a gate needs, from what a stored run says of their spread.

Run tables -> size_levels, size_metrics -> cli_plan.py. What counts is the spread of two models' difference, image by
image, which a run of two alike models shows. One model alone gives an upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..metrics.power import Design, needed
from .compare import paired_errors
from .compare_metrics import TWO_SIDED, compare_metrics
from .tables import better


@dataclass(frozen=True)
class Wanted:
    """What a gate shall resolve. margin and change are relative: 0.02 is 2%."""

    margin: float = 0.02
    change: float = 0.02
    """A regression of this size at one level, or in one metric, shall fail."""
    power: float = 0.9
    """With this probability; and an unchanged model shall pass with it."""
    confidence: float = 0.95
    families: int = 1
    """Among how many tables of tests the gate's policy shares alpha."""
    correlation: float = 0.0
    """Where only one model is at hand: of its errors with the other's."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Images that the denoising error takes.

    table: level, sigma, spread (standard deviation of one image's part in the log ratio), to_pass, to_fail: images at
    which this level alone passes when unchanged, or fails by the bound over all levels when worse by the change.
    to_pass: images at which all levels pass together when nothing changed. to_fail: those of the most demanding level.
    critical: of the largest of the levels' studentised differences, which to_fail is made with.
    design: what any other number of images would show.
    """

    table: pd.DataFrame
    to_pass: float
    to_fail: float
    critical: float
    design: Design
    paired: bool

    @property
    def images(self) -> float:
        """What both sides need."""
        return max(self.to_pass, self.to_fail)


def size_levels(evaluations: pd.DataFrame, baseline: str, candidate: str | None, wanted: Wanted) -> Levels:
    """Images for the denoising error, n = ((t_alpha + z_power) sd / distance)^2 in log ratios.

    Without a candidate the other model's errors count as `wanted.correlation` correlated with the baseline's.
    Raises IncomparableError as `compare_levels` does, DataError for fewer than 2 images.
    """
    sigmas, _, ours, theirs = paired_errors(evaluations, baseline, candidate or baseline)
    if candidate is None:
        psi = (ours / np.nanmean(ours, axis=0) - 1.0) * math.sqrt(2.0 * (1.0 - wanted.correlation))
    else:
        psi = theirs / np.nanmean(theirs, axis=0) - ours / np.nanmean(ours, axis=0)
    design = Design(psi, wanted.confidence, wanted.families)
    margin, change = math.log1p(wanted.margin), math.log1p(wanted.change)
    to_pass, each_to_fail = design.alone(change, margin, wanted.power)
    table = pd.DataFrame(
        {
            "level": sigmas.index,
            "sigma": sigmas.to_numpy(),
            "spread": design.spread,
            "to_pass": to_pass,
            "to_fail": each_to_fail,
        }
    )
    to_fail = max(2.0, math.ceil(table["to_fail"].max()))
    return Levels(
        table, design.images(0.0, margin, wanted.power), to_fail, design.critical, design, candidate is not None
    )


def size_metrics(metrics: pd.DataFrame, baseline: str, candidate: str | None, wanted: Wanted) -> pd.DataFrame:
    """Samples for every metric that has an interval, in every sampler setting.

    Runs keep no per-sample values, so the gate compares metrics as independent samples, and so does this. Columns:
    sampler, steps, grid, guidance, metric, value, margin, spread (of one sample's part in the difference), to_pass,
    to_fail; the FAIL side by Bonferroni over a metric's settings, as the gate has it.
    """
    found = compare_metrics(metrics, baseline, candidate or baseline)
    found = found.dropna(subset=["low", "high"])
    found = found[(found["high"] > found["low"]) & (found["samples"] >= 2) & (found["metric"].map(better) != "")]
    tests = found.groupby("metric")["metric"].transform("size")
    alpha = 1 - wanted.confidence
    one = float(stats.norm.ppf(1 - alpha))
    rows = []
    for (_, row), count in zip(found.iterrows(), tests, strict=True):
        spread = (row["high"] - row["low"]) / 2 / TWO_SIDED * math.sqrt(row["samples"])
        margin, change = wanted.margin * abs(row["baseline"]), wanted.change * abs(row["baseline"])
        critical = float(stats.norm.ppf(1 - alpha / wanted.families / count))
        rows.append(
            {
                **{name: row[name] for name in ("sampler", "steps", "grid", "guidance", "metric")},
                "value": row["baseline"], "margin": margin, "spread": spread,
                "to_pass": needed(spread, margin, one, wanted.power),
                "to_fail": needed(spread, change, critical, wanted.power),
            }
        )  # fmt: skip
    columns = ["sampler", "steps", "grid", "guidance", "metric", "value", "margin", "spread", "to_pass", "to_fail"]
    return pd.DataFrame(rows, columns=columns)
