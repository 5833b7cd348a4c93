"""Euler and Heun on the probability-flow ODE dx/dsigma = eps(x, sigma)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@SOLVERS.register("euler")
class Euler(Solver):
    """x' = x + (sigma' - sigma) eps. On one grid of sigmas this is DDIM with eta = 0, and Euler on a rectified flow."""

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        return State(state.x + (sigma_next - sigma) * denoiser.denoise(state.x, sigma, cond).eps)


@SOLVERS.register("heun")
class Heun(Solver):
    """Heun's second-order method (arXiv:2206.00364, algorithm 1); the step to sigma = 0 is Euler's."""

    def evaluations(self, sigmas: Tensor) -> int:
        # one in the step from pure noise and in the step to 0, two in all others
        return len(sigmas) - 1 + int((torch.isfinite(sigmas[:-1]) & (sigmas[1:] > 0)).sum())

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        slope = denoiser.denoise(state.x, sigma, cond).eps
        proposal = state.x + (sigma_next - sigma) * slope
        if sigma_next == 0:
            return State(proposal)
        corrected = 0.5 * (slope + denoiser.denoise(proposal, sigma_next, cond).eps)
        return State(state.x + (sigma_next - sigma) * corrected)
