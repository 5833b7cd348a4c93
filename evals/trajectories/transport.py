"""S3, transport: how much of a disturbance at a level is left in the sample, that is, at which levels errors matter.

A small white disturbance, `relative` times the noise level's own spread sqrt(1 + sigma^2), keyed by sample and level,
is added to the state; both states are taken down to 0 by the same solver, begun afresh, with the same noise:

    gain   sqrt(E |dx_0|^2 / E |dx_sigma|^2)

On Gaussian data a mode's is sqrt(l / (l + sigma^2)), so a white disturbance's is sqrt(mean l / (l + sigma^2)). Cost:
two walks from each level that is asked about, at most `levels` of them, spread over the grid: I (I + 1)
evaluations of Euler where all are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..probes.probe import Quantity, mean_square
from .course import first
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk, descend


def _root_ratio(after: Floats, before: Floats) -> Floats:
    return np.sqrt(after / before)


@TRAJECTORY_PROBES.register("transport")
class Transport(TrajectoryProbe):
    name = "transport"
    quantities = (Quantity("gain", ("after", "before"), _root_ratio),)

    def __init__(self, levels: int = 6, relative: float = 0.01) -> None:
        if levels < 1 or not relative > 0:
            raise ConfigError(f"transport: expected levels >= 1 and relative > 0, got {levels} and {relative}")
        self.levels, self.relative = levels, relative

    def evaluations(self, course: Course) -> int:
        solver, sigmas = course.solver(), course.sigmas
        return 2 * sum(solver.evaluations(sigmas[index:]) for index in self._asked(sigmas))

    def observe(self, walk: Walk) -> Observed:
        course, ids = walk.course, walk.sample_ids
        after = torch.full((walk.intervals, len(ids)), torch.nan, dtype=torch.float64)
        before = after.clone()
        twice = {name: torch.cat((tensor, tensor)) for name, tensor in walk.cond.items()}
        for index in self._asked(walk.sigmas):
            x, size = walk.states[index].double(), self.relative * math.hypot(1.0, float(walk.sigmas[index]))
            push = size * course.noise.normal(ids, "transport", index, course.denoiser.event_shape, torch.float64)
            end = descend(course, torch.cat((x, x + push)), walk.sigmas[index:], torch.cat((ids, ids)), twice)
            after[index] = mean_square(end[len(ids) :] - end[: len(ids)])
            before[index] = mean_square(push)
        return Observed(steps={"after": after, "before": before})

    def _asked(self, sigmas: Tensor) -> list[int]:
        chosen = np.linspace(first(sigmas), len(sigmas) - 2, self.levels).round()
        return sorted({int(index) for index in chosen})
