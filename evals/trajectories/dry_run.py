"""Dry run: the sampler on a model that knows the answer, a single point c. Mistakes of the sampler alone, exactly.

For D = c every path of the ODE is a straight line, on which every right solver is exact, whatever its order: from x at
sigma it must go to c + (sigma' / sigma) (x - c). The network is replaced, nothing is evaluated, and what the solver
asks is written down:

    deviation   |x' - exact| / |x - exact| of a step with c inside the data's range
    clipping    the same with c outside of it: not 0 where the sampler clips
    stale_eps   1 where that step is the one that goes to the clipped x0 with the eps of before clipping,
                clip(c) + (sigma' / sigma) (x - c): the two no longer make up x. Else 0
    asked       how far outside the interval, in log sigma, the network is asked: a wrong time is sent. In the last step
                it must be asked at the level where the state is
    shifted     log of the level visited over the level the grid gives, at the interval's upper end: a grid that is
                shifted a second time on its way

All but `shifted` and `asked` are not scored for a sampler that draws noise, which may ask up to a factor sqrt 2 above
its level (EDM's churn), nor from pure noise. Cost: none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoiser import Cond, Denoiser
from ..levels import Level, broadcast
from ..parameterization import Prediction
from ..probes.probe import Quantity
from ..samplers import sample
from ..samplers.solver import State
from .course import deterministic, gaps
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk

INSIDE, OUTSIDE = 0.5, 1.5
"""The point, in all dimensions, for data in [-1, 1]."""
EXACT = 1e-3
"""A step that is off by less than this share of its length is right: adaptive solvers have a tolerance."""


@TRAJECTORY_PROBES.register("dry_run")
class DryRun(TrajectoryProbe):
    name = "dry_run"
    quantities = tuple(
        Quantity(name, (name,), optimal=0.0) for name in ("deviation", "clipping", "stale_eps", "asked", "shifted")
    )

    def observe(self, walk: Walk) -> Observed:
        course = walk.course
        inside, outside = rehearse(course, INSIDE), rehearse(course, OUTSIDE)
        columns = {
            "deviation": [inside.deviation(i) for i in range(walk.intervals)],
            "clipping": [outside.deviation(i) for i in range(walk.intervals)],
            "stale_eps": [outside.stale(i) for i in range(walk.intervals)],
            "asked": [inside.astray(i) for i in range(walk.intervals)],
            "shifted": list(_shifted(course)),
        }
        count = len(walk.sample_ids)
        return Observed(
            steps={
                name: torch.tensor(column, dtype=torch.float64)[:, None].expand(-1, count)
                for name, column in columns.items()
            }
        )


@dataclass(frozen=True)
class Rehearsal:
    """A walk towards a point."""

    point: float
    sigmas: Tensor
    exact: bool
    """Whether each step has one right answer."""
    states: tuple[Tensor, ...]
    asks: tuple[tuple[float, ...], ...]
    """For each interval, the levels at which the network was asked."""

    def deviation(self, index: int) -> float:
        return self._off(index, self.point)

    def stale(self, index: int) -> float:
        """Whether the step goes to the clipped point with the noise that belongs to the point itself."""
        deviation = self.deviation(index)
        if math.isnan(deviation) or not float(self.sigmas[index + 1]) > 0:
            return math.nan
        clipped = max(-1.0, min(1.0, self.point))
        return float(deviation > EXACT and self._off(index, clipped) < EXACT)

    def astray(self, index: int) -> float:
        (sigma, sigma_next), asks = gaps(self.sigmas)[index], self.asks[index]
        if not asks or not math.isfinite(sigma):
            return math.nan
        highest = sigma if self.exact else math.sqrt(2.0) * sigma
        above = math.log(max(asks) / highest)
        if sigma_next == 0:
            return max(abs(above), 0.0) if self.exact else max(above, 0.0)
        return max(above, math.log(sigma_next / min(asks)), 0.0)

    def _off(self, index: int, goal: float) -> float:
        """|x' - goal - (sigma' / sigma) (x - c)| as a share of the exact step's length."""
        sigma, sigma_next = gaps(self.sigmas)[index]
        if not self.exact or not math.isfinite(sigma):
            return math.nan
        x, there = self.states[index], self.states[index + 1]
        noise = (sigma_next / sigma) * (x - self.point)
        return float((there - goal - noise).norm() / (x - self.point - noise).norm())


def rehearse(course: Course, point: float) -> Rehearsal:
    """The course's sampler on a model whose data is one point, the same value in every dimension; for two samples."""
    knowing = _Knowing(course.denoiser, point)
    solver, sigmas, ids = course.solver(), course.sigmas, torch.arange(2)
    unit = course.noise.normal(ids, "initial", 0, knowing.event_shape, torch.float64)
    states, asks = [float(sigmas[0]) * unit], []

    def observe(ids: Tensor, index: int, sigma: float, state: State) -> None:
        states.append(state.x.cpu())
        asks.append(tuple(knowing.asks))
        knowing.asks.clear()

    sample(
        knowing, solver, ids, course.noise, steps=course.steps, grid=course.grid, dtype=torch.float64, observe=observe
    )
    return Rehearsal(point, sigmas, deterministic(course), tuple(states), tuple(asks))


class _Knowing(Denoiser):
    """A denoiser of the same schedule and shape that knows the one point there is, and remembers where it was asked."""

    def __init__(self, like: Denoiser, point: float) -> None:
        vars(self).update(vars(like))
        self.point, self.asks = point, list[float]()

    def denoise(self, scaled: Tensor, sigma: float, cond: Cond | None = None) -> Prediction:
        self.level(sigma)  # raises where the model can't be asked
        self.asks.append(sigma)
        return Prediction(torch.full_like(scaled, self.point), (scaled - self.point) / sigma)

    def predict(self, x_t: Tensor, level: Level, cond: Cond | None = None) -> Prediction:
        self.asks.append(float(level.sigma.max()))
        noise = x_t - broadcast(level.alpha, x_t) * self.point
        return Prediction(torch.full_like(x_t, self.point), noise / broadcast(level.sigma_t, x_t))


def _shifted(course: Course) -> Iterator[float]:
    """By interval, log(visited / intended) at its upper end; NaN where there is no such grid to compare with."""
    visited = course.sigmas[:-1].tolist()
    intended = course.grid(course.denoiser.schedule, course.steps)[:-1].tolist() if course.grid else []
    if len(intended) != len(visited):
        intended = [math.nan] * len(visited)
    for there, meant in zip(visited, intended, strict=True):
        yield 0.0 if there == meant else math.log(there / meant) if math.isfinite(there / meant) else math.nan
