"""Adaptive Runge-Kutta 4(5) (Dormand & Prince 1980): the probability-flow ODE to a tolerance, as reference.

In u = log sigma the ODE is dx/du = x - D(x; sigma), smooth at all levels. Every sample keeps its own step, so that its
result does not depend on the others in its batch. A grid's levels are stops on the way; the step to sigma = 0 is D.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ConfigError, ModelError
from ..denoiser import Cond, Denoiser
from ..levels import broadcast
from .solver import SOLVERS, Solver, State, StepNoise

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES: tuple[tuple[float, ...], ...] = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""The last row is the fifth-order result: its slope is the next step's first."""
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Fifth-order less fourth-order weights."""

_FIRST, _MOST = 0.1, 5_000  # a tenth of an e-fold to begin with; steps between two levels before it gives up


@dataclass(frozen=True)
class _Pace:
    """What a sample carries across a stop: the length of its next step in log sigma, `(B,)`."""

    width: Tensor


@SOLVERS.register("rk45")
class DormandPrince(Solver):
    """Local error below atol + rtol |x| per step, root mean square over dimensions."""

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-5) -> None:
        if not (0 < rtol < 1 and 0 < atol < 1):
            raise ConfigError(f"rk45: expected rtol and atol within (0, 1), got {rtol} and {atol}")
        self.rtol, self.atol = rtol, atol

    def evaluations(self, sigmas: Tensor) -> int:
        """A guess: two steps of six evaluations between levels."""
        return 12 * (len(sigmas) - 2) + 1

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        if sigma_next == 0:
            return State(denoiser.denoise(state.x, sigma, cond).x0)
        pace = state.memory.width if isinstance(state.memory, _Pace) else torch.full((len(state.x),), _FIRST).double()
        x, width = self._integrated(denoiser, state.x, sigma, sigma_next, cond, pace)
        return State(x, _Pace(width))

    def _integrated(
        self, denoiser: Denoiser, x: Tensor, sigma: float, sigma_next: float, cond: Cond, width: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From one level to another; `width` `(B,)` is on the CPU, like all levels."""
        x, width, end = x.clone(), width.clone(), math.log(sigma_next)
        u = torch.full_like(width, math.log(sigma))
        slope = _slope(denoiser, x, u, cond)
        for _ in range(_MOST):
            rows = torch.nonzero(u > end).flatten()
            if not len(rows):
                return x, width
            there = rows.to(x.device)
            part = {name: tensor[rows.to(tensor.device)] for name, tensor in cond.items()}
            # a step that would leave a crumb goes to the end
            step = torch.where(width[rows] * 1.01 >= u[rows] - end, u[rows] - end, width[rows])
            moved, last, error = self._tried(denoiser, x[there], u[rows], -step, slope[there], part)
            kept = (error <= 1.0).cpu()
            done, into = rows[kept], there[kept.to(x.device)]
            arrived = step[kept] >= u[done] - end
            u[done] = torch.where(arrived, end, u[done] - step[kept])
            x[into], slope[into] = moved[kept.to(x.device)], last[kept.to(x.device)]
            growth = (0.9 * error.double().cpu().clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0)
            # a step cut short by a stop says nothing against the longer one
            width[rows] = torch.where(
                kept, torch.maximum(step * growth, width[rows] * (step < width[rows])), step * growth
            )
        raise ModelError(
            f"{denoiser.traits.spec}: rk45 did not get from sigma {sigma:.4g} to {sigma_next:.4g} in {_MOST} steps; "
            "expected a smooth denoiser, or a larger tolerance"
        )

    def _tried(
        self, denoiser: Denoiser, x: Tensor, u: Tensor, step: Tensor, first: Tensor, cond: Cond
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of each row: where it leads, the slope there, and its error in units of the tolerance `(B,)`."""
        slopes, h, moved = [first], broadcast(step, x), x
        for node, weights in zip(NODES[1:], STAGES[1:], strict=True):
            moved = x + h * _weighted(weights, slopes)
            slopes.append(_slope(denoiser, moved, u + node * step, cond))
        scale = self.atol + self.rtol * torch.maximum(x.abs(), moved.abs())
        error = (h * _weighted(ERROR, slopes) / scale).flatten(1).square().mean(1).sqrt()
        return moved, slopes[-1], error


def _slope(denoiser: Denoiser, x: Tensor, u: Tensor, cond: Cond) -> Tensor:
    """dx/d log sigma at rows of their own levels."""
    level = denoiser.level(u.exp())
    return x - denoiser(broadcast(level.alpha, x) * x, level, cond)


def _weighted(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            total = total + weight * slope
    return total
