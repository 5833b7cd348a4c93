"""A walk: the states a sampler passes through from noise to data, kept for the probes that look at steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...errors import ConfigError
from ..data import DataSet
from ..denoiser import Cond, Denoiser
from ..noise import Noise
from ..parameterization import Prediction
from ..samplers import Grid, Solver, sample
from ..samplers.solver import State, StepNoise


@dataclass(frozen=True)
class Course:
    """Who samples, how, and from which noise: all that a walk is a function of, beside the sample ids."""

    denoiser: Denoiser
    solver: Callable[[], Solver]
    """Makes a fresh one: a walk is never begun with another's memory."""
    steps: int
    grid: Grid | None
    noise: Noise
    cond: Callable[[Tensor], Cond] = lambda sample_ids: {}
    """Conditioning of some sample ids."""
    data: DataSet | None = None
    """Held-out images as the model sees them, for probes that compare with them."""

    @property
    def sigmas(self) -> Tensor:
        """The levels visited, `(steps + 1,)`."""
        return self.solver().levels(self.denoiser, self.grid, self.steps)

    def with_steps(self, steps: int) -> Course:
        """The same course in another number of steps."""
        return replace(self, steps=steps)


@dataclass(frozen=True)
class Walk:
    """The scaled states of N samples at each level of a course."""

    course: Course
    sample_ids: Tensor
    cond: Cond
    sigmas: Tensor
    """`(I + 1,)`, descending, the last 0."""
    states: tuple[Tensor, ...]
    """I + 1 tensors `(N, *event_shape)` on the denoiser's device: x_t / alpha. At an infinite sigma: NaN."""
    _predictions: dict[int, Prediction] = field(default_factory=dict, compare=False)

    @property
    def intervals(self) -> int:
        return len(self.states) - 1

    def prediction(self, index: int) -> Prediction:
        """What the denoiser answers at state `index`, whose sigma is above 0. Asked once and kept."""
        if index not in self._predictions:
            sigma = float(self.sigmas[index])
            self._predictions[index] = self.course.denoiser.denoise(self.states[index], sigma, self.cond)
        return self._predictions[index]

    def onward(self, x: Tensor, index: int, sigmas: Tensor | None = None) -> Tensor:
        """From scaled states `x` at level `index` down to 0 by the course's solver, begun afresh: `(N, *event_shape)`.

        `sigmas` `(M + 1,)` stands for the rest of the grid where it is another one.
        """
        rest = self.sigmas[index:] if sigmas is None else sigmas
        return descend(self.course, x, rest, self.sample_ids, self.cond)


def descend(course: Course, x: Tensor, sigmas: Tensor, sample_ids: Tensor, cond: Cond) -> Tensor:
    """Scaled states `(N, *event_shape)` at `sigmas[0]`, which is finite, taken to `sigmas[-1]` by a fresh solver."""
    denoiser, solver = course.denoiser, course.solver()
    unit = torch.zeros_like(x)
    state = State(x, solver.init(denoiser, sigmas, len(sigmas) - 1, unit).memory)
    for index, (sigma, sigma_next) in enumerate(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True)):
        noise = StepNoise(course.noise, sample_ids, index, denoiser.event_shape, x.dtype)
        state = solver.step(denoiser, state, sigma, sigma_next, cond, noise)
    return solver.finish(state)


def walk(course: Course, sample_ids: Tensor, dtype: torch.dtype = torch.float32) -> Walk:
    """Sample some ids and keep every state. Raises ConfigError for a solver whose states are not scaled states."""
    denoiser, solver, sigmas = course.denoiser, course.solver(), course.sigmas
    if solver.own_clock:
        raise ConfigError(
            f"trajectory probes: expected a solver that keeps the scaled state x_t / alpha, got "
            f"{type(solver).__name__}, which keeps a clock and a state of its own"
        )
    ids = sample_ids.to(denoiser.device)
    first = float(sigmas[0])
    unit = course.noise.normal(ids, "initial", 0, denoiser.event_shape, dtype)
    states = [first * unit if math.isfinite(first) else torch.full_like(unit, torch.nan)]
    cond = course.cond(ids)

    def observe(ids: Tensor, index: int, sigma: float, state: State) -> None:
        states.append(state.x)

    sample(
        denoiser,
        solver,
        ids,
        course.noise,
        steps=course.steps,
        grid=course.grid,
        cond=cond,
        batch_size=len(ids),
        dtype=dtype,
        observe=observe,
    )
    return Walk(course, ids, cond, sigmas, tuple(states))
