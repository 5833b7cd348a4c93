"""Step-budget advice: a grid for a model, a solver and a number of steps, and what it is measured to gain.

The sizes of local errors (S1), which are what the solver's steps lose at the sample, add up; for a given number of
steps their sum is least where all intervals lose alike. With local errors that go like h^q, the density of levels in
log sigma is to be proportional to size^(1/q) / h. That is repeated from grid to grid, as the law holds for small steps
only: with q = 3 the repetition settles for every solver of order 1 to 4 (an error of order q0 = order + 1 in logarithm
shrinks by |1 - q0 / q| a round). Ends stay where they were, and so does the step to 0.

Grids are compared by the squared distance of their samples to where the finely solved ODE leads from the same noise.
The best is chosen on one half of the samples and measured on the other, so that the gain is not the luck of the choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Estimate, PairedRatio, jackknife, paired_log_ratio
from ..probes.probe import mean_square
from ..samplers.grids import GRIDS, grid_name
from .course import deterministic
from .local_error import local_errors
from .reference import flow
from .walk import Course, Walk, walk

LEAST = 0.05
"""Of a density, as a share of the mean: no band is left without levels for an error that was too small to see."""


@dataclass(frozen=True)
class Judged:
    """A grid and what it does to the samples that judge it."""

    name: str
    """As a suite takes it."""
    sigmas: tuple[float, ...]
    sizes: tuple[float, ...]
    """Of each interval's local error, in standard deviations of the samples; NaN where not scored."""
    distance: Estimate
    """E |x - x_ref|^2 / d over the samples, with its interval."""


@dataclass(frozen=True)
class Advice:
    before: Judged
    after: Judged
    ratio: PairedRatio
    """Of the squared distances, after over before, on the samples that judge; one column."""
    samples: int
    """Of those that judge."""
    evaluations: int
    """Network evaluations that the advice took, over all samples."""

    @property
    def better(self) -> bool:
        """Whether the proposed grid is nearer to the reference for sure (95%)."""
        return float(self.ratio.high[0]) < 1.0


def advise(
    course: Course,
    sample_ids: Tensor,
    *,
    start: str,
    rounds: int = 4,
    progress: Callable[[int], None] = lambda number: None,
) -> Advice:
    """A grid for the course's solver and number of steps, from the grid named `start`, in `rounds` repetitions.

    Raises ConfigError for a sampler that draws noise, one without a grid, or fewer than 3 steps or 4 samples.
    """
    course = replace(course, grid=GRIDS[start])
    _check(course, sample_ids)
    counted = course.denoiser.evaluations
    half = len(sample_ids) // 2
    choosing, judging = (_Bench.of(course, ids) for ids in (sample_ids[:half], sample_ids[half:]))
    names, distances, name = [start], [], start
    for number in range(rounds + 1):
        walked = choosing.walk(name)
        distances.append(float(choosing.distances(walked).mean()))
        progress(number)
        if number < rounds:
            name = grid_name(proposed(walked.sigmas, choosing.sizes(walked)))
            names.append(name)
    chosen = names[int(np.argmin(distances))]
    before, after = judging.walk(start), judging.walk(chosen)
    ratio = paired_log_ratio(judging.distances(before)[:, None], judging.distances(after)[:, None])
    return Advice(
        judging.judged(start, before),
        judging.judged(chosen, after),
        ratio,
        len(judging.ids),
        course.denoiser.evaluations - counted,
    )


def proposed(sigmas: Tensor, sizes: np.ndarray) -> list[float]:
    """As many levels as in `sigmas` `(I + 1,)`, between the same ends, for which sizes `(I,)` would become alike.

    The last interval, to 0, stays. Returns the I levels above 0.
    """
    ends = np.log(sigmas[:-1].numpy())
    widths = ends[:-1] - ends[1:]
    density = np.cbrt(np.nan_to_num(sizes[:-1])) / widths
    density = np.maximum(density, LEAST * np.average(density, weights=widths))
    if not density.any():
        return [float(sigma) for sigma in sigmas[:-1]]
    passed = np.concatenate(([0.0], np.cumsum(density * widths)))
    levels = np.exp(np.interp(np.linspace(0.0, passed[-1], len(ends)), passed, ends))
    return [float(sigmas[0]), *levels[1:-1].tolist(), float(sigmas[-2])]


@dataclass(frozen=True)
class _Bench:
    """Samples on which grids are measured, all from the same noise."""

    course: Course
    ids: Tensor
    right: Tensor
    """Where the ODE leads."""
    spread: float
    """Of those end points around their mean, over all dimensions."""

    @staticmethod
    def of(course: Course, ids: Tensor) -> _Bench:
        ids = ids.to(course.denoiser.device)
        sigma = float(course.sigmas[0])
        unit = course.noise.normal(ids, "initial", 0, course.denoiser.event_shape, torch.float64)
        right = flow(course.denoiser, sigma * unit, sigma, 0.0, course.cond(ids))
        return _Bench(course, ids, right, math.sqrt(float(right.var(0).mean())))

    def walk(self, name: str) -> Walk:
        return walk(replace(self.course, grid=GRIDS[name]), self.ids)

    def distances(self, walked: Walk) -> np.ndarray:
        """|x - x_ref|^2 / d of each sample."""
        return mean_square(walked.states[-1] - self.right).cpu().numpy()

    def sizes(self, walked: Walk) -> np.ndarray:
        """Of each interval's local error at the sample, `(I,)`, in standard deviations of the samples."""
        variance = self.spread**2 + walked.sigmas[1:].square()
        return (local_errors(walked).mean(1) / variance).sqrt().numpy()

    def judged(self, name: str, walked: Walk) -> Judged:
        distance = jackknife(lambda mean: mean, self.distances(walked)[:, None]).interval()
        return Judged(name, tuple(walked.sigmas.tolist()), tuple(self.sizes(walked).tolist()), distance)


def _check(course: Course, sample_ids: Tensor) -> None:
    if course.solver().own_clock or not deterministic(course):
        raise ConfigError("advise: expected a sampler of our own that draws no noise, such as heun or dpmpp_2m")
    if course.steps < 3 or len(sample_ids) < 4:
        raise ConfigError(f"advise: expected at least 3 steps and 4 samples, got {course.steps} and {len(sample_ids)}")
    if not math.isfinite(float(course.sigmas[0])):
        raise ConfigError("advise: expected a grid that starts at a finite sigma, such as karras or log_snr")
