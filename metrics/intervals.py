"""How sure a number is: intervals of means, paired ratios with simultaneous bounds, influence values, verdicts.

One idea for every metric: a statistic is its value plus a mean of one influence value psi_i per sample, so its interval
is that of a mean and a comparison is that of a paired mean. Tables of errors or influence values -> bounds -> verdict.

Everything is float64 NumPy and a pure function of its arguments, `seed` included. Rows are clusters (one image with all
its draws), the independent units; columns are noise levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, DataError
from .quantiles import normal_quantile, normal_tail
from .tails import above, below, skewness

Floats = NDArray[np.float64]
Verdict = Literal["pass", "fail", "inconclusive"]

_BLOCK = 1 << 22  # weights held at once while resampling, in numbers


@dataclass(frozen=True, eq=False)
class Estimate:
    """Values with the ends of their intervals, three arrays of one shape."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Influence:
    """A statistic of n samples to first order: value + mean(psi), psi (n,) centred; `bias` is what `value` has at n."""

    value: float
    bias: float
    psi: Floats

    @property
    def corrected(self) -> float:
        """The value less its bias: the estimate of what infinitely many samples would give."""
        return self.value - self.bias

    @property
    def standard_error(self) -> float:
        with np.errstate(invalid="ignore"):  # infinite where a row left out leaves a division by 0
            return float(self.psi.std(ddof=1) / math.sqrt(self.psi.size))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of `standard_error`, from its own sampling variance: 2 n / (kurtosis - 1) (Satterthwaite
        1946). n - 1 for normal psi; next to none where a few samples carry it all, so that its interval is wide.
        """
        squares = np.square(self.psi - self.psi.mean())
        n = self.psi.size
        total = squares.sum()
        if not total > 0:
            return n - 1.0
        kurtosis = n * float(np.square(squares / total).sum())
        return float(np.clip(2.0 * n / max(kurtosis - 1.0, 1e-12), 1.0, n - 1.0))

    def interval(self, confidence: float = 0.95) -> Estimate:
        """The corrected value with its normal interval: it covers the infinite-sample value, not `value`."""
        half = normal_quantile((1 + _checked(confidence)) / 2) * self.standard_error
        value = np.asarray(self.corrected)
        return Estimate(value, value - half, value + half)


@dataclass(frozen=True, eq=False)
class PairedRatio:
    """Candidate's mean over baseline's, per column (k,). A column without a ratio (a mean of 0) is NaN throughout.

    ratio, low, high: two-sided interval, each column alone.
    band_low, band_high: two-sided interval, all columns at once (max-T).
    lower: lower bound of the log ratio, all columns at once; the FAIL side of `verdict`. log(band_low), or less where
    several tables share alpha: what fails is outside its interval, and the interval shown is the one that decides.
    upper: one-sided upper bound of the log ratio, each column alone; the PASS side of `verdict`.
    influence (n, k): psi of the log ratio.
    error: standard error of the log ratio.
    """

    ratio: Floats
    low: Floats
    high: Floats
    band_low: Floats
    band_high: Floats
    lower: Floats
    upper: Floats
    influence: Floats
    error: Floats


def cluster_means(values: ArrayLike, clusters: ArrayLike) -> Floats:
    """Mean of the rows of values (m,) or (m, k) that share a cluster (m,): (n,) or (n, k), clusters in ascending order.

    Raises DataError on differing lengths and on values that aren't finite.
    """
    table = _finite(values)
    labels = np.asarray(clusters)
    if labels.ndim != 1 or table.ndim == 0 or len(table) != len(labels):
        raise DataError(f"expected one cluster per row, got values {table.shape} and clusters {labels.shape}")
    names, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), *table.shape[1:]))
    np.add.at(sums, index, table)
    return sums / counts.reshape(-1, *[1] * (table.ndim - 1))


def bootstrap_mean(values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Column means of values (n, k) with percentile-bootstrap intervals over rows; arrays (k,).

    A resample is a row of multinomial counts, so all of them are one matrix product (Efron & Tibshirani 1993, ch. 13).
    Raises DataError for fewer than 2 rows or values that aren't finite.
    """
    table = _table(values)
    n = len(table)
    tail = (1 - _checked(confidence)) / 2
    centre = table.mean(axis=0)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [rng.multinomial(n, np.full(n, 1 / n), size=size) @ (table - centre) / n for size in _blocks(resamples, n)]
    )
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return Estimate(centre, centre + low, centre + high)


