"""DPM-Solver++ in the prediction of x0: exponential integrators in half log-SNR, for the ODE and for the SDE.

Lu et al. 2022, arXiv:2211.01095; the third order and eta as k-diffusion has them. With h = log(sigma / sigma') and
g = (1 + eta) h, x0 held constant is solved exactly:

    x' = e^-g x + (1 - e^-g) D + sigma' sqrt(1 - e^(-2 eta h)) z

and higher orders extrapolate D from earlier predictions. eta = 0 is the ODE, eta = 1 the reverse SDE. The step to
sigma = 0, infinitely wide in log-SNR, is D.

The third order as published (and in k-diffusion and diffusers) takes the second divided difference of D for its second
derivative, which is twice that: it converges at order 2. `corrected` doubles it, and the order is 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .solver import SOLVERS, Solver, State, StepNoise


@dataclass(frozen=True)
class _History:
    """Earlier predictions of x0 and the widths of the steps that followed them, newest first."""

    x0: tuple[Tensor, ...] = ()
    widths: tuple[float, ...] = ()


class DPMSolverPP(Solver):
    """Multistep, of order 2 or 3; the first steps are of lower order."""

    def __init__(self, order: int, eta: float = 0.0, corrected: bool = False) -> None:
        if not 0 <= eta < math.inf:
            raise ConfigError(f"eta: expected at least 0, got {eta}")
        self.order, self.eta, self.corrected = order, eta, corrected
        self.stochastic = eta > 0

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        x0 = denoiser.denoise(state.x, sigma, cond).x0
        if sigma_next == 0:
            return State(x0)
        past = state.memory if isinstance(state.memory, _History) else _History()
        h = math.log(sigma / sigma_next)
        g = (1.0 + self.eta) * h
        x = math.exp(-g) * state.x - math.expm1(-g) * x0 + self._correction(x0, past, h, g)
        if self.eta > 0:
            x = x + sigma_next * math.sqrt(-math.expm1(-2.0 * self.eta * h)) * noise.between(sigma, sigma_next)
        kept = self.order - 1
        return State(x, _History((x0, *past.x0)[:kept], (h, *past.widths)[:kept]))

    def _correction(self, x0: Tensor, past: _History, h: float, g: float) -> Tensor | float:
        """What the slope and the curvature of x0 over half log-SNR add."""
        if not past.x0:
            return 0.0
        before = past.widths[0] / h
        slope = (x0 - past.x0[0]) / before
        if self.order == 2:
            return -0.5 * math.expm1(-g) * slope  # the midpoint variant
        phi2 = math.expm1(-g) / g + 1.0
        if len(past.x0) == 1:
            return phi2 * slope
        earlier = past.widths[1] / h
        change = (slope - (past.x0[0] - past.x0[1]) / earlier) / (before + earlier)
        curvature = 2.0 * change if self.corrected else change
        return phi2 * (slope + before * change) - (phi2 / g - 0.5) * curvature


@SOLVERS.register("dpmpp_2m")
class DPMSolverPP2M(DPMSolverPP):
    """x' = (sigma'/sigma) x + (1 - sigma'/sigma) D, D extrapolated from the last two predictions (algorithm 2)."""

    def __init__(self) -> None:
        super().__init__(order=2)


@SOLVERS.register("dpmpp_3m")
def dpmpp_3m(corrected: bool = False) -> DPMSolverPP:
    return DPMSolverPP(order=3, corrected=corrected)


@SOLVERS.register("dpmpp_2m_sde")
def dpmpp_2m_sde(eta: float = 1.0) -> DPMSolverPP:
    return DPMSolverPP(order=2, eta=eta)


@SOLVERS.register("dpmpp_3m_sde")
def dpmpp_3m_sde(eta: float = 1.0, corrected: bool = False) -> DPMSolverPP:
    return DPMSolverPP(order=3, eta=eta, corrected=corrected)


@SOLVERS.register("dpmpp_sde")
class DPMSolverPPSDE(Solver):
    """Single step, two evaluations: to the point a fraction r of the way in log-SNR, then the whole way from there.

    Both parts are ancestral: sigma_down^2 + q^2 = sigma'^2, x0 constant down to sigma_down, then q z. The midpoint
    sees the same Brownian path as the whole step (k-diffusion's sample_dpmpp_sde). The step to sigma = 0 is D.
    """

    def __init__(self, eta: float = 1.0, r: float = 0.5) -> None:
        if not 0 <= eta <= 1:
            raise ConfigError(f"eta: expected within [0, 1], got {eta}")
        if not 0 < r < 1:
            raise ConfigError(f"r: expected within (0, 1), got {r}")
        self.eta, self.r = eta, r
        self.stochastic = eta > 0

    def evaluations(self, sigmas: Tensor) -> int:
        """Two a step, but one from pure noise and one to 0."""
        return len(sigmas) - 1 + int((sigmas[:-1].isfinite() & (sigmas[1:] > 0)).sum())

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        x0 = denoiser.denoise(state.x, sigma, cond).x0
        if sigma_next == 0:
            return State(x0)
        middle = sigma ** (1.0 - self.r) * sigma_next**self.r
        there = self._moved(state.x, x0, sigma, middle, noise)
        weight = 1.0 / (2.0 * self.r)
        mixed = (1.0 - weight) * x0 + weight * denoiser.denoise(there, middle, cond).x0
        return State(self._moved(state.x, mixed, sigma, sigma_next, noise))

    def _moved(self, x: Tensor, x0: Tensor, sigma: float, sigma_next: float, noise: StepNoise) -> Tensor:
        added = self.eta * sigma_next * math.sqrt(1.0 - (sigma_next / sigma) ** 2)
        ratio = math.sqrt(sigma_next**2 - added**2) / sigma
        x = ratio * x + (1.0 - ratio) * x0
        return x + added * noise.between(sigma, sigma_next) if added > 0 else x
