"""Langevin dynamics at one level, annealed over levels, or as the corrector after a predictor's step.

At level sigma the score is -eps/sigma, and with a step of size a sigma^2 the dynamics is

    x <- x - (a/2) sigma eps + sqrt(a) sigma z

whose equilibrium, as a shrinks, is the marginal at sigma. These draws stay at a level: they are keyed by (step, draw),
not by an interval of the Brownian path.
"""

from __future__ import annotations

import math

from torch import Tensor

from ...errors import ConfigError
from ..denoiser import Cond, Denoiser
from .ddim import DDIM
from .solver import SOLVERS, Solver, State, StepNoise


@SOLVERS.register("langevin")
class AnnealedLangevin(Solver):
    """`repeats` Langevin moves at every level, then D at the last (NCSN: Song & Ermon 2019, arXiv:1907.05600, alg. 1).

    NCSN's step is epsilon sigma^2 / sigma_L^2: `step_size` = epsilon / sigma_L^2, 0.2 there with 100 repeats. The final
    D takes away the noise that is left (arXiv:2009.05475).
    """

    stochastic = True

    def __init__(self, step_size: float = 0.2, repeats: int = 5) -> None:
        self.step_size, self.repeats = _checked(step_size, repeats)

    def evaluations(self, sigmas: Tensor) -> int:
        """`repeats` a level, one for D at the last, and one at pure noise, whose only move is D's."""
        finite = int(sigmas[:-1].isfinite().sum())
        return self.repeats * finite + int(finite > 0) + len(sigmas) - 1 - finite

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        x = langevin(denoiser, state.x, sigma, cond, noise, self.step_size, self.repeats)
        return State(denoiser.denoise(x, sigma, cond).x0 if sigma_next == 0 else x)


@SOLVERS.register("predictor_corrector")
class PredictorCorrector(Solver):
    """An ancestral step, then `repeats` Langevin moves where it ended (Song et al. 2021, arXiv:2011.13456, alg. 2).

    The paper's step 2 (snr |z| / |score|)^2 takes norms over the batch; their expected ratio is sigma, and with
    2 snr^2 sigma^2 a sample does not depend on the others. No correction at sigma = 0.
    """

    stochastic = True

    def __init__(self, snr: float = 0.16, eta: float = 1.0, repeats: int = 1) -> None:
        self.step_size, self.repeats = _checked(2.0 * snr**2, repeats, "2 snr^2")
        self.predictor = DDIM(eta)

    def evaluations(self, sigmas: Tensor) -> int:
        """One to predict, `repeats` to correct; none to correct the step from pure noise or the one to 0."""
        return len(sigmas) - 1 + self.repeats * int((sigmas[:-1].isfinite() & (sigmas[1:] > 0)).sum())

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        predicted = self.predictor.step(denoiser, state, sigma, sigma_next, cond, noise)
        if sigma_next == 0:
            return predicted
        return State(langevin(denoiser, predicted.x, sigma_next, cond, noise, self.step_size, self.repeats))


def langevin(
    denoiser: Denoiser, x: Tensor, sigma: float, cond: Cond, noise: StepNoise, step_size: float, repeats: int
) -> Tensor:
    """The scaled state `(B, *event_shape)` after `repeats` moves at one level, each of size step_size sigma^2."""
    for draw in range(repeats):
        drift = 0.5 * step_size * sigma * denoiser.denoise(x, sigma, cond).eps
        x = x - drift + math.sqrt(step_size) * sigma * noise.normal(draw)
    return x


def _checked(step_size: float, repeats: int, name: str = "step_size") -> tuple[float, int]:
    # at 4 and above an eps of slope 1/sigma makes the mean grow
    if not 0 < step_size < 4:
        raise ConfigError(f"{name}: expected within (0, 4), where the dynamics is stable, got {step_size}")
    if repeats < 1:
        raise ConfigError(f"repeats: expected at least 1, got {repeats}")
    return step_size, repeats
