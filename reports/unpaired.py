"""Noise levels compared without the baseline's per-image errors: from its means and their standard errors alone.

A baseline file whose run is not at hand -> unpaired_levels -> the same columns as compare.compare_levels, wider bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import IncomparableError
from ..metrics.tails import above, below
from .judged import judged
from .verdicts import Verdict

if TYPE_CHECKING:
    from ..evals.store import Run
    from .compare import Comparison, Settings

NOT_AT_HAND = "the baseline's run is not at hand"


def standard_errors(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Mean error per model and level, and its standard error over images (draws of one image are one).

    Columns: model, level, sigma, error, standard_error (NaN for a single image), images.
    """
    keys = ["model", "level", "sigma"]
    images = evaluations.groupby([*keys, "image"], sort=False)["error"].mean().reset_index()
    found = images.groupby(keys, sort=False)["error"].agg(["mean", "sem", "count"]).reset_index()
    return found.rename(columns={"mean": "error", "sem": "standard_error", "count": "images"})


def unpaired_levels(baseline: pd.DataFrame, candidate: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Ratio of the candidate's mean error to the baseline's at every level, as of independent samples.

    baseline, candidate: rows of `standard_errors` of one model each. The log ratio's variance is the sum of both
    (delta method); the errors of the same images under the same noise are positively correlated, so it is too large and
    the bounds are cautious. Student's t of heavy tails at the smaller n; over all levels at once by Bonferroni.
    Columns as of `compare_levels`, and unpaired (true). Raises IncomparableError where the two were not measured at the
    same levels, or at one of them on fewer than two images.
    """
    ours, theirs = (frame.sort_values("level").reset_index(drop=True) for frame in (baseline, candidate))
    same = np.array_equal(ours["level"], theirs["level"])
    if not (same and np.allclose(ours["sigma"], theirs["sigma"], rtol=1e-9, atol=0)):
        raise IncomparableError(f"sigma grid: expected the baseline's {len(ours)} levels, got {len(theirs)} others")
    if ours["standard_error"].isna().any() or theirs["standard_error"].isna().any():
        raise IncomparableError("standard errors: expected two images or more at every level, got one")
    error = np.hypot(ours["standard_error"] / ours["error"], theirs["standard_error"] / theirs["error"])
    log = np.log(theirs["error"] / ours["error"])
    images = np.minimum(ours["images"], theirs["images"])
    tail, levels = 1 - settings.confidence, len(ours)
    one, two = above(tail, images), above(tail / 2, images)
    one_band = below(tail / max(2.0, settings.families) / levels, images)
    two_band = above(tail / 2 / levels, images)
    table = pd.DataFrame(
        {
            "level": ours["level"], "sigma": ours["sigma"], "ratio": np.exp(log), "low": np.exp(log - two * error),
            "high": np.exp(log + two * error), "band_low": np.exp(log - two_band * error),
            "band_high": np.exp(log + two_band * error), "images": images, "lower": log - one_band * error,
            "upper": log + one * error, "error": error, "baseline": ours["error"], "candidate": theirs["error"],
            "candidate_error": theirs["standard_error"], "candidate_skewness": 0.0,
            "difference_error": np.hypot(ours["standard_error"], theirs["standard_error"]),
            "difference_skewness": 0.0, "unpaired": True,
        }
    )  # fmt: skip
    return judged(table, settings.margin)


def is_unpaired(comparison: Comparison) -> bool:
    """Whether a comparison's levels had no per-image errors of the baseline to pair with."""
    return "unpaired" in comparison.levels


def lacking(runs: Sequence[Run]) -> str:
    """Why per-image errors are not at hand, as a baseline's reader found it."""
    return next((why for run in runs if (why := getattr(run, "lacking", ""))), NOT_AT_HAND)


def said_of(comparisons: Sequence[Comparison], why: str = NOT_AT_HAND) -> list[str]:
    """A sentence for each comparison that had to do without pairs."""
    return [
        f"{one.candidate} is compared with {one.baseline} unpaired: {why}. Intervals are wider than they need be."
        for one in comparisons
        if is_unpaired(one)
    ]


def marked(verdict: Verdict, comparisons: Sequence[Comparison], metric: str, why: str = NOT_AT_HAND) -> Verdict:
    """The same verdict, whose checks of `metric` say "unpaired" where they are."""
    models = {one.candidate for one in comparisons if is_unpaired(one)}
    checks = tuple(
        replace(check, evidence=f"{check.evidence} (unpaired: {why})")
        if check.model in models and check.metric == metric
        else check
        for check in verdict.checks
    )
    return replace(verdict, checks=checks)
