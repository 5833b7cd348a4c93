"""S1, local error: what each single step of a solver misses, from the state it really is in.

The step as it was taken, with a multistep solver's history, against the probability-flow ODE from the same state,
solved finely (`reference`; not by substeps of the solver itself, which would repeat its faults):

    error   E |dx|^2 / d after the interval, in data units squared
    size    sqrt(E |dx|^2 / d / (spread^2 + sigma'^2)): how far that moves samples, in standard deviations of the data.
            A difference at sigma' reaches the sample diminished by spread / sqrt(spread^2 + sigma'^2), as it does
            exactly for Gaussian data (probe `transport` measures it), so intervals compare, and the sizes' sum bounds
            the whole error to first order
    share   of an interval in the sum of the sizes: where the solver's steps lose most

On Gaussian data both are products of scalars, per mode: a step's factor against sqrt((l + sigma'^2) / (l + sigma^2)).
`size` and `share` need data, for its spread. A step from pure noise (sigma infinite) and a sampler that draws noise are
not scored: their path is not the ODE's. Cost: 4 evaluations per started half e-fold of sigma in each interval.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import ConfigError
from ..probes.probe import Quantity, mean_square, ratio
from .course import deterministic, gaps, spread
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .reference import WIDTH, evaluations, flow
from .walk import Course, Walk


@TRAJECTORY_PROBES.register("local_error")
class LocalError(TrajectoryProbe):
    name = "local_error"
    quantities = (
        Quantity("error", ("error",), optimal=0.0),
        Quantity("size", ("relative",), lambda relative: relative**0.5, optimal=0.0),
        Quantity("share", ("moved", "total"), ratio),
    )

    def __init__(self, width: float = WIDTH) -> None:
        if not width > 0:
            raise ConfigError(f"local_error: expected a width above 0, got {width}")
        self.width = width

    def evaluations(self, course: Course) -> int:
        if not deterministic(course):
            return 0
        return sum(evaluations(course.denoiser, a, b, self.width) for a, b in gaps(course.sigmas) if math.isfinite(a))

    def observe(self, walk: Walk) -> Observed:
        error = local_errors(walk, self.width)
        variance = spread(walk.course) ** 2 + walk.sigmas[1:, None].to(error) ** 2
        relative = error / variance
        moved = relative.sqrt()
        total = moved.nansum(0).expand_as(moved)
        return Observed(steps={"error": error, "relative": relative, "moved": moved, "total": total})


def local_errors(walk: Walk, width: float = WIDTH) -> Tensor:
    """|dx|^2 / d of each interval and sample, `(I, N)` float64; NaN where not scored."""
    errors = torch.full((walk.intervals, len(walk.sample_ids)), torch.nan, dtype=torch.float64)
    if not deterministic(walk.course):
        return errors
    for index, (sigma, sigma_next) in enumerate(gaps(walk.sigmas)):
        if math.isfinite(sigma):
            right = flow(walk.course.denoiser, walk.states[index], sigma, sigma_next, walk.cond, width)
            errors[index] = mean_square(walk.states[index + 1] - right)
    return errors