def jackknife(statistic: Callable[..., Any], table: ArrayLike) -> Influence:
    """`statistic` of the column means of a table (n, c), to first order, by leaving out one row at a time.

    `statistic` takes c arrays of one shape, elementwise: it is called with the n means of all rows but one.
    Raises DataError for fewer than 2 rows or values that aren't finite.
    """
    rows = _table(table)
    n = len(rows)
    total = rows.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is NaN: not scored
        value = float(statistic(*(total / n)))
        without = np.asarray(statistic(*((total - rows) / (n - 1)).T), np.float64)
        return Influence(value, (n - 1) * float(without.mean() - value), (n - 1) * (without.mean() - without))


def paired_log_ratio(
    baseline: ArrayLike,
    candidate: ArrayLike,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    families: float = 1,
) -> PairedRatio:
    """Ratio of the means of two tables (n, k) of non-negative errors: the same images under the same noise, row by row.

    The log ratio of means has influence psi_i = c_i/mean(c) - b_i/mean(b), hence SE = sd(psi)/sqrt(n). One column's
    bounds are by Student's t, with the degrees of freedom of heavy tails, and Hall's correction of
    skewness (tails.py). Over all columns, the quantile of the largest Gaussian multiplier sum of psi/sd
    (Chernozhukov, Chetverikov & Kato 2013) says which tail each column is held to, and its own skewness how far that
    reaches; one column gives its own bounds again.
    Equal columns give a ratio of exactly 1 and an interval of width 0, also when they are all zero.

    families: how many such tables share alpha = 1 - confidence on the FAIL side: `lower` is at alpha / families.

    NaN in both tables: this image was not asked at this level. Then n is each column's own.

    Raises DataError for differing shapes, NaN in one table only, fewer than 2 values in a column, negative values or
    infinite ones.
    """
    b, c, asked = _pair(baseline, candidate)
    n = asked.sum(axis=0)
    tail = 1 - _checked(confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_b, mean_c = b.mean(axis=0, where=asked), c.mean(axis=0, where=asked)
        ratio = mean_c / mean_b
        psi = c / mean_c - b / mean_b
    ratio[~(ratio > 0) | np.isinf(ratio)] = np.nan
    equal = (~asked | (b == c)).all(axis=0)
    ratio[equal], psi[:, equal] = 1.0, 0.0
    psi[:, np.isnan(ratio)] = np.nan
    error = psi.std(axis=0, ddof=1, where=asked) / np.sqrt(n)

    skew = skewness(np.where(asked, psi, np.nan))
    largest, largest_size = _maxima(psi, asked, resamples, seed)
    two_tail = _tail(np.quantile(largest_size, 1 - tail), tail / 2)
    one_tail = min(two_tail, _tail(np.quantile(largest, 1 - tail / families), tail / families))
    log = np.log(ratio)
    return PairedRatio(
        ratio=ratio,
        low=np.exp(log - below(tail / 2, n, skew) * error),
        high=np.exp(log + above(tail / 2, n, skew) * error),
        band_low=np.exp(log - below(two_tail, n, skew) * error),
        band_high=np.exp(log + above(two_tail, n, skew) * error),
        lower=log - below(one_tail, n, skew) * error,
        upper=log + above(tail, n, skew) * error,
        influence=np.where(asked, psi, np.nan),
        error=error,
    )


def simultaneous(psi: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Floats:
    """How many standard errors (k,) either side of k means of psi (n, k) hold for all of them at once, as above."""
    table = _table(psi)
    largest = _maxima(table, np.ones(table.shape, bool), resamples, seed)[1]
    tail = _tail(np.quantile(largest, _checked(confidence)), (1 - confidence) / 2)
    return below(tail, len(table), -np.abs(skewness(table)))


def holm_shares(p: Floats, alpha: float) -> Floats:
    """The alpha each of k tests is held against by Holm's step-down (1979): alpha/k for the smallest p, alpha/(k-1) for
    the next while each is rejected; where one is not, that one's for all that follow. Exactly p <= share is rejected.
    """
    order = np.argsort(p, kind="stable")
    steps = alpha / np.arange(len(p), 0, -1)
    kept = np.flatnonzero(~(p[order] <= steps))
    if len(kept):
        steps[kept[0] :] = steps[kept[0]]
    shares = np.empty(len(p))
    shares[order] = steps
    return shares


def verdict(lower: float, upper: float, margin: float) -> Verdict:
    """One-sided bounds on a difference (worse is positive) against a margin: so P(fail | no worse) <= alpha and
    P(pass | worse by the margin) <= alpha. A bound that is NaN, not scored, decides nothing.

    Of many levels correct `lower` only: passing all of them is an intersection-union test. Raises ConfigError for a
    margin that isn't a number of 0 or more.
    """
    if not margin >= 0:
        raise ConfigError(f"expected a margin of 0 or more, got {margin}")
    if upper < margin:
        return "pass"
    return "fail" if lower > 0 and upper >= margin else "inconclusive"


def _pair(baseline: ArrayLike, candidate: ArrayLike) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Two tables of errors, and where there are any."""
    b, c = np.asarray(baseline, np.float64), np.asarray(candidate, np.float64)
    if b.shape != c.shape:
        raise DataError(f"expected a pair of equal shapes, got baseline {b.shape} and candidate {c.shape}")
    if b.ndim != 2:
        raise DataError(f"expected a table (rows, columns), got shape {b.shape}")
    asked = ~np.isnan(b)
    broken = np.isinf(b) | np.isinf(c) | (asked == np.isnan(c))
    if broken.any():
        raise DataError(f"expected finite values, got {np.count_nonzero(broken)} that aren't")
    if not b.size or asked.sum(axis=0).min() < 2:
        raise DataError(f"an interval needs at least 2 rows (independent images), got {b.shape} with fewer")
    least = min(b[asked].min(), c[asked].min())
    if least < 0:
        raise DataError(f"expected errors of 0 or more, got {least}")
    return b, c, asked


def _maxima(psi: Floats, asked: NDArray[np.bool_], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """Per resample the largest and the largest absolute normal of those that the columns which vary have in common."""
    spread = psi.std(axis=0, ddof=1, where=asked)
    columns = spread > 0
    if not columns.any():
        return np.zeros(resamples), np.zeros(resamples)
    psi, asked, spread = psi[:, columns], asked[:, columns], spread[columns]
    n = asked.sum(axis=0)
    scaled = (psi - psi.mean(axis=0, where=asked)) / (spread * np.sqrt(n - 1))
    scaled[~asked] = 0.0
    rng = np.random.default_rng(seed)
    sums = np.concatenate([rng.standard_normal((size, len(psi))) @ scaled for size in _blocks(resamples, len(psi))])
    return sums.max(axis=1), np.abs(sums).max(axis=1)


def _tail(largest: float, alone: float) -> float:
    """One column's tail probability beyond the quantile `largest` of the largest of them all, a normal's; no more than
    that of a column alone, for the exact quantile is never below its own, and Monte Carlo noise can't say so.
    """
    return min(float(normal_tail(largest)), alone)


def _blocks(resamples: int, n: int) -> list[int]:
    """Sizes of the blocks in which `resamples` draws of n weights are made; one random stream runs through them."""
    if resamples < 1:
        raise ConfigError(f"expected at least 1 resample, got {resamples}")
    size = max(1, _BLOCK // n)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ConfigError(f"expected a confidence between 0 and 1, got {confidence}")
    return confidence


def _finite(values: ArrayLike) -> Floats:
    table: NDArray[Any] = np.asarray(values, dtype=np.float64)
    if not np.isfinite(table).all():
        raise DataError(f"expected finite values, got {np.count_nonzero(~np.isfinite(table))} that aren't")
    return table


def _table(values: ArrayLike) -> Floats:
    table = _finite(values)
    if table.ndim != 2:
        raise DataError(f"expected a table (rows, columns), got shape {table.shape}")
    if len(table) < 2:
        raise DataError(f"an interval needs at least 2 rows (independent images), got {len(table)}")
    return table
