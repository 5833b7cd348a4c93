"""Fréchet distance between Gaussians fitted to two sets of features, with its bias and its influence value per sample.

    d^2 = |mu - m|^2 + tr S + tr R - 2 tr (S R)^(1/2)          (Dowson & Landau 1982)

Features or Moments -> Gaussian (keep the reference's: its factor is computed once) -> frechet_distance; features and a
reference -> frechet_influence -> intervals.py. It is called FID only on Inception pool3 features with the published
weights; which features these are is the caller's to say.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg.lapack import dsygst
from torch import Tensor
from torchmetrics import Metric

from ..errors import DataError
from .intervals import Influence
from .moments import Moments, checked_features

Floats = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 4096  # samples at once, which bounds the memory of influence values
_ROOTS_BOUND = 1e-9  # worst case allowed for the fast path, relative to tr (S R)^(1/2); measured errors are 1e-4 of it


class Gaussian:
    """Mean and covariance of a set of features, in float64 on the CPU, with what a distance from it needs, cached.

    mean (d,), covariance (d, d) with ddof = 1, n samples. Raises DataError for fewer than 2 samples.
    """

    def __init__(self, source: Tensor | Moments) -> None:
        self._centred: Floats | None = None
        if isinstance(source, Moments):
            self.n = source.n
            self.mean = _numpy(source.mean)
            self.covariance = _numpy(source.covariance)
            return
        features = _numpy(checked_features(source))
        self.n = len(features)
        if self.n < 2:
            raise DataError(f"a covariance needs at least 2 samples, got {self.n}")
        self.mean = features.mean(axis=0)
        centred = (features - self.mean) / np.sqrt(self.n - 1)
        self.covariance = centred.T @ centred
        if self.n <= self.dimension:
            self._centred = centred

    @classmethod
    def of_statistics(cls, mean: Floats, covariance: Floats, n: int | None = None) -> Gaussian:
        """Of a mean (d,) and covariance (d, d) computed before; n None: unknown, and taken as more than d samples."""
        made = cls.__new__(cls)
        made.mean, made.covariance, made._centred = mean, covariance, None
        made.n = len(mean) + 1 if n is None else n
        return made

    @property
    def dimension(self) -> int:
        return len(self.mean)

    @cached_property
    def cholesky(self) -> Floats | None:
        """Lower triangular L with L L' = covariance, or None where it is singular."""
        if self.n <= self.dimension:
            return None
        try:
            return linalg.cholesky(self.covariance, lower=True, check_finite=False)
        except linalg.LinAlgError:
            return None

    @cached_property
    def factor(self) -> Floats:
        """F (d, r) with F F' = covariance: the centred samples where they are few, else L, else V sqrt(w)."""
        if self._centred is not None:
            return self._centred.T
        return self._root if self.cholesky is None else self.cholesky

    @property
    def _root(self) -> Floats:
        values, vectors = linalg.eigh(self.covariance, driver="evd", check_finite=False)
        kept = values > self.dimension * _EPS * values[-1]  # the numerical rank: what is below is rounding,
        kept[: max(0, self.dimension - self.n + 1)] = False  # and n samples span at most n - 1 dimensions
        root: Floats = vectors[:, kept] * np.sqrt(values[kept])
        return root


def frechet_distance(generated: Tensor | Moments | Gaussian, reference: Tensor | Moments | Gaussian) -> float:
    """Squared Fréchet distance of two sets: features (n, d), Moments, or a Gaussian kept from before.

    tr (S R)^(1/2) is the sum of the singular values of F_S' F_R, F F' the covariances: exact for singular ones and for
    n <= d, where F is the centred features. Where both covariances have a Cholesky factor, it is the sum of the roots
    of the eigenvalues of L' S L, several times faster, unless the roots of the small ones would lose their digits.
    What rounding leaves below 0 is 0. Raises DataError for differing dimensions or fewer than 2 samples.
    """
    g, r = _gaussian(generated), _gaussian(reference)
    _require_same_dimension(g, r)
    return _distance(g, r, _cross_trace(g, r))


