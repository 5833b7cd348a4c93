"""UniPC: a predictor and a corrector of one order in half log-SNR (Zhao et al. 2023, arXiv:2302.04867), bh2, for x0.

With h = log(sigma / sigma') and B = 1 - e^-h, nodes at fractions r_k of the step (0 at its start, 1 at its end):

    x' = e^-h x + B D_0 + B sum_k rho_k (D_k - D_0) / r_k

The rho make the sum exact for polynomials in log-SNR. The corrector takes the step again with D at its end, which the
next step's predictor needs anyway: one evaluation per step. The step to sigma = 0 is D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@dataclass(frozen=True)
class _History:
    """The last step's beginning, and the predictions of x0 up to it, newest first, with their levels."""

    x: Tensor
    x0: tuple[Tensor, ...]
    sigmas: tuple[float, ...]


@SOLVERS.register("unipc")
class UniPC(Solver):
    """Order 1 to 3; the first steps are of lower order."""

    def __init__(self, order: int = 2) -> None:
        if not 1 <= order <= 3:
            raise ConfigError(f"order: expected within 1..3, got {order}")
        self.order = order

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        x0 = denoiser.denoise(state.x, sigma, cond).x0
        if sigma_next == 0:
            return State(x0)
        x, past = state.x, state.memory
        seen: tuple[Tensor, ...] = (x0,)
        sigmas: tuple[float, ...] = (sigma,)
        if isinstance(past, _History):
            x = _moved(past.x, (*past.x0, x0), (*past.sigmas, sigma), sigma)
            seen, sigmas = (x0, *past.x0)[: self.order], (sigma, *past.sigmas)[: self.order]
        return State(_moved(x, seen, sigmas, sigma_next), _History(x, seen, sigmas))


def _moved(x: Tensor, x0: tuple[Tensor, ...], sigmas: tuple[float, ...], sigma_next: float) -> Tensor:
    """One step from sigmas[0] to sigma_next with the predictions x0 at `sigmas`, of which the first is the step's."""
    h = math.log(sigmas[0] / sigma_next)
    reach = -math.expm1(-h)
    fractions = [math.log(sigmas[0] / sigma) / h for sigma in sigmas[1:]]
    moved = math.exp(-h) * x + reach * x0[0]
    for rho, r, other in zip(weights(fractions, h), fractions, x0[1:], strict=True):
        moved = moved + (reach * rho / r) * (other - x0[0])
    return moved


def weights(fractions: list[float], h: float) -> list[float]:
    """rho_k of nodes r_k: sum_k rho_k r_k^(n-1) is the n-th moment, exact for polynomials in log-SNR.

    A single node has rho = 1/2, as in the paper: its error is of the order that one node has anyway.
    """
    if len(fractions) < 2:
        return [0.5] * len(fractions)
    moments = _moments(len(fractions), h)
    return [float(rho) for rho in np.linalg.solve(np.vander(fractions, increasing=True).T, moments)]


def _moments(count: int, h: float) -> list[float]:
    """n! phi_(n+1) (-h) / expm1(-h) for n = 1..count, with phi_1(z) = expm1(z)/z, phi_(n+1) = (phi_n - 1/n!) / z."""
    moments, phi, factorial = [], math.expm1(-h) / -h - 1.0, 1.0
    for n in range(1, count + 1):
        moments.append(phi * factorial / math.expm1(-h))
        factorial *= n + 1
        phi = phi / -h - 1.0 / factorial
    return moments
