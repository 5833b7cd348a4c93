"""How far a bound of a mean must reach when few images carry it: Student's t, corrected for heavy and for skewed tails.

Influence values psi -> skewness -> standard errors below or above an estimate, at a tail and a number of images -> the
bounds of intervals.py and the sizes of power.py.

Why, measured in gates of 24 levels (benchmarks/calibrate.py has the worlds, docs/calibration.md what ships). One-sided
bounds at 5%, two digits models, 64 images, 1,000 gates of a model no worse: 0.103 fail by Student's t at n - 1, 0.091
with freedom by the sample's kurtosis, 0.089 with Hall's correction by its skewness, 0.065 by the bootstrap-t: a sample
without any of the rare images looks light-tailed, and its own moments can't tell. So a verdict is by the two-sided
interval that is shown, and a kurtosis is assumed: 0.051 at n - 1, 0.037 here without Hall's correction. Skewed alike at
all levels (log-normal, sigma 0.6, 400 gates), that was 0.113 at 64 images and 0.072 at 256; with it 0.048 and 0.022.
No correction knows of images too rare to be in the sample at all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantiles import student_upper

Floats = NDArray[np.float64]

HEAVY = 6.0
"""The kurtosis that influence values are taken to have, a Laplace distribution's: of the difference of two errors with
exponential tails. It widens a simultaneous interval over 24 levels by 7% at 64 images, 1.6% at 256 and 0.4% at 1,024.
A sample's own is not asked: in six settings of 300 to 500 gates, of digits and of skewed errors, it changed none that
failed. It is large where the rare images are in the sample, and those gates do not fail.
"""


def skewness(psi: ArrayLike) -> Floats:
    """Of values (n, k), NaN where an image was not asked: (k,). A column that does not vary has none."""
    return _moment(psi, 3)


def kurtosis(psi: ArrayLike) -> Floats:
    """Of values (n, k) as above; 0 for a column that does not vary."""
    return _moment(psi, 4)


def below(tail: float, count: ArrayLike, skew: ArrayLike = 0.0) -> Floats:
    """Standard errors below the mean of `count` values of this skewness at which a lower bound of this tail lies.

    Student's t whose freedom is by the standard error's own sampling variance, 2 n / (HEAVY - 1) (Satterthwaite 1946),
    then `skewed`.
    """
    n = np.asarray(count, np.float64)
    return skewed(student_upper(tail, np.clip(2.0 * n / (HEAVY - 1.0), 1.0, np.maximum(n - 1.0, 1.0))), n, skew)


def skewed(reach: ArrayLike, count: ArrayLike, skew: ArrayLike) -> Floats:
    """How far below a mean of `count` values of this skewness a bound lies that is `reach` standard errors below one of
    none: by the inverse of Hall's monotone cubic, t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 with a = skewness / sqrt(n),
    which is normal to second order (Hall 1992, J. R. Stat. Soc. B 54). A skewness that would bring it nearer is not
    believed.
    """
    a = np.minimum(np.asarray(skew, np.float64) / np.sqrt(count), -1e-9)  # 0 is the limit: the cubic is the identity
    return np.asarray(np.maximum(3.0 / a * (np.cbrt(1.0 + a * (np.asarray(reach) - a / 6.0)) - 1.0), reach))


def above(tail: float, count: ArrayLike, skew: ArrayLike = 0.0) -> Floats:
    """The same for an upper bound."""
    return below(tail, count, -np.asarray(skew, np.float64))


def _moment(psi: ArrayLike, power: int) -> Floats:
    table = np.asarray(psi, np.float64)
    asked = ~np.isnan(table)
    count = np.maximum(asked.sum(axis=0), 1)
    centred = np.where(asked, table - np.where(asked, table, 0.0).sum(axis=0) / count, 0.0)
    deviation = np.sqrt(np.square(centred).sum(axis=0) / count)
    score = centred / np.where(deviation > 0, deviation, 1.0)
    return np.asarray((score**power).sum(axis=0) / count)
