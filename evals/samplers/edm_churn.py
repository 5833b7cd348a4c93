"""EDM's stochastic sampler: noise up a little, then Heun down (Karras et al. 2022, arXiv:2206.00364, algorithm 2).

sigma^ = (1 + gamma) sigma,  gamma = min(S_churn / steps, sqrt 2 - 1) where S_tmin <= sigma <= S_tmax
x^ = x + sqrt(sigma^^2 - sigma^2) S_noise z,  then Heun from sigma^ to sigma'
"""

from __future__ import annotations

import math

from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .euler import Heun
from .solver import SOLVERS, State, StepNoise


@SOLVERS.register("edm_churn")
class EDMChurn(Heun):
    """The defaults are the paper's for ImageNet-64 (table 5).

    A level is raised only where the model reaches as high: EDM's own code rounds sigma^ down to its networks' range.
    """

    def __init__(
        self, s_churn: float = 40.0, s_tmin: float = 0.05, s_tmax: float = 50.0, s_noise: float = 1.003
    ) -> None:
        if not s_churn >= 0 or not s_noise >= 0 or not 0 <= s_tmin <= s_tmax:
            raise ConfigError(
                "edm_churn: expected s_churn and s_noise of at least 0 and 0 <= s_tmin <= s_tmax, "
                f"got {s_churn}, {s_noise}, {s_tmin}, {s_tmax}"
            )
        self.s_churn, self.s_tmin, self.s_tmax, self.s_noise = s_churn, s_tmin, s_tmax, s_noise
        self.stochastic = s_churn > 0

    def init(self, denoiser: Denoiser, sigmas: Tensor, steps: int, noise: Tensor) -> State:
        """The state carries the number of steps, which gamma depends on."""
        return State(super().init(denoiser, sigmas, steps, noise).x, steps)

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        if not isinstance(state.memory, int):
            raise ConfigError("edm_churn: expected a state from its `init`, which knows the number of steps")
        raised = self.raised(sigma, state.memory, denoiser.schedule.sigma_max)
        x = state.x
        if raised > sigma:
            # a step to 0, infinitely long on the path's clock, takes the octave below
            z = noise.between(sigma, sigma_next or sigma / 2)
            x = x + math.sqrt(raised**2 - sigma**2) * self.s_noise * z
        stepped = super().step(denoiser, State(x), raised, sigma_next, cond, noise)
        return State(stepped.x, state.memory)

    def raised(self, sigma: float, steps: int, highest: float) -> float:
        """sigma^ at a level of a grid of `steps`, for a model that reaches up to `highest`."""
        if not self.s_tmin <= sigma <= self.s_tmax:
            return sigma
        raised = sigma * (1.0 + min(self.s_churn / steps, math.sqrt(2.0) - 1.0))
        return raised if raised <= highest else sigma
