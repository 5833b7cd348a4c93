"""How many images a verdict takes, and how likely it is: from a table of influence values to a sample size.

A pilot's psi (n, k) -> `Chances` of pass, fail and inconclusive at any n -> the least n that gives both sides their
power. `needed` is the closed form for one column; `settling` says how many images settle an inconclusive verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import DataError
from .tails import Floats, above, below, kurtosis, skewness

_SEED = 0


@dataclass(frozen=True)
class Chances:
    """Probabilities of the three verdicts over all columns together; they add up to 1."""

    passes: float
    fails: float

    @property
    def inconclusive(self) -> float:
        return max(0.0, 1.0 - self.passes - self.fails)


class Design:
    """What n images would show: estimates are normal with the pilot's covariance over n, and so are their standard
    errors, which scatter by sqrt((kurtosis - 1) / 4 n) and go with the estimate as far as psi is skewed.

    psi (n0, k): the pilot's influence values of k differences, NaN where an image was not asked. The FAIL side has the
    critical value of the largest of the k (max-T), the PASS side each column's own, both reaching as far as the pilot's
    skewness has it, as in `paired_log_ratio`.
    """

    def __init__(self, psi: ArrayLike, confidence: float = 0.95, families: float = 1, draws: int = 4000) -> None:
        """Raises DataError for fewer than 2 images in a column."""
        table = np.asarray(psi, np.float64)
        asked = np.isfinite(table)
        count = asked.sum(axis=0)
        if table.ndim != 2 or not table.size or count.min() < 2:
            raise DataError(f"a plan needs at least 2 images at each level, got influence values of {table.shape}")
        self.spread: Floats = table.std(axis=0, ddof=1, where=asked)
        """Standard deviation of one image's psi, (k,)."""
        seen = np.where(asked, table, np.nan)
        self._skew, self._scatter = skewness(seen), np.sqrt(np.maximum(kurtosis(seen) - 1.0, 1e-12))
        centred = np.where(asked, table - table.mean(axis=0, where=asked), 0.0)
        scale = np.where(self.spread > 0, self.spread, 1.0) * np.sqrt(count - 1)
        rng = np.random.default_rng(_SEED)
        self._normal: Floats = rng.standard_normal((draws, len(table))) @ (centred / scale)
        share = np.clip(self._skew / self._scatter, -1.0, 1.0)
        self._wobble = share * self._normal + np.sqrt(1.0 - share**2) * rng.standard_normal(self._normal.shape)
        self._alpha = 1.0 - confidence
        alpha = self._alpha / families
        sides = np.quantile(np.abs(self._normal).max(axis=1), confidence), stats.norm.isf(self._alpha / 2)
        self.critical = float(max(*sides, np.quantile(self._normal.max(axis=1), 1.0 - alpha), stats.norm.isf(alpha)))
        """Of the largest of k studentised differences: the FAIL side's, from very many images."""
        self._tail = float(stats.norm.sf(self.critical))

    def chances(self, images: float, change: ArrayLike, margin: ArrayLike) -> Chances:
        """Of the verdict on k true differences against margins, each (k,) or a number, from so many images."""
        error = self.spread / math.sqrt(images)
        one, all_ = self._above(self._alpha, images), self._below(self._tail, images)
        estimate = np.asarray(change, np.float64) + error * self._normal
        seen = error * np.maximum(1.0 + self._scatter / math.sqrt(4.0 * images) * self._wobble, 0.0)
        within = estimate + one * seen < np.asarray(margin, np.float64)
        fails = ((estimate - all_ * seen > 0) & ~within).any(axis=1)
        return Chances(float(within.all(axis=1).mean()), float(fails.mean()))

    def alone(self, change: float, margin: float, power: float = 0.9) -> tuple[Floats, Floats]:
        """Images (k,) at which each column by itself passes when unchanged, and at which it fails by the bound over all
        columns when worse by `change`: `needed` with what a bound reaches at that number of images.
        """

        def settled(distance: float, tail: float, reach: Callable[[float, Floats], Floats]) -> Floats:
            images = np.full(self.spread.shape, 1e9)
            for _ in range(40):  # a fixed point: images -> how far a bound reaches -> images
                critical = reach(tail, np.maximum(images, 2.0))
                images = np.array([needed(s, distance, c, power) for s, c in zip(self.spread, critical, strict=True)])
            return images

        return settled(margin, self._alpha, self._above), settled(change, self._tail, self._below)

    def _below(self, tail: float, images: ArrayLike) -> Floats:
        return below(tail, images, _harmful(self._skew, images))

    def _above(self, tail: float, images: ArrayLike) -> Floats:
        return above(tail, images, -_harmful(-self._skew, images))

    def images(self, change: ArrayLike, margin: ArrayLike, power: float = 0.9, most: float = 1e9) -> float:
        """Least number at which the wanted verdict has this probability: fail where a change is at the margin or
        beyond it, else pass. Infinite where `most` are not enough.
        """
        beyond = bool((np.asarray(change, np.float64) >= np.asarray(margin, np.float64)).any())

        def enough(n: float) -> bool:
            found = self.chances(n, change, margin)
            return (found.fails if beyond else found.passes) >= power

        high = 2.0
        while not enough(high):
            high *= 2.0
            if high > most:
                return math.inf
        low = high / 2.0
        while high - low > 1.0 and high / low > 1.002:
            middle = (low + high) / 2.0
            low, high = (low, middle) if enough(middle) else (middle, high)
        return math.ceil(high)


def _harmful(skew: Floats, images: ArrayLike) -> Floats:
    """What lower bounds heed of a skewness on average over samples of so many images, in which it scatters by
    sqrt(6 / n): its negative side alone, E min(0, x) of a normal x.
    """
    scatter = np.sqrt(6.0 / np.asarray(images, np.float64))
    at = skew / scatter
    return np.asarray(scatter * (at * stats.norm.cdf(-at) - stats.norm.pdf(at)))


def needed(spread: float, distance: float, critical: float, power: float = 0.9) -> float:
    """n = ((critical + z_power) spread / distance)^2: samples at which a bound `critical` standard errors away clears a
    distance with this probability. Infinite for a distance of 0 or less, NaN where one of the two is NaN.
    """
    if distance <= 0:
        return math.inf
    return float(((critical + stats.norm.ppf(power)) * spread / distance) ** 2)


def settling(
    estimate: float, error: float, lower: float, upper: float, margin: float, count: int, power: float = 0.9
) -> float:
    """Samples in all that would settle an inconclusive verdict of `count` samples, if the difference is what it seems.

    Either way settles it: an upper bound below the margin, or a lower bound above 0; the nearer of the two.
    """
    if not error > 0:
        return math.inf
    spread = error * math.sqrt(count)
    passing = needed(spread, margin - estimate, (upper - estimate) / error, power)
    failing = needed(spread, estimate, (estimate - lower) / error, power)
    return max(min(passing, failing), count + 1.0)
