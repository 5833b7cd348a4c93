"""How sure a contribution is: contrasts of the coalitions' values with intervals, from seeds resampled jointly.

Contrasts of values (R,) and of influence values (N, R) -> Effects. A contrast of statistics has the same contrast of
their influence values, so a resample of the seeds, here one Gaussian multiplier each, moves all coalitions at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effects:
    """R contrasts: value (R,), the ends of each one's own interval, and of intervals that hold for all R at once.

    An interval is NaN where influence values are; of contrasts that no seed moves it has width 0.
    """

    value: Floats
    low: Floats
    high: Floats
    band_low: Floats
    band_high: Floats
    psi: Floats
    """`(N, R)`"""
    critical: float
    """Standard errors to either side of the intervals that hold at once."""

    def __getitem__(self, rows: slice) -> Effects:
        """Some of the contrasts; what held for all at once still does."""
        ends = self.low[rows], self.high[rows], self.band_low[rows], self.band_high[rows]
        return Effects(self.value[rows], *ends, self.psi[:, rows], self.critical)


def effects(value: Floats, psi: Floats, confidence: float = 0.95, resamples: int = 4000, seed: int = 0) -> Effects:
    """Contrasts (R,) with their influence values (N, R).

    One contrast's quantile is Student's t at N - 1; that of all at once is of the largest studentised multiplier sum
    (Chernozhukov, Chetverikov & Kato 2013), each divided by a common chi so that one contrast gives Student's t again.
    """
    n = len(psi)
    error = psi.std(axis=0, ddof=1) / math.sqrt(n)
    one = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    all_ = max(one, _largest(psi, confidence, resamples, seed))
    return Effects(
        value, value - one * error, value + one * error, value - all_ * error, value + all_ * error, psi, all_
    )


@dataclass(frozen=True, eq=False)
class Shares:
    """Parts over a total, (R,) each; low and high are NaN where the total could be 0."""

    value: Floats
    low: Floats
    high: Floats


def shares(parts: Effects, total: Effects) -> Shares:
    """Each part's share of one total, with the interval that holds for all parts at once, by Fieller's theorem (1954).

    The ends solve (a - r b)^2 = c^2 Var(a - r b). There is no interval where c standard errors of the total reach 0,
    and no share where the total is 0.
    """
    n = len(total.psi)
    a, b = parts.value, float(total.value[0])
    if b == 0:
        nothing = np.full_like(a, np.nan)
        return Shares(nothing, nothing, nothing)
    part, whole = parts.psi - parts.psi.mean(axis=0), total.psi - total.psi.mean()
    aa, ab, bb = (part**2).sum(0), (part * whole).sum(0), float((whole**2).sum())
    aa, ab, bb = (product / (n * (n - 1)) for product in (aa, ab, bb))
    c2 = parts.critical**2
    square, half, rest = b * b - c2 * bb, a * b - c2 * ab, a * a - c2 * aa
    root = np.sqrt(np.maximum(half**2 - square * rest, 0.0))
    surely = square > 0
    low, high = ((half + sign * root) / square if surely else np.full_like(a, np.nan) for sign in (-1, 1))
    return Shares(a / b, low, high)


def _largest(psi: Floats, confidence: float, resamples: int, seed: int) -> float:
    """Quantile of the largest absolute studentised multiplier sum over the columns that vary; 0 where none does."""
    spread = psi.std(axis=0, ddof=1)
    varying = spread > 0
    if not varying.any():
        return 0.0
    n = len(psi)
    scaled = (psi[:, varying] - psi[:, varying].mean(axis=0)) / (spread[varying] * math.sqrt(n - 1))
    rng = np.random.default_rng(seed)
    sums = np.concatenate([rng.standard_normal((size, n)) @ scaled for size in _blocks(resamples, n)])
    chi = np.sqrt(rng.chisquare(n - 1, size=(resamples, 1)) / (n - 1))
    return float(np.quantile(np.abs(sums / chi).max(axis=1), confidence))


def _blocks(resamples: int, n: int) -> list[int]:
    """Sizes of the blocks in which multipliers are drawn, to bound memory."""
    size = max(1, (1 << 22) // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]
