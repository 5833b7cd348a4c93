"""S4, refinement: where are further steps worth spending? Halve the intervals of one group alone and look at the end.

The grid's intervals but the last make `groups` groups of neighbours. Each group's intervals in turn are cut in two, at
the middle in log-SNR, and the walk is repeated from the same start. Against the end of the finely solved ODE
(`reference`),

    gain   1 - E |x_refined - x_ref|^2 / E |x - x_ref|^2: the share of the squared distance that it removes

stands at every interval of the group. It may be below 0, where errors of two bands cancelled before. Groups are of
nearly equal numbers of intervals, so their gains compare at nearly equal cost. A sampler that draws noise is not
scored. Cost: a walk of I (1 + 1 / groups) steps for each group, and the reference.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ..probes.probe import Quantity, mean_square, removed
from .course import deterministic, first, refined
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .reference import evaluations, flow
from .walk import Course, Walk, descend


@TRAJECTORY_PROBES.register("refinement")
class Refinement(TrajectoryProbe):
    name = "refinement"
    quantities = (Quantity("gain", ("refined", "base"), removed),)

    def __init__(self, groups: int = 6) -> None:
        if groups < 1:
            raise ConfigError(f"refinement: expected at least 1 group, got {groups}")
        self.groups = groups

    def evaluations(self, course: Course) -> int:
        if not deterministic(course):
            return 0
        sigmas = course.sigmas[first(course.sigmas) :]
        walks = sum(course.solver().evaluations(refined(sigmas, 2, group)) for group in self._groups(sigmas))
        return walks + reference_cost(course)

    def observe(self, walk: Walk) -> Observed:
        course, start = walk.course, first(walk.sigmas)
        base = torch.full((walk.intervals, len(walk.sample_ids)), torch.nan, dtype=torch.float64)
        finer = base.clone()
        if not deterministic(course):
            return Observed(steps={"refined": finer, "base": base})
        right = reference_end(walk)
        sigmas = walk.sigmas[start:]
        for group in self._groups(sigmas):
            end = descend(course, walk.states[start], refined(sigmas, 2, group), walk.sample_ids, walk.cond)
            for index in group:
                finer[start + index] = mean_square(end - right)
                base[start + index] = mean_square(walk.states[-1] - right)
        return Observed(steps={"refined": finer, "base": base})

    def _groups(self, sigmas: Tensor) -> list[range]:
        """Neighbouring intervals, all but the last, which has no middle in log-SNR."""
        parts = np.array_split(np.arange(len(sigmas) - 2), min(self.groups, max(1, len(sigmas) - 2)))
        return [range(int(part[0]), int(part[-1]) + 1) for part in parts if len(part)]


def reference_end(walk: Walk) -> Tensor:
    """Where the finely solved ODE leads from a walk's first scaled state: samples `(N, *event_shape)`, float64."""
    start = first(walk.sigmas)
    return flow(walk.course.denoiser, walk.states[start], float(walk.sigmas[start]), 0.0, walk.cond)


def reference_cost(course: Course) -> int:
    sigma = float(course.sigmas[first(course.sigmas)])
    return evaluations(course.denoiser, sigma, 0.0) if math.isfinite(sigma) else 0
