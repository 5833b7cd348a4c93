"""FD-infinity: the Fréchet distance that infinitely many samples would have (Chong & Forsyth 2020, 1911.07023).

The distance of N samples is about linear in 1/N: distances of random parts of the set are regressed on 1/N and read off
at 0. Features and a reference -> frechet_infinity. frechet_influence's `corrected` estimates the same from all samples
at once with less spread, but needs more samples than dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from ..errors import DataError
from .frechet import Gaussian, frechet_distance
from .moments import Moments, checked_features
from .two_sets import FeatureTables


@dataclass(frozen=True, eq=False)
class FrechetInfinity:
    """The intercept with the regression's 95% interval (Student's t), and what was regressed.

    The interval tells how well a line fits; the parts overlap, so it doesn't cover the spread between sample sets.
    """

    value: float
    low: float
    high: float
    sizes: NDArray[np.int64]
    distances: NDArray[np.float64]


def frechet_infinity(
    generated: Tensor, reference: Tensor | Moments | Gaussian, points: int = 15, seed: int = 0
) -> FrechetInfinity:
    """Of features (n, d): `points` sizes, linear from min(5000, n/10) to n, each a part drawn without replacement.

    Raises DataError for fewer than 3 points or sizes that don't differ.
    """
    x = checked_features(generated)
    n = len(x)
    sizes = np.linspace(min(5000, max(n // 10, 2)), n, points).astype(np.int64)
    if points < 3 or len(np.unique(sizes)) < points:
        raise DataError(f"expected at least 3 different sizes to regress on, got {points} of {n} samples")
    target = reference if isinstance(reference, Gaussian) else Gaussian(reference)
    rng = np.random.default_rng(seed)
    parts = (torch.from_numpy(rng.choice(n, size, replace=False)).to(x.device) for size in sizes)
    distances = np.array([frechet_distance(x[part], target) for part in parts])
    line = stats.linregress(1 / sizes, distances)
    half = float(stats.t.ppf(0.975, points - 2) * line.intercept_stderr)
    value = float(line.intercept)
    return FrechetInfinity(value, value - half, value + half, sizes, distances)


class FrechetInfinityDistance(FeatureTables):
    """`frechet_infinity` of two streams of features (n, d). compute(): value, low, high; float64 scalars."""

    higher_is_better = False

    def __init__(self, points: int = 15, seed: int = 0) -> None:
        super().__init__()
        self.points, self.seed = points, seed

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        found = frechet_infinity(dim_zero_cat(self.generated), dim_zero_cat(self.real), self.points, self.seed)
        return self.scalar(found.value), self.scalar(found.low), self.scalar(found.high)
