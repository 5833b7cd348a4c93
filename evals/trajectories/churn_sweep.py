"""S8, churn sweep: what does noise added on the way do, band by band, and is it the score's bias or the step's?

In one band of levels a time the samples are made by a stochastic sampler, elsewhere by its calm counterpart, all from
the same start and Brownian path; once with the course's steps and once with twice as many. With m the data's mean,

    effect     ln E |y - m|^2 / E |y_calm - m|^2 at the course's steps
    refined    the same at twice as many
    step       effect - refined: what halving the steps takes away

The noise added in all stays the same as steps are halved. With an exact denoiser it leaves no trace in the limit:
`refined` is nearer to 0 than `effect`, and what there is comes from the steps. What stays is the score's bias: noise
makes samples forget what went wrong above the band, so that above 0 it undoes a loss of spread, and below 0 a gain. For
Gaussian data all are the recursion var <- f^2 var + q^2.

A row stands at its band's first interval; the band ends where the next row begins.

Cost: (bands + 1) walks at the course's steps and as many at twice those.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..denoiser import Cond, Denoiser
from ..probes.probe import Quantity, mean_square
from ..samplers import Solver, solver
from ..samplers.ddim import DDIM
from ..samplers.euler import Euler, Heun
from ..samplers.solver import State, StepNoise
from .held_out import checked, mean_image
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk, walk


def _log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.asarray(np.log(numerator / denominator))


def _step(one: Floats, calm: Floats, refined: Floats, refined_calm: Floats) -> Floats:
    return np.asarray(np.log(one / calm) - np.log(refined / refined_calm))


class InBand(Solver):
    """One single-step solver where low < sigma <= high, another elsewhere."""

    def __init__(self, inside: Solver, outside: Solver, low: float, high: float) -> None:
        self.inside, self.outside, self.low, self.high = inside, outside, low, high
        self.stochastic = True

    def init(self, denoiser: Denoiser, sigmas: Tensor, steps: int, noise: Tensor) -> State:
        return self.inside.init(denoiser, sigmas, steps, noise)

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        chosen = self.inside if self.low < sigma <= self.high else self.outside
        # single-step solvers keep nothing but what `init` told them
        return State(chosen.step(denoiser, state, sigma, sigma_next, cond, noise).x, state.memory)


@TRAJECTORY_PROBES.register("churn_sweep")
class ChurnSweep(TrajectoryProbe):
    name = "churn_sweep"
    quantities = (
        Quantity("effect", ("churned", "calm"), _log_ratio, optimal=0.0),
        Quantity("refined", ("churned_refined", "calm_refined"), _log_ratio, optimal=0.0),
        Quantity("step", ("churned", "calm", "churned_refined", "calm_refined"), _step, optimal=0.0),
    )

    def __init__(
        self,
        bands: int = 4,
        churned: str = "edm_churn(s_churn=10.0, s_tmin=0.0, s_tmax=inf, s_noise=1.0)",
        calm: str = "heun",
    ) -> None:
        """
        Args:
            bands: parts of the grid, of equally many intervals.
            churned: the stochastic sampler: edm_churn, or ddim or ancestral with an eta; single-step ones only.
            calm: its counterpart elsewhere, "ddim" for the latter.
        """
        if bands < 1:
            raise ConfigError(f"trajectory probe 'churn_sweep': expected at least 1 band, got {bands}")
        for name in (churned, calm):
            if not isinstance(solver(name), Euler | Heun | DDIM):
                raise ConfigError(
                    f"trajectory probe 'churn_sweep': expected samplers that keep nothing from step to step: euler, "
                    f"heun, edm_churn, ddim, ddpm or ancestral, got {name!r}"
                )
        self.bands, self.churned, self.calm = bands, churned, calm

    def check(self, course: Course) -> None:
        checked(course, self.name)

    def evaluations(self, course: Course) -> int:
        count, times = 0, len(self.begun(course.sigmas))
        for one in (course, course.with_steps(2 * course.steps)):
            count += times * solver(self.churned).evaluations(one.sigmas) + solver(self.calm).evaluations(one.sigmas)
        return count

    def begun(self, sigmas: Tensor) -> list[int]:
        """Index of each band's first interval."""
        first, last = int(torch.isinf(sigmas).sum()), len(sigmas) - 1
        count = min(self.bands, last - first)
        return [int(place) for place in np.linspace(first, last, count + 1)[:-1]]

    def observe(self, walk_: Walk) -> Observed:
        course, ids = walk_.course, walk_.sample_ids
        begun = self.begun(walk_.sigmas)
        # the refined grid may begin higher
        edges = [math.inf, *(float(walk_.sigmas[index]) for index in begun[1:]), 0.0]
        columns: dict[str, Tensor] = {}
        for suffix, one in (("", course), ("_refined", course.with_steps(2 * course.steps))):
            calm = _power(replace(one, solver=lambda: solver(self.calm)), ids)
            churned = torch.full((walk_.intervals, len(ids)), torch.nan, dtype=torch.float64, device=calm.device)
            for index, high, low in zip(begun, edges[:-1], edges[1:], strict=True):
                churned[index] = _power(replace(one, solver=partial(self.within, low, high)), ids)
            columns |= {f"churned{suffix}": churned, f"calm{suffix}": calm.expand_as(churned)}
        return Observed(steps=columns)

    def within(self, low: float, high: float) -> Solver:
        """The sampler that is stochastic where low < sigma <= high alone."""
        return InBand(solver(self.churned), solver(self.calm), low, high)


def _power(course: Course, sample_ids: Tensor) -> Tensor:
    """Mean square of samples around the data's mean, `(N,)`."""
    return mean_square(walk(course, sample_ids).states[-1] - mean_image(course))
