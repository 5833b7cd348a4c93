"""S8 on a Gaussian: churn's effect, band by band, is that of the recursion with noise; a faulty score's stays."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import EDM
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

from .recursions import Floats, data, euler, heun, pick

VARIANCES = np.array([0.2, 1.0, 3.0])
ORACLE = Gaussian(torch.zeros(3, dtype=torch.float64), torch.from_numpy(VARIANCES))
IDS = torch.arange(1500)
SURE, CHURN = 4.5, 10.0


def course(steps: int = 8) -> Course:
    return Course(
        as_denoiser(ORACLE), lambda: solver("heun"), steps, GRIDS["karras"], Noise(0), data=data(ORACLE, 1000)
    )


def final(sigmas: Floats, low: float, high: float) -> Floats:
    """Variances at the end, churned where low < sigma <= high; a level is not raised above the model's highest."""
    variance = np.full(3, sigmas[0] ** 2)
    for sigma, sigma_next in itertools.pairwise(sigmas):
        raised = sigma * (1 + min(CHURN / (len(sigmas) - 1), math.sqrt(2) - 1)) if low < sigma <= high else sigma
        raised = raised if raised <= 80 else sigma
        variance = heun(VARIANCES, raised, sigma_next) ** 2 * (variance + raised**2 - sigma**2)
    return variance


def test_effect_of_churn_is_that_of_the_recursion() -> None:
    walked, sweep = course(), trajectory_probe("churn_sweep(bands=2)")
    rows = trace(walked, IDS, [sweep])
    coarse, fine = walked.sigmas.numpy(), walked.with_steps(16).sigmas.numpy()
    bands = {0: (coarse[4], math.inf), 4: (0.0, coarse[4])}
    for index, (low, high) in bands.items():
        expected = [math.log(final(grid, low, high).sum() / final(grid, 0.0, 0.0).sum()) for grid in (coarse, fine)]
        for name, value in (("effect", expected[0]), ("refined", expected[1]), ("step", expected[0] - expected[1])):
            found = pick(rows, name).loc[index]
            assert abs(found["value"] - value) < SURE * found["error"], (name, index)
    assert walked.denoiser.evaluations == cost(walked, [sweep]) * len(IDS)


def test_ancestral_noise_is_swept_as_well() -> None:
    rows = trace(course(), IDS, [trajectory_probe("churn_sweep(bands=1, churned='ddpm', calm='ddim')")])
    sigmas = course().sigmas.numpy()
    variance = np.full(3, sigmas[0] ** 2)
    calm = variance.copy()
    for sigma, sigma_next in itertools.pairwise(sigmas):
        added = sigma_next * math.sqrt(1 - (sigma_next / sigma) ** 2)
        gain = VARIANCES / (VARIANCES + sigma**2)
        variance = (gain + math.sqrt(sigma_next**2 - added**2) * (1 - gain) / sigma) ** 2 * variance + added**2
        calm = euler(VARIANCES, sigma, sigma_next) ** 2 * calm
    (found,) = pick(rows, "effect").to_dict("records")
    assert abs(found["value"] - math.log(variance.sum() / calm.sum())) < SURE * found["error"]


def test_a_faulty_score_is_told_from_coarse_steps() -> None:
    """Its noise estimate 10% too large, which narrows samples: noise makes them forget that, however fine the steps."""

    def shrunk(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        right = ORACLE.denoise(x.double(), t.double())
        return (x.double() + 1.1 * (right - x.double())).to(x)

    faulty = wrap(shrunk, EDM(), "x0", (3,), micro_batch=256)
    found = []
    for denoiser in (as_denoiser(ORACLE), faulty):
        walked = Course(denoiser, lambda: solver("heun"), 24, GRIDS["karras"], Noise(0), data=data(ORACLE, 1000))
        rows = trace(walked, IDS[:300], [trajectory_probe("churn_sweep(bands=1)")])
        found.append(pick(rows, "refined").iloc[0])
    assert abs(found[0]["value"]) < SURE * found[0]["error"]
    assert found[1]["low"] > 0.1


def test_multistep_samplers_are_refused() -> None:
    with pytest.raises(ConfigError, match="keep nothing from step to step"):
        trajectory_probe("churn_sweep(churned='dpmpp_2m_sde')")
