"""DPM-Solver++(2M): second-order multistep in the prediction of x0 (Lu et al. 2022, arXiv:2211.01095, algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@dataclass(frozen=True)
class _Previous:
    x0: Tensor
    width: float
    """log(sigma_before / sigma): the previous step's width in half log-SNR."""


@SOLVERS.register("dpmpp_2m")
class DPMSolverPP2M(Solver):
    """x' = (sigma'/sigma) x + (1 - sigma'/sigma) D, D extrapolated from the last two predictions of x0.

    The first step, and the step to sigma = 0 (infinitely wide in log-SNR), are first order.
    """

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        x0 = denoiser.denoise(state.x, sigma, cond).x0
        if sigma_next == 0:
            return State(x0)
        width = math.log(sigma / sigma_next)
        target, previous = x0, state.memory
        if isinstance(previous, _Previous):
            target = x0 + (0.5 * width / previous.width) * (x0 - previous.x0)
        ratio = sigma_next / sigma
        return State(ratio * state.x + (1.0 - ratio) * target, _Previous(x0, width))
