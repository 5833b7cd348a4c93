"""P6, symmetry: is the estimate the gradient of anything, and are its posterior variances positive?

The best denoiser's Jacobian is a covariance, J = Cov(x0 | x) / s^2: symmetric, and no eigenvalue is negative.

    asymmetry   |J - J'|_F^2 / |J|_F^2: 0 for a gradient, 2 for J of independent entries, 4 for a pure rotation
    negative    E max(0, -least) / E greatest, of the Ritz values of (J + J') / 2: 0 where no variance is negative
    curl        s^2 |(J - J') / 2|_F^2 / E |D - x0|^2: the share of the denoising error that is no gradient
    ritz        E least Ritz value itself, in units of s^2

From products J v alone: in a random orthonormal pair, E (u'J v - v'J u)^2 = |J - J'|_F^2 / (d (d - 1)) and
E |J v|^2 = |J|_F^2 / d (Haar measure). Ritz values are the eigenvalues of V'(J + J')V / 2, V an orthonormal basis of
the pair and of J u, J^2 u, ...; the least lies above the least eigenvalue, so a negative one is proof (Parlett, The
Symmetric Eigenvalue Problem, ch. 11).

Rounding is no gradient. What it can do to a Ritz value is allowed for in `negative`, and where it may make more than a
hundredth of |J|^2, as at large s in float32, an image's asymmetry is not scored.

Two further evaluations for each vector of the basis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ConfigError
from . import jacobian
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts, mean_product, mean_square, ratio

_TRACE = 2.0**-20


@PROBES.register("symmetry")
class Symmetry(Probe):
    name = "symmetry"
    quantities = (
        Quantity("asymmetry", ("antisymmetric", "power"), ratio, optimal=0.0),
        Quantity("curl", ("curl", "error"), ratio, optimal=0.0),
        Quantity("negative", ("negative", "greatest"), ratio, optimal=0.0),
        Quantity("ritz", ("least",)),
    )

    def __init__(self, basis: int = 4, images: int = 32) -> None:
        counts("symmetry", basis=basis, images=images)
        self.basis, self.images = basis, images
        self.evaluations = 2 * basis

    def check(self, subject: Subject) -> None:
        jacobian.check(self.name, subject)
        if not 2 <= self.basis <= subject.denoiser.dimensions:
            raise ConfigError(
                f"probe 'symmetry': expected a basis of 2 to {subject.denoiser.dimensions}, the model's dimensions, "
                f"got {self.basis}"
            )

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        vectors: list[Tensor] = []
        images: list[Tensor] = []
        for number in range(self.basis):
            fresh = subject.normal(seen, f"{self.name} {number}").double()
            # a trace of noise keeps the basis whole where J is 0 or a multiple of the identity
            start = fresh if number < 2 else _unit(images[0 if number == 2 else -1]) + _TRACE * fresh
            vectors.append(_beside(start, vectors))
            images.append(jacobian.product(subject, seen, seen.scaled, vectors[-1])[1])
        # vectors are d long, squared: entries are u'J v / d of unit vectors times d
        projected = torch.stack([torch.stack([mean_product(v, image) for image in images], 1) for v in vectors], 1)
        values = torch.linalg.eigvalsh((projected + projected.mT) / 2.0)
        least, greatest = values[:, 0], values[:, -1]
        antisymmetric = (subject.denoiser.dimensions - 1) * (projected[:, 0, 1] - projected[:, 1, 0]).square()
        power = (mean_square(images[0]) + mean_square(images[1])) / 2.0
        rounding = jacobian.rounding(seen.level.sigma.to(power), subject.denoiser.dtype)
        # each of two products has the rounding once in each entry
        antisymmetric = torch.where(2.0 * rounding**2 < 0.01 * power, antisymmetric, torch.nan)
        return {
            "antisymmetric": antisymmetric,
            "curl": seen.level.sigma.to(power) ** 2 * antisymmetric / 4.0,
            "error": seen.error,
            "power": power,
            "least": least,
            "greatest": greatest,
            "negative": (-least - rounding).clamp(min=0.0),
        }


def _unit(v: Tensor) -> Tensor:
    """Scaled to entries of size 1; 0 stays 0."""
    size = mean_square(v).sqrt().reshape(-1, *(1,) * (v.ndim - 1))
    return v / torch.where(size > 0, size, 1.0)


def _beside(v: Tensor, others: list[Tensor]) -> Tensor:
    """v without its parts along the others, with entries of size 1; Gram and Schmidt, twice against rounding."""
    for _ in range(2):
        for other in others:
            v = v - mean_product(other, v).reshape(-1, *(1,) * (v.ndim - 1)) * other
        v = _unit(v)
    return v
