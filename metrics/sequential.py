"""Looking at paired errors as often as one likes: bounds that hold at every look, and when a verdict is settled.

Errors of the images seen so far -> `anytime_log_ratio` (a PairedRatio whose bounds are an asymptotic confidence
sequence) -> `settled`. The error rates of `intervals.verdict` hold whenever one stops, so no look has to be planned.
evals/sequential.py asks for the errors, batch after batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError
from .intervals import Floats, PairedRatio, paired_log_ratio
from .tails import skewed, skewness

FIRST = 64
"""Images of the first look, at least: the bounds are asymptotic."""


def half_width(count: ArrayLike, alpha: ArrayLike, eta2: float) -> Floats:
    """Of a one-sided asymptotic confidence sequence for a mean, in standard deviations of one observation:
    sqrt(2 (t eta^2 + 1) / (t eta)^2 log(1 + sqrt(t eta^2 + 1) / (2 alpha))) after t observations.

    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024 (arXiv 2103.06476), one-sided form.
    """
    t = np.asarray(count, np.float64)
    spread = t * eta2 + 1.0
    level = np.asarray(alpha, np.float64)
    return np.asarray(np.sqrt(2.0 * spread / (t**2 * eta2) * np.log1p(np.sqrt(spread) / (2.0 * level))))


def tuned(count: float, alpha: float) -> float:
    """The eta^2 whose half-width after `count` observations is the least."""
    from scipy.optimize import minimize_scalar  # slow to import, and most who come here need other things

    best = minimize_scalar(lambda log: float(half_width(count, alpha, float(np.exp(log)))), bounds=(-30, 10))
    return float(np.exp(best.x))


def anytime_log_ratio(baseline: ArrayLike, candidate: ArrayLike, confidence: float, eta2: float) -> PairedRatio:
    """`paired_log_ratio` with bounds that hold at all looks together: over the columns by Bonferroni, each column with
    its own number of images (NaN in both tables: not asked). `lower` is the band's own, so that what fails is outside
    its interval; a first failure ends the search, and Holm's steps begin at Bonferroni's.

    The log ratio of means is asymptotically linear, so the sequence of its estimates has the bounds of a mean's, with
    the spread of its influence values and, as to first order only images that are many make it so, Hall's correction of
    their skewness. eta2 must be fixed before the data are seen.
    Raises DataError as `paired_log_ratio` does.
    """
    fixed = paired_log_ratio(baseline, candidate, confidence, resamples=1)
    count = (~np.isnan(fixed.influence)).sum(axis=0)
    alpha, columns = 1.0 - confidence, len(fixed.ratio)
    log, skew = np.log(fixed.ratio), skewness(fixed.influence)

    def lower(level: float) -> Floats:
        return log - skewed(half_width(count, level, eta2) * np.sqrt(count), count, skew) * fixed.error

    def upper(level: float) -> Floats:
        return log + skewed(half_width(count, level, eta2) * np.sqrt(count), count, -skew) * fixed.error

    return replace(
        fixed,
        low=np.exp(lower(alpha / 2)),
        high=np.exp(upper(alpha / 2)),
        band_low=np.exp(lower(alpha / 2 / columns)),
        band_high=np.exp(upper(alpha / 2 / columns)),
        lower=lower(alpha / 2 / columns),
        upper=upper(alpha),
    )


@dataclass(frozen=True, eq=False)
class Settled:
    """Which columns need no further look: `passed`, below their margin for sure; `failed`, worse for sure, and seen to
    be worse by the margin."""

    passed: NDArray[np.bool_]
    failed: NDArray[np.bool_]

    @property
    def verdict(self) -> bool:
        """Whether the verdict over all columns is settled: one failed, or all passed."""
        return bool(self.failed.any() or self.passed.all())


def settled(seen: PairedRatio, margin: ArrayLike) -> Settled:
    """What a look settles, against margins of the log ratio, (k,) or one.

    A difference that is sure and smaller than the margin is given time to pass: only an estimate at the margin or
    beyond ends the search. Stopping later than one may costs no error rate.
    """
    limit: NDArray[Any] = np.asarray(margin, np.float64)
    if not (limit > 0).all():
        raise ConfigError(f"expected margins above 0, got {limit.min()}")
    passed = seen.upper < limit
    return Settled(passed, ~passed & (seen.lower > 0) & (np.log(seen.ratio) >= limit))
