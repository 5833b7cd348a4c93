"""The protocol of a solver: explicit state, one step at a time.

The state x is the scaled state x_t / alpha, in which the probability-flow ODE is dx/dsigma = eps(x, sigma) for every
model, so a solver is written once. Solvers that bring their own clock (diffusers' schedulers) override `levels`,
`init` and `finish`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ConfigError
from ...registry import Registry
from ..denoiser import Cond, Denoiser
from ..levels import broadcast
from ..noise import Noise
from ..parameterization import Prediction
from .brownian import BrownianPath, octaves
from .grids import Grid


@dataclass(frozen=True)
class State:
    """What passes from step to step."""

    x: Tensor
    """`(B, *event_shape)`; the scaled state, unless the solver says otherwise."""
    memory: object = None
    """Whatever a multistep solver keeps."""


@dataclass(frozen=True)
class StepNoise:
    """The noise of one step for one batch of samples, a function of the seed and the sample id."""

    noise: Noise
    sample_ids: Tensor
    step: int
    event_shape: tuple[int, ...]
    dtype: torch.dtype
    path: BrownianPath | None = None
    """The batch's, which saves its steps from asking twice for a level; the numbers are the same without."""

    def between(self, sigma: float, sigma_next: float) -> Tensor:
        """Standard normals `(B, *event_shape)`: the sample's Brownian path between two levels, scaled to variance 1.

        Keyed by the interval, not by the step: a refined grid sees the same path. Raises ConfigError unless
        sigma > sigma_next > 0.
        """
        path = self.path or BrownianPath(self.noise, self.sample_ids, self.event_shape)
        return (path.increment(sigma, sigma_next) / math.sqrt(octaves(sigma, sigma_next))).to(self.dtype)

    def normal(self, draw: int = 0) -> Tensor:
        """Standard normals `(B, *event_shape)` keyed by (step, draw), for moves that stay at one level."""
        purpose = f"step {draw}" if draw else "step"
        return self.noise.normal(self.sample_ids, purpose, self.step, self.event_shape, self.dtype)

    def generators(self) -> list[torch.Generator]:
        """One generator per sample, for foreign code that draws for itself."""
        return self.noise.generators(self.sample_ids, "step", self.step)


class Solver(ABC):
    """Takes a state from one noise level to the next."""

    stochastic: bool = False
    """Whether steps draw noise."""
    own_clock: bool = False
    """Whether the solver brings its own levels and state, and starts at alpha = 0 by itself."""

    def evaluations(self, sigmas: Tensor) -> int:
        """Network evaluations per sample on a grid `(steps + 1,)`; of an adaptive solver, a guess."""
        return len(sigmas) - 1

    def levels(self, denoiser: Denoiser, grid: Grid | None, steps: int) -> Tensor:
        """The sigmas visited, `(steps + 1,)` float64, descending to 0. A solver with its own clock takes no grid."""
        if grid is None:
            raise ConfigError(f"{type(self).__name__}: expected a grid of noise levels, got none")
        return grid(denoiser.schedule, steps)

    def init(self, denoiser: Denoiser, sigmas: Tensor, steps: int, noise: Tensor) -> State:
        """The state at the first level, from unit noise `(B, *event_shape)`."""
        return State(float(sigmas[0]) * noise)

    def start(self, denoiser: Denoiser, noise: Tensor, sigma_next: float, cond: Cond) -> Tensor:
        """The scaled state at `sigma_next` from unit noise at alpha = 0, where there is no scaled state."""
        return start_from_pure_noise(denoiser, noise, sigma_next, cond)

    @abstractmethod
    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        """From `sigma` to `sigma_next` < `sigma`; `sigma_next` is 0 in the last step."""

    def finish(self, state: State) -> Tensor:
        """Clean samples `(B, *event_shape)` from the state after the last step."""
        return state.x


def start_from_pure_noise(denoiser: Denoiser, noise: Tensor, sigma_next: float, cond: Cond) -> Tensor:
    """The first step of a model with zero terminal SNR: at alpha = 0 there is no scaled state, but x0 is defined.

    x_T = sigma_T noise -> x0 + sigma_next eps, which is where DDIM goes.
    """
    level = denoiser.schedule(denoiser.schedule.last)
    start: Prediction = denoiser.predict(broadcast(level.sigma_t, noise) * noise, level, cond)
    return start.x0 + sigma_next * start.eps


SOLVERS: Registry[Callable[..., Solver]] = Registry("sampler")
"""Solvers by the name a suite uses; keyword arguments are what it may say in parentheses (see `names.solver`)."""
