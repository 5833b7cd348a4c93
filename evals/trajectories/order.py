"""S2, order: how fast the whole walk's error falls as its grid is refined, from the same noise.

Every interval is cut in 1, 2 and 4 of equal width in log-SNR, and the states at the last level above 0 are compared
with the finely solved ODE's (`reference`) from the same start:

    error   E |x - x_ref|^2 / d, with each cutting (slices x1, x2, x4)
    order   the slope of log rms error against log steps by least squares, over the three cuttings

Once steps are small, Euler has order 1 and Heun 2; with few steps it says what twice the steps would buy. The step to 0
is left out: what it misses, sigma_min^2 / (2 l) on Gaussian data, does not depend on the number of steps. A sampler
that draws noise is not scored. Cost: the walk in 2 and 4 times its steps, and the reference.
"""

from __future__ import annotations

import numpy as np
import torch

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..probes.probe import Quantity, mean_square
from .course import deterministic, first, gaps, refined
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .reference import evaluations, flow
from .walk import Course, Walk, descend

CUTS = (1, 2, 4)
WIDTH = 0.25
"""Of the reference's substeps in log sigma: finer than for single steps, whose errors are larger than its own."""


def _slope(*errors: Floats) -> Floats:
    """Minus the least-squares slope of log rms error over log cuts, which are equally far apart: the ends decide."""
    return np.asarray((np.log(errors[0]) - np.log(errors[-1])) / (2.0 * np.log(CUTS[-1] / CUTS[0])))


@TRAJECTORY_PROBES.register("order")
class Order(TrajectoryProbe):
    name = "order"
    quantities = (
        Quantity("order", tuple(f"x{cut}" for cut in CUTS), _slope),
        *(Quantity("error", (f"x{cut}",), optimal=0.0, slice=f"x{cut}") for cut in CUTS),
    )

    def check(self, course: Course) -> None:
        if len(course.sigmas) - first(course.sigmas) < 3:
            raise ConfigError(
                f"order: expected at least 2 levels that are finite and above 0, got {course.steps} steps"
            )

    def evaluations(self, course: Course) -> int:
        if not deterministic(course):
            return 0
        above = course.sigmas[first(course.sigmas) : -1]
        cut = sum(course.solver().evaluations(refined(above, parts, range(len(above)))) for parts in CUTS[1:])
        return cut + sum(evaluations(course.denoiser, a, b, WIDTH) for a, b in gaps(above))

    def observe(self, walk: Walk) -> Observed:
        course, start = walk.course, first(walk.sigmas)
        if not deterministic(course):
            unknown = torch.full((len(walk.sample_ids),), torch.nan, dtype=torch.float64)
            return Observed(whole={f"x{cut}": unknown for cut in CUTS})
        above = walk.sigmas[start:-1]
        right = walk.states[start]
        for sigma, sigma_next in gaps(above):
            right = flow(course.denoiser, right, sigma, sigma_next, walk.cond, WIDTH)
        ends = {1: walk.states[-2]}
        for cut in CUTS[1:]:
            finer = refined(above, cut, range(len(above)))
            ends[cut] = descend(course, walk.states[start], finer, walk.sample_ids, walk.cond)
        return Observed(whole={f"x{cut}": mean_square(end - right) for cut, end in ends.items()})
