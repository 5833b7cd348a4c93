"""Linear multistep (Adams-Bashforth on an uneven grid): dx/dsigma = eps, eps extrapolated from earlier steps.

    x' = x + sum_j c_j eps_j,   c_j = integral over the step of the Lagrange polynomial of node j

exact, as the polynomials are integrated in closed form. k-diffusion's and diffusers' LMS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@dataclass(frozen=True)
class _History:
    """Earlier slopes and their levels, newest first."""

    slopes: tuple[Tensor, ...] = ()
    sigmas: tuple[float, ...] = ()


@SOLVERS.register("lms")
class LinearMultistep(Solver):
    """Order 1 (Euler) to 4; the first steps are of lower order."""

    def __init__(self, order: int = 4) -> None:
        if not 1 <= order <= 4:
            raise ConfigError(f"order: expected within 1..4, got {order}")
        self.order = order

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        past = state.memory if isinstance(state.memory, _History) else _History()
        slopes = (denoiser.denoise(state.x, sigma, cond).eps, *past.slopes)[: self.order]
        sigmas = (sigma, *past.sigmas)[: self.order]
        x = state.x
        for weight, slope in zip(step_weights(sigmas, sigma_next), slopes, strict=True):
            x = x + weight * slope
        return State(x, _History(slopes, sigmas))


def step_weights(sigmas: tuple[float, ...], sigma_next: float) -> list[float]:
    """Integral from sigmas[0] to sigma_next of each node's Lagrange polynomial over all nodes."""
    width = sigma_next - sigmas[0]
    nodes = (np.array(sigmas) - sigmas[0]) / width  # the step is [0, 1] here
    weights = []
    for index, node in enumerate(nodes):
        others = np.delete(nodes, index)
        whole = np.polynomial.Polynomial.fromroots(others).integ() if len(others) else np.polynomial.Polynomial([0, 1])
        weights.append(width * float(whole(1.0) - whole(0.0)) / float(np.prod(node - others)))
    return weights
