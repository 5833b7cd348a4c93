"""The protocol of a solver: explicit state, one step at a time.

The state x is the scaled state x_t / alpha, in which the probability-flow ODE is dx/dsigma = eps(x, sigma) for every
model, so a solver is written once. Solvers that bring their own clock (diffusers' schedulers) override `levels`,
`init` and `finish`.
"""

from __future__ import annotations

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
    """The noise of one step for one batch of samples, keyed by (seed, sample id, step)."""

    noise: Noise
    sample_ids: Tensor
    step: int
    event_shape: tuple[int, ...]
    dtype: torch.dtype

    def normal(self) -> Tensor:
        """Standard normals `(B, *event_shape)`."""
        return self.noise.normal(self.sample_ids, "step", self.step, self.event_shape, self.dtype)

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
        """Network evaluations per sample on a grid `(steps + 1,)`."""
        return len(sigmas) - 1

    def levels(self, denoiser: Denoiser, grid: Grid | None, steps: int) -> Tensor:
        """The sigmas visited, `(steps + 1,)` float64, descending to 0. A solver with its own clock takes no grid."""
        if grid is None:
            raise ConfigError(f"{type(self).__name__}: expected a grid of noise levels, got none")
        return grid(denoiser.schedule, steps)

    def init(self, denoiser: Denoiser, sigmas: Tensor, steps: int, noise: Tensor) -> State:
        """The state at the first level, from unit noise `(B, *event_shape)`."""
        return State(float(sigmas[0]) * noise)

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


SOLVERS: Registry[Callable[[], Solver]] = Registry("sampler")
"""Solvers by the name a suite uses; `diffusers:SCHEDULER` is resolved by `solver(name)`."""


def solver(name: str) -> Solver:
    """A fresh solver by the name a suite uses: a registered one, or `diffusers:SCHEDULER`."""
    from .diffusers_scheduler import DiffusersScheduler

    family, _, scheduler = name.partition(":")
    return DiffusersScheduler(scheduler) if family == "diffusers" and scheduler else SOLVERS[name]()
