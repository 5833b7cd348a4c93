"""S7, oracle prefix: how much do the steps below a level damage, with no second model to compare with?

Held-out images are noised to level s_k, where they are exactly what a sampler should hold, and taken down by the rest
of the grid. What comes out is set against the images themselves, m their mean and y the outcome:

    log_variance   ln E |y - m|^2 / E |x0 - m|^2: all that the steps from s_k down do to the data's spread
    increment      the part of that between s_k and the next level that was begun at; increments add up to log_variance
    energy         energy distance 2 E |y - x'| - E |y - y'| - E |x - x'|, over sqrt(d): to the whole distribution
                   (Szekely & Rizzo 2013, J. Stat. Plan. Inference 143(8))

0 for an exact sampler of an exact denoiser. For Gaussian data the increments give each band's error exactly: the
logarithm of the solver's factor of the variance over that of the flow, (l + s_b^2) / (l + s_a^2). The energy distance
has no bias: each of its terms is of independent images, two to a sample. It is no less than 0 but for its own error.

The cost is that of half a walk, twice, for each level begun at; `starts` of them, spread evenly over the intervals. A
multistep solver begins afresh at each.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..probes.probe import Quantity, mean_square
from .held_out import checked, held_out, mean_image
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk


def _log_ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.asarray(np.log(numerator / denominator))


@TRAJECTORY_PROBES.register("prefix")
class Prefix(TrajectoryProbe):
    name = "prefix"
    quantities = (
        Quantity("log_variance", ("power", "power_data"), _log_ratio, optimal=0.0),
        Quantity("increment", ("power", "power_next"), _log_ratio, optimal=0.0),
        Quantity("energy", ("energy",), optimal=0.0),
    )

    def __init__(self, starts: int = 6) -> None:
        if starts < 1:
            raise ConfigError(f"trajectory probe 'prefix': expected at least 1 start, got {starts}")
        self.starts = starts

    def check(self, course: Course) -> None:
        checked(course, self.name)

    def evaluations(self, course: Course) -> int:
        sigmas, solver = course.sigmas, course.solver()
        return 2 * sum(solver.evaluations(sigmas[index:]) for index in self.begun(sigmas))

    def begun(self, sigmas: Tensor) -> list[int]:
        """Indices of the levels that are begun at, ascending: the highest finite one first."""
        first, last = int(torch.isinf(sigmas).sum()), len(sigmas) - 2
        return sorted({round(place) for place in np.linspace(first, last, min(self.starts, last - first + 1))})

    def observe(self, walk: Walk) -> Observed:
        course, mean = walk.course, mean_image(walk.course)
        pair = [held_out(course, 2 * walk.sample_ids + which) for which in (0, 1)]
        truth = torch.stack([mean_square(one.x0 - mean) for one in pair]).mean(0)
        names = ("power", "power_data", "power_next", "energy")
        columns = {name: truth.new_full((walk.intervals, len(truth)), torch.nan) for name in names}
        below = truth
        for index in reversed(self.begun(walk.sigmas)):
            rest = walk.sigmas[index:]
            ends = [one.descended(course, one.noised(float(rest[0])), rest) for one in pair]
            power = torch.stack([mean_square(end - mean) for end in ends]).mean(0)
            columns["power"][index], columns["power_data"][index], columns["power_next"][index] = power, truth, below
            columns["energy"][index] = _energy(ends[0], ends[1], pair[0].x0, pair[1].x0)
            below = power
        return Observed(steps=columns)


def _energy(y: Tensor, other_y: Tensor, x: Tensor, other_x: Tensor) -> Tensor:
    """The energy distance's terms for each pair of independent draws `(N, *event_shape)`: `(N,)`."""
    across = _distance(y, other_x) + _distance(other_y, x)
    return across - _distance(y, other_y) - _distance(x, other_x)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return mean_square(a - b).sqrt()
