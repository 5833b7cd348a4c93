"""The reference that steps are measured against: the probability-flow ODE, solved finely, by a method of its own.

Runge and Kutta's classical method of order 4 in rectified flow's coordinates t = sigma / (1 + sigma), z = x / (1 +
sigma), in which dz/dt = eps - x0 is smooth at both ends: where D is constant the path is a straight line, and the step
exact. Substeps are at most `width` wide in log sigma, so their number, and the cost, is known from the grid alone.
Nothing of the solver under test is used: a fault in it can't hide in its reference. At 0.5 it is off by less than 1e-4
of the data's spread on Gaussian data (`pytest tests/evals/trajectories/test_reference.py`).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from torch import Tensor

from ..denoiser import Cond, Denoiser
from ..samplers.grids import finite_range

WIDTH = 0.5
"""Of a substep in log sigma, at most."""


def flow(denoiser: Denoiser, x: Tensor, sigma: float, sigma_next: float, cond: Cond, width: float = WIDTH) -> Tensor:
    """Scaled states `(B, *event_shape)` at finite `sigma`, taken to `sigma_next`, in float64.

    To 0: down to the model's least level, and from there to D, as every solver's last step goes.
    """
    x = x.double()
    levels = _levels(denoiser, sigma, sigma_next, width)
    for high, low in itertools.pairwise(levels):
        x = _step(denoiser, x, high, low, cond)
    return denoiser.denoise(x, levels[-1], cond).x0 if sigma_next == 0 else x


def evaluations(denoiser: Denoiser, sigma: float, sigma_next: float, width: float = WIDTH) -> int:
    """Network evaluations per sample that `flow` takes."""
    return 4 * (len(_levels(denoiser, sigma, sigma_next, width)) - 1) + (sigma_next == 0)


def _levels(denoiser: Denoiser, sigma: float, sigma_next: float, width: float) -> list[float]:
    """`sigma`, substeps uniform in log-SNR, and where the ODE is left: `sigma_next`, or the least level above 0."""
    low = sigma_next or min(sigma, finite_range(denoiser.schedule)[0])
    count = math.ceil(math.log(sigma / low) / width - 1e-9)
    inner = np.geomspace(sigma, low, count + 1)[1:-1].tolist() if count else []
    return [sigma, *inner, low] if count else [sigma]


def _step(denoiser: Denoiser, x: Tensor, sigma: float, sigma_next: float, cond: Cond) -> Tensor:
    time, time_next = sigma / (1.0 + sigma), sigma_next / (1.0 + sigma_next)
    middle = (time + time_next) / 2.0
    sigma_middle = middle / (1.0 - middle)

    def velocity(z: Tensor, at: float) -> Tensor:
        seen = denoiser.denoise((1.0 + at) * z, at, cond)
        return seen.eps - seen.x0

    z, h = x / (1.0 + sigma), time_next - time
    k1 = velocity(z, sigma)
    k2 = velocity(z + h / 2.0 * k1, sigma_middle)
    k3 = velocity(z + h / 2.0 * k2, sigma_middle)
    k4 = velocity(z + h * k3, sigma_next)
    return (1.0 + sigma_next) * (z + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4))
