"""S10, terminal mismatch: what the sampler's first state lacks that noised data has.

A sampler begins at pure noise of variance sigma_T^2 and mean 0; data at its noisiest has abar_T of its signal left.
Three numbers of the whole walk:

    signal             abar_T = 1 / (1 + sigma_T^2)
    missing_variance   spread^2 / (spread^2 + sigma_T^2): the share of noised data's variance that the start lacks
    missing_mean       rms over dimensions of what the data's mean mu, were it in the start as it is in noised data,
                       would move samples by, in standard deviations of the data: the same noise is walked down twice

On Gaussian data the sampler's mean is mu (1 - sqrt(l / (l + sigma_T^2))): a mode is moved by mu sqrt(l / (l +
sigma_T^2)). All are 0 for a model with zero terminal SNR (arXiv:2305.08891). Cost: one more walk.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import DataError
from ..probes.probe import Quantity, mean_square
from .course import spread
from .probe import TRAJECTORY_PROBES, Observed, TrajectoryProbe
from .walk import Course, Walk, descend


@TRAJECTORY_PROBES.register("terminal")
class Terminal(TrajectoryProbe):
    name = "terminal"
    quantities = (
        Quantity("signal", ("signal",), optimal=0.0),
        Quantity("missing_variance", ("missing_variance",), optimal=0.0),
        Quantity("missing_mean", ("moved",), lambda moved: moved**0.5, optimal=0.0),
    )

    def check(self, course: Course) -> None:
        if course.data is None or not spread(course) > 0:
            raise DataError("terminal: expected data that varies, to compare the first state with")

    def evaluations(self, course: Course) -> int:
        return course.solver().evaluations(course.sigmas) if math.isfinite(float(course.sigmas[0])) else 0

    def observe(self, walk: Walk) -> Observed:
        sigma, own = float(walk.sigmas[0]), spread(walk.course) ** 2
        return Observed(
            whole={
                "signal": self._all(walk, 1.0 / (1.0 + sigma**2)),
                "missing_variance": self._all(walk, own / (own + sigma**2)),
                "moved": mean_square(self._lacks(walk)) / own if math.isfinite(sigma) else self._all(walk, 0.0),
            }
        )

    def _lacks(self, walk: Walk) -> Tensor:
        """What the data's mean in the start changes in the samples."""
        data = walk.course.data
        assert data is not None
        mean = data.images.mean(0, dtype=torch.float64).to(walk.states[0].device)
        whole = descend(walk.course, walk.states[0].double() + mean, walk.sigmas, walk.sample_ids, walk.cond)
        return whole - walk.states[-1]

    @staticmethod
    def _all(walk: Walk, value: float) -> Tensor:
        return torch.full((len(walk.sample_ids),), value, dtype=torch.float64)
