"""How far a bound of a mean must reach when few images carry it: Student's t, corrected for heavy and for skewed tails.

Influence values psi -> Shape (skewness, kurtosis) -> standard errors below or above an estimate, at a tail and a number
of images -> the bounds of intervals.py and the sizes of power.py.

Why, measured in gates of 24 levels (benchmarks/calibrate.py has the worlds, docs/calibration.md what ships). One-sided
bounds at 5%, two digits models, 64 images, 1,000 gates of a model no worse: 0.103 fail by Student's t at n - 1, 0.091
with freedom by the sample's kurtosis, 0.089 with Hall's correction by its skewness, 0.065 by the bootstrap-t: a sample
without any of the rare images looks light-tailed, and its own moments can't tell. So a verdict is by the two-sided
interval that is shown, and a kurtosis is assumed: 0.051 at n - 1, 0.037 here without Hall's correction. Skewed alike at
all levels (log-normal, sigma 0.6, 400 gates), that was 0.113 at 64 images and 0.072 at 256; with it 0.048 and 0.022.
No correction knows of images too rare to be in the sample at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .quantiles import student_upper

Floats = NDArray[np.float64]

HEAVY = 6.0
"""The kurtosis that influence values are taken to have at least, a Laplace distribution's: of the difference of two
errors with exponential tails. It widens a simultaneous interval over 24 levels by 7% at 64 images, 1.6% at 256 and 0.4%
at 1,024.
"""


@dataclass(frozen=True, eq=False)
class Shape:
    """Standardised third and fourth moments of k columns' values, (k,); 0 and `HEAVY` where nothing is known."""

    skewness: Floats
    kurtosis: Floats

    @classmethod
    def of(cls, psi: ArrayLike, least: float = HEAVY) -> Shape:
        """Of values (n, k), NaN where an image was not asked, with no kurtosis below `least`. A column that does not
        vary has no skewness.
        """
        table = np.asarray(psi, np.float64)
        asked = ~np.isnan(table)
        count = np.maximum(asked.sum(axis=0), 1)
        centred = np.where(asked, table - np.where(asked, table, 0.0).sum(axis=0) / count, 0.0)
        deviation = np.sqrt(np.square(centred).sum(axis=0) / count)
        score = centred / np.where(deviation > 0, deviation, 1.0)
        return cls((score**3).sum(axis=0) / count, np.maximum((score**4).sum(axis=0) / count, least))

    @classmethod
    def assumed(cls, columns: int) -> Shape:
        """Where only means and standard errors are at hand."""
        return cls(np.zeros(columns), np.full(columns, HEAVY))

    def below(self, tail: float, count: ArrayLike) -> Floats:
        """Standard errors (k,) below the mean of `count` values at which a lower bound of this tail probability lies.

        Student's t whose freedom is by the standard error's own sampling variance, 2 n / (kurtosis - 1) (Satterthwaite
        1946), mapped by the inverse of Hall's monotone cubic, t + a t^2 / 3 + a^2 t^3 / 27 + a / 6 with a = skewness /
        sqrt(n), which is normal to second order (Hall 1992, J. R. Stat. Soc. B 54). A skewness that would bring the
        bound nearer is not believed.
        """
        n = np.asarray(count, np.float64)
        freedom = np.clip(2.0 * n / (HEAVY - 1.0), 1.0, np.maximum(n - 1.0, 1.0))
        student = student_upper(tail, freedom)
        a = np.minimum(self.skewness / np.sqrt(n), -1e-9)  # 0 is the limit, in which the cubic is the identity
        return np.asarray(np.maximum(3.0 / a * (np.cbrt(1.0 + a * (student - a / 6.0)) - 1.0), student))

    def above(self, tail: float, count: ArrayLike) -> Floats:
        """The same for an upper bound."""
        return Shape(-self.skewness, self.kurtosis).below(tail, count)
