"""DDIM and ancestral DDPM: x' = x0 + sqrt(sigma'^2 - q^2) eps + q z (Song et al. 2020, arXiv:2010.02502).

In the scaled state the added noise is q = eta sigma' sqrt(1 - sigma'^2 / sigma^2), for every schedule.
"""

from __future__ import annotations

import math

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@SOLVERS.register("ddim")
class DDIM(Solver):
    """eta = 0 is deterministic; eta = 1 is ancestral sampling with DDPM's posterior variance (arXiv:2006.11239)."""

    def __init__(self, eta: float = 0.0) -> None:
        if not 0 <= eta <= 1:
            raise ConfigError(f"eta: expected within [0, 1], got {eta}")
        self.eta = eta
        self.stochastic = eta > 0

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        seen = denoiser.denoise(state.x, sigma, cond)
        added = self.eta * sigma_next * math.sqrt(1.0 - (sigma_next / sigma) ** 2)
        x = seen.x0 + math.sqrt(sigma_next**2 - added**2) * seen.eps
        return State(x + added * noise.between(sigma, sigma_next) if added > 0 else x)


@SOLVERS.register("ddpm")
def ddpm() -> DDIM:
    return DDIM(eta=1.0)


@SOLVERS.register("ancestral")
def ancestral(eta: float = 1.0) -> DDIM:
    """Euler ancestral as k-diffusion writes it: eps down to sqrt(sigma'^2 - q^2), then q z. It is DDIM's very step."""
    return DDIM(eta)
