"""P1, the denoising error per noise level: E |D(x0 + sigma eps; sigma) - x0|^2 / d.

It says which levels regressed. Alone it is no measure of sample quality: only the part of the error that is a gradient
moves the samples. Errors are in x0 units; a factor per level turns them into eps, v or flow units (metrics.units), so
the ratio of two models is the same in all of them. The shared pass measures it, so it is always there.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from ...metrics.intervals import Estimate, bootstrap_mean
from ..denoiser import Denoiser
from ..records import TABLES
from .adaptive import student_mean


def levels(
    evaluations: pd.DataFrame, denoiser: Denoiser, sigmas: Tensor, confidence: float = 0.95, adaptive: bool = False
) -> pd.DataFrame:
    """One row per level: the mean error with its interval, clustered by image, and what was spent on it.

    By the bootstrap over images; of an `adaptive` pass, whose levels have different images, by the Student's t interval
    that it was stopped by.
    """
    by_image = evaluations.pivot_table(index="image", columns="level", values="error", aggfunc="mean").to_numpy()
    if adaptive:
        each = [student_mean(column[~np.isnan(column)], confidence) for column in by_image.T]
        estimate = Estimate(*(np.array([getattr(one, name) for one in each]) for name in ("value", "low", "high")))
    else:
        estimate = bootstrap_mean(by_image, confidence)
    level = denoiser.level(sigmas)
    table = pd.DataFrame(
        {
            "model": evaluations["model"].iloc[0],
            "level": range(len(sigmas)),
            "sigma": level.sigma.numpy(),
            "log_snr": level.log_snr.numpy(),
            "time": level.time.numpy(),
            "error": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "images": (~np.isnan(by_image)).sum(axis=0),
            "draws": evaluations.groupby("level")["draw"].nunique().to_numpy(),
        }
    )
    return table[list(TABLES["levels"])]
