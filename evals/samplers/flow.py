"""Rectified flow: Euler and midpoint in flow time t = sigma / (1 + sigma), for any model.

With x the scaled state, the flow's state is x_t = (1 - t) x and its velocity u = eps - x0 (Liu et al.,
arXiv:2209.03003; Lipman et al., arXiv:2210.02747). On one grid Euler in t is Euler in sigma, step by step; the midpoint
method is not. Steps uniform in t are the grid `linear` of a flow model.
"""

from __future__ import annotations

from torch import Tensor

from ..denoiser import Cond, Denoiser
from ..levels import broadcast
from .euler import Euler
from .solver import SOLVERS, Solver, State, StepNoise

SOLVERS.register("flow_euler")(Euler)


@SOLVERS.register("flow_midpoint")
class FlowMidpoint(Solver):
    """x_t' = x_t + (t' - t) u at the middle of the step in t, where half an Euler step leads.

    A last step whose middle lies below the model's range is Euler's.
    """

    def evaluations(self, sigmas: Tensor) -> int:
        """Two a step; one less for a model that ends above the middle of the last step."""
        return 2 * (len(sigmas) - 1)

    def start(self, denoiser: Denoiser, noise: Tensor, sigma_next: float, cond: Cond) -> Tensor:
        """At t = 1 the state is the noise itself: half a step with its prediction, the whole with the middle's."""
        level = denoiser.schedule(denoiser.schedule.last)
        seen = denoiser.predict(broadcast(level.sigma_t, noise) * noise, level, cond)
        time = _time(sigma_next)
        middle = (1.0 + time) / 2.0
        sigma = middle / (1.0 - middle)
        there = denoiser.denoise(seen.x0 + sigma * seen.eps, sigma, cond)
        return (noise + (time - 1.0) * (there.eps - there.x0)) / (1.0 - time)

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        slope = denoiser.denoise(state.x, sigma, cond).eps
        time, time_next = _time(sigma), _time(sigma_next)
        middle = (time + time_next) / 2.0
        sigma_middle = middle / (1.0 - middle)
        if sigma_next == 0 and sigma_middle < denoiser.schedule.sigma_min:
            return State(state.x - sigma * slope)
        seen = denoiser.denoise(state.x + (sigma_middle - sigma) * slope, sigma_middle, cond)
        x_t = (1.0 - time) * state.x + (time_next - time) * (seen.eps - seen.x0)
        return State(x_t / (1.0 - time_next))


def _time(sigma: float) -> float:
    return sigma / (1.0 + sigma)
