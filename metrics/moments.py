"""First and second moments of a stream of features: what a Fréchet distance needs of a set, at any size.

Features in batches, from any number of processes -> Moments -> frechet.py. Sums add, so batch size, order and sharding
change the result by float64 rounding only; nothing is ever padded or counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over n feature vectors x in float64: total = sum x (d,), outer = sum x x' (d, d), on one device.

    The sums are about 0, so that they add across processes with no agreement beforehand. The covariance then loses
    about log10(1 + mean^2/variance) of float64's 16 digits: one or two on pooled features of a ReLU network.
    """

    n: int
    total: Tensor
    outer: Tensor

    @classmethod
    def empty(cls, dimension: int, device: torch.device | str | None = None) -> Moments:
        zeros = torch.zeros(dimension + 1, dimension, dtype=torch.float64, device=device)
        return cls(0, zeros[0], zeros[1:])

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Of one batch (n, d). Raises DataError for another shape or values that aren't finite."""
        x = checked_features(features)
        return cls(len(x), x.sum(dim=0), x.T @ x)

    def update(self, features: Tensor) -> Moments:
        """With one more batch (n, d)."""
        return self.merge(Moments.of(features))

    def merge(self, other: Moments) -> Moments:
        """Of both sets together."""
        if self.total.shape != other.total.shape:
            raise DataError(f"expected moments of {len(self.total)} dimensions, got {len(other.total)}")
        return Moments(self.n + other.n, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> Tensor:
        """(d,). Raises DataError for an empty set."""
        if self.n < 1:
            raise DataError("a mean needs at least 1 sample, got 0")
        return self.total / self.n

    @property
    def covariance(self) -> Tensor:
        """(d, d), unbiased (ddof = 1), symmetric. Raises DataError for fewer than 2 samples."""
        if self.n < 2:
            raise DataError(f"a covariance needs at least 2 samples, got {self.n}")
        scatter = self.outer - torch.outer(self.total, self.mean)
        return (scatter + scatter.T) / (2 * (self.n - 1))


def checked_features(features: Tensor) -> Tensor:
    """Features (n, d) in float64. Raises DataError for another shape or values that aren't finite."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise DataError(f"expected features (n, d), got {tuple(features.shape)}")
    if not features.isfinite().all():
        raise DataError(
            f"expected finite features, got {int((~features.isfinite()).any(dim=1).sum())} rows that aren't"
        )
    return features.double()
