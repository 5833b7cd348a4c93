"""What several trajectory probes ask of a course or a grid."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .walk import Course


def deterministic(course: Course) -> bool:
    """Whether the sampler follows the probability-flow ODE, rather than drawing noise on its way."""
    return not course.solver().stochastic


def gaps(sigmas: Tensor) -> list[tuple[float, float]]:
    """The intervals of a grid `(I + 1,)`: from which sigma to which."""
    return list(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True))


def first(sigmas: Tensor) -> int:
    """The first level that has a scaled state: 1 where the grid begins at pure noise."""
    return 0 if math.isfinite(float(sigmas[0])) else 1


def spread(course: Course) -> float:
    """The data's standard deviation around its mean, over all dimensions; NaN without data."""
    if course.data is None:
        return math.nan
    return math.sqrt(float(course.data.images.var(0, correction=0).mean()))


def refined(sigmas: Tensor, parts: int, intervals: range) -> Tensor:
    """The grid with some of its intervals cut into `parts` of equal width in log-SNR; one that ends at 0 is left."""
    levels: list[float] = []
    for index, (sigma, sigma_next) in enumerate(gaps(sigmas)):
        cut = parts if index in intervals and sigma_next > 0 else 1
        levels += [sigma, *np.geomspace(sigma, sigma_next, cut + 1)[1:-1].tolist()] if cut > 1 else [sigma]
    return torch.tensor([*levels, float(sigmas[-1])], dtype=torch.float64)
