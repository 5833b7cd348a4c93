"""Products J v of the denoiser's Jacobian, by central differences in the scaled state: two evaluations a direction.

    J v = (D(x + h v) - D(x - h v)) / 2h

They ask nothing of the network but answers, so exported graphs, networks that work in place and foreign code have a
Jacobian too. Directions have entries of size 1.

The step. D is a function of a density smoothed over sigma, so it bends over distances of sigma: with h = eta sigma the
difference is off by about eta^2 / 6 of J v. A network's answer is rounded, by K u of its size for a unit roundoff u and
a few operations in a row, K = 8; of x0 that is K u on data of size 1, of noise it is K u sigma: divided by h, about
K u (1 + 1/sigma) / eta in all. The sum of the two is least at

    eta^3 = 3 K u (1 + 1/sigma)

which is eta = 0.011 for float32 at large sigma, and 0.09 at sigma = 0.002. All but the network runs in float64, so the
part of D that is linear in x by its parameterization is exact. The bundled U-Nets in float32 stay well within what
`rounding` states. A network in half precision leaves nothing but its rounding in such a difference and is refused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ConfigError
from .probe import Evaluations, Subject, mean_product

_ROUNDINGS = 8.0
_UNITS = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


def check(name: str, subject: Subject) -> None:
    """Raises ConfigError for a network in half precision."""
    if subject.denoiser.dtype not in _UNITS:
        raise ConfigError(
            f"probe {name!r}: expected a network in float32 or float64, got {subject.denoiser.dtype}, in which a "
            "difference of two answers is their rounding"
        )


def step(sigma: Tensor, dtype: torch.dtype) -> Tensor:
    """h for a network in `dtype` at each sigma, in the units of x."""
    return sigma * (3.0 * _ROUNDINGS * _UNITS[dtype] * (1.0 + 1.0 / sigma)) ** (1.0 / 3.0)


def rounding(sigma: Tensor, dtype: torch.dtype) -> Tensor:
    """About how far an entry of J v is off: K u (1 + 1/sigma) / eta and eta^2 / 6, together eta^2 / 2."""
    return (step(sigma, dtype) / sigma) ** 2 / 2.0


def product(subject: Subject, seen: Evaluations, at: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """(D, J v) at scaled states `at`, in direction v, both `(B, *event_shape)`: float64, each to order h^2."""
    h = step(seen.sigma.double(), subject.denoiser.dtype)
    ahead = subject.again(seen, at.double() + h * direction).x0
    behind = subject.again(seen, at.double() - h * direction).x0
    return (ahead + behind) / 2.0, (ahead - behind) / (2.0 * h)


def trace(subject: Subject, seen: Evaluations, at: Tensor, directions: int, purpose: str) -> tuple[Tensor, Tensor]:
    """(D, tr J / d `(B,)`) at scaled states, by Hutchinson's estimate: the mean of v'J v over random signs v.

    Hutchinson, Communications in Statistics 18 (1989). Its variance is 2 (|S|_F^2 - sum S_ii^2) / d^2 for one direction
    and the symmetric part S of J: a diagonal J has none.
    """
    value, total = (
        torch.zeros_like(at, dtype=torch.float64),
        torch.zeros(len(at), dtype=torch.float64, device=at.device),
    )
    for number in range(directions):
        signs = torch.where(subject.normal(seen, f"{purpose} {number}") < 0, -1.0, 1.0).double()
        near, along = product(subject, seen, at, signs)
        value, total = value + near / directions, total + mean_product(signs, along) / directions
    return value, total
