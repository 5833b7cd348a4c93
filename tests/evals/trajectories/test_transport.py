"""S3 and S10 on the Gaussian oracle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import EDM, RectifiedFlow
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

from .recursions import data, heun, pick, whole

VARIANCES = torch.logspace(-1, 1, 8, dtype=torch.float64)
MODES = VARIANCES.numpy()
GAUSSIAN = Gaussian(torch.linspace(-1, 1, 8, dtype=torch.float64), VARIANCES)
DATA = data(GAUSSIAN, 20_000)
IDS = torch.arange(200)


def course(sampler: str = "heun", steps: int = 18, high: float = 80.0) -> Course:
    denoiser = as_denoiser(GAUSSIAN, EDM(last=high))
    return Course(denoiser, lambda: solver(sampler), steps, GRIDS["karras"], Noise(0), data=DATA)


@pytest.mark.parametrize("sampler", ["heun", "ddpm", "dpmpp_2m"])
def test_a_disturbance_reaches_the_sample_as_the_flow_says(sampler: str) -> None:
    here = course(sampler, 30)
    rows = pick(trace(here, IDS, [trajectory_probe("transport(levels=3)")]), "gain")
    assert list(rows.index) == [0, 14, 29]
    for index, row in rows.iterrows():
        sigma = row["sigma"]
        kept = MODES / (MODES + sigma**2)
        # a step of ancestral sampling multiplies the mean by (l + s'^2) / (l + s^2), the ODE's by its root
        expected = math.sqrt(np.mean(np.square(kept) if sampler == "ddpm" else kept))
        # 4.5 standard errors, and what 30 steps leave: some 1/30 of a gain at order 1, far less at order 2
        assert abs(row["value"] - expected) < 4.5 * row["error"] + (0.06 if sampler == "ddpm" else 0.02) * expected, (
            index
        )


def test_heuns_products_exactly() -> None:
    here = course(steps=6)
    rows = pick(trace(here, IDS, [trajectory_probe("transport(levels=6, relative=0.1)")]), "gain")
    sigmas = here.sigmas.tolist()
    for index, row in rows.iterrows():
        ends = zip(sigmas[index:-1], sigmas[index + 1 :], strict=True)
        factor = np.prod([heun(MODES, high, low) for high, low in ends], axis=0)
        assert abs(row["value"] - math.sqrt(np.square(factor).mean())) < 4.5 * row["error"] + 1e-6


def test_what_the_start_lacks() -> None:
    here = course(high=3.0)
    rows = trace(here, IDS[:8], [trajectory_probe("terminal")])
    own, mean = DATA.images.var(0, correction=0).mean().item(), DATA.images.mean(0).double().numpy()
    assert whole(rows, "signal")[0] == pytest.approx(1 / 10)
    assert whole(rows, "missing_variance")[0] == pytest.approx(own / (own + 9.0))
    sigmas = here.sigmas.tolist()
    factor = np.prod([heun(MODES, a, b) for a, b in itertools.pairwise(sigmas)], axis=0)
    expected = math.sqrt(np.square(mean * factor).mean() / own)
    assert whole(rows, "missing_mean")[0] == pytest.approx(expected, rel=1e-5)  # float32 states
    flow = math.sqrt(np.mean(np.square(mean) * MODES / (MODES + 9.0)) / own)
    assert expected == pytest.approx(flow, rel=0.01)  # mu - mu (1 - sqrt(l / (l + s^2))), in 18 steps
    assert here.denoiser.evaluations == 8 * cost(here, [trajectory_probe("terminal")])


def test_pure_noise_lacks_nothing() -> None:
    here = Course(
        as_denoiser(GAUSSIAN, RectifiedFlow()), lambda: solver("euler"), 6, GRIDS["linear"], Noise(0), data=DATA
    )
    rows = trace(here, IDS[:4], [trajectory_probe("terminal")])
    assert [whole(rows, name)[0] for name in ("signal", "missing_variance", "missing_mean")] == [0.0, 0.0, 0.0]


def test_without_data_there_is_nothing_to_compare_with() -> None:
    bare = Course(as_denoiser(GAUSSIAN), lambda: solver("heun"), 6, GRIDS["karras"], Noise(0))
    with pytest.raises(DataError, match="terminal: expected data"):
        trace(bare, IDS[:4], [trajectory_probe("terminal")])
