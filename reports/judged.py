"""What the bounds of a level's ratio say: against the margin a verdict, and in a word what changed.

compare.level_table (pairs), unpaired.unpaired_levels (none) -> judged -> columns that every output reads.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ..metrics.intervals import verdict


def judged(levels: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The same rows with difference (candidate's error minus baseline's), verdict and change.

    levels: ratio with low, high and band_high, the log ratio's lower and upper, baseline, candidate. change is "worse"
    where the verdict is fail, "better" where the baseline would fail against the candidate, else "same".
    """
    limit = math.log1p(margin)
    found = [verdict(low, high, limit) for low, high in zip(levels["lower"], levels["upper"], strict=True)]
    lower = [
        verdict(-math.log(high), -math.log(low), limit) == "fail"
        for low, high in zip(levels["low"], levels["band_high"], strict=True)
    ]
    change = np.where(np.equal(found, "fail"), "worse", np.where(lower, "better", "same"))
    return levels.assign(difference=levels["candidate"] - levels["baseline"], verdict=found, change=change)