def frechet_influence(features: Tensor, reference: Tensor | Moments | Gaussian) -> Influence:
    """The distance of features (n, d) from a fixed reference with its bias at n and one influence value per sample.

    With M = L' S L = V diag(w) V', T = B B', B = L V w^(-1/4) the optimal-transport map from generated to reference and
    x~ the centred sample: psi = 2 x~'(mu - m) + x~'(I - T) x~, and to second order, y = B' x~,

        bias = tr S / n + 1/(2n) sum_ij (E[y_i^2 y_j^2] - delta_ij w_i) / (sqrt w_i + sqrt w_j).

    Raises DataError for n <= d: the expansion doesn't hold there, and a point value has no honest interval.
    """
    n, d = checked_features(features).shape
    if n <= d:
        raise DataError(f"influence values need more samples than dimensions, got {n} samples of {d} dimensions")
    g, r = _gaussian(features), _gaussian(reference)
    _require_same_dimension(g, r)
    values, vectors = linalg.eigh(r.factor.T @ g.covariance @ r.factor, driver="evd", check_finite=False)
    kept = values > 1e-10 * values[-1]
    roots = np.sqrt(values[kept])
    # Products of finished features are good enough in float32 (they move psi by 1e-6 of itself), and twice as fast.
    onto = (r.factor @ (vectors[:, kept] / np.sqrt(roots))).astype(np.float32)
    shift = 2 * (g.mean - r.mean)
    psi = np.empty(n)
    fourth = np.zeros((len(roots), len(roots)))
    for start in range(0, n, _BLOCK):
        centred = _numpy(features[start : start + _BLOCK].double()) - g.mean
        squares = (centred.astype(np.float32) @ onto) ** 2
        psi[start : start + _BLOCK] = centred @ shift + (centred**2).sum(axis=1) - squares.sum(axis=1, dtype=np.float64)
        fourth += squares.T @ squares
    fourth = fourth / n - np.diag(values[kept])
    bias = np.trace(g.covariance) / n + (fourth / np.add.outer(roots, roots)).sum() / (2 * n)
    cross = _trusted_roots(values) if r.cholesky is not None else None
    distance = frechet_distance(g, r) if cross is None else _distance(g, r, cross)
    return Influence(distance, float(bias), psi - psi.mean())


class FrechetDistance(Metric):  # type: ignore[misc]
    """Fréchet distance of two streams of features (n, dimension), exact over batches and processes.

    update(features, real): adds to the reference (real) or to the generated set. compute(): a float64 scalar.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    def __init__(self, dimension: int) -> None:
        super().__init__()
        for side in ("real", "generated"):
            empty = Moments.empty(dimension)
            self.add_state(f"{side}_n", torch.tensor(empty.n), dist_reduce_fx="sum")
            self.add_state(f"{side}_total", empty.total, dist_reduce_fx="sum")
            self.add_state(f"{side}_outer", empty.outer, dist_reduce_fx="sum")

    def moments(self, real: bool) -> Moments:
        """What one side holds: this process's share, or everything once compute() has synchronised."""
        side = "real" if real else "generated"
        return Moments(int(getattr(self, f"{side}_n")), getattr(self, f"{side}_total"), getattr(self, f"{side}_outer"))

    def update(self, features: Tensor, real: bool) -> None:
        merged = self.moments(real).update(features)
        side = "real" if real else "generated"
        setattr(self, f"{side}_n", torch.tensor(merged.n, device=self.device))
        setattr(self, f"{side}_total", merged.total)
        setattr(self, f"{side}_outer", merged.outer)

    def compute(self) -> Tensor:
        distance = frechet_distance(self.moments(real=False), self.moments(real=True))
        return torch.tensor(distance, dtype=torch.float64, device=self.device)


def _distance(g: Gaussian, r: Gaussian, cross: float) -> float:
    shift = g.mean - r.mean
    return max(0.0, float(shift @ shift + (np.trace(g.covariance) - cross) + (np.trace(r.covariance) - cross)))


def _cross_trace(g: Gaussian, r: Gaussian) -> float:
    """tr (S R)^(1/2)."""
    if g.n > g.dimension and r.cholesky is not None:
        product, _ = dsygst(g.covariance, r.cholesky, itype=2, lower=1)
        found = _trusted_roots(linalg.eigvalsh(product, lower=True, driver="evd", check_finite=False))
        if found is not None:
            return found
    return float(linalg.svdvals(g.factor.T @ r.factor, check_finite=False).sum())


def _trusted_roots(values: NDArray[Any]) -> float | None:
    """Sum of the roots of eigenvalues in ascending order, or None where rounding may have spoilt it: an eigenvalue is
    known to within eps * max, hence its root to within eps * max / (2 root)."""
    if not values[0] > 0:
        return None
    roots = np.sqrt(values)
    return float(roots.sum()) if _EPS * values[-1] * (0.5 / roots).sum() < _ROOTS_BOUND * roots.sum() else None


def _gaussian(source: Tensor | Moments | Gaussian) -> Gaussian:
    return source if isinstance(source, Gaussian) else Gaussian(source)


def _require_same_dimension(g: Gaussian, r: Gaussian) -> None:
    if g.dimension != r.dimension:
        raise DataError(f"expected features of the reference's {r.dimension} dimensions, got {g.dimension}")


def _numpy(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy()
    return array
