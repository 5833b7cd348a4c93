"""S6 on a Gaussian: a solver's drift is that of its variance recursion, and an exact one has none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

from .recursions import ExactFlow, data, euler, pick, whole

VARIANCES = np.logspace(-1, 1, 8)
ORACLE = Gaussian(torch.zeros(8, dtype=torch.float64), torch.from_numpy(VARIANCES))
IDS = torch.arange(1000)
SURE = 4.5  # standard errors: 7e-6 for each of the numbers looked at


def test_drift_is_that_of_the_variance_recursion() -> None:
    course = Course(
        as_denoiser(ORACLE), lambda: solver("euler"), 8, GRIDS["karras"], Noise(0), data=data(ORACLE, len(IDS))
    )
    exposure = trajectory_probe("exposure")
    rows = trace(course, IDS, [exposure])
    power, noise, mean = (pick(rows, name) for name in ("power", "noise", "mean"))
    sigmas = course.sigmas.numpy()
    variance = np.full(8, sigmas[0] ** 2)
    for index, (sigma, sigma_next) in enumerate(itertools.pairwise(sigmas)):
        total = VARIANCES + sigma**2
        expected = variance.sum() / total.sum()
        assert abs(power["value"][index] - expected) < SURE * power["error"][index]
        heard = np.sqrt((variance / total**2).sum() / (1 / total).sum())
        assert abs(noise["value"][index] - heard) < SURE * noise["error"][index]
        assert abs(mean["value"][index]) < SURE * mean["error"][index]
        variance = euler(VARIANCES, sigma, sigma_next) ** 2 * variance
    final, error = whole(rows, "final")
    assert abs(final - variance.sum() / VARIANCES.sum()) < SURE * error
    assert final < 1 - 20 * error, "eight steps of Euler's lose contrast"
    assert course.denoiser.evaluations == cost(course, [exposure]) * len(IDS)


def test_an_exact_sampler_does_not_drift() -> None:
    course = Course(
        as_denoiser(ORACLE), lambda: ExactFlow(ORACLE), 6, GRIDS["karras"], Noise(0), data=data(ORACLE, len(IDS))
    )
    rows = trace(course, IDS, [trajectory_probe("exposure")])
    for name in ("power", "noise", "mean", "final"):
        found = pick(rows, name)
        # the start lacks the data's variance: l / 80^2 of at most 10 / 6400
        assert ((found["value"] - found["optimal"]).abs() < SURE * found["error"] + 10 / 6400).all()


def test_each_band_of_frequencies_drifts_by_itself() -> None:
    flat = Gaussian(torch.zeros(16, dtype=torch.float64), torch.full((16,), 0.25, dtype=torch.float64))
    image = wrap(
        lambda x, t: flat.denoise(x.flatten(1).double(), t.double()).reshape(x.shape).float(),
        "edm",
        "x0",
        (1, 4, 4),
        micro_batch=256,
    )
    course = Course(image, lambda: solver("euler"), 6, GRIDS["karras"], Noise(0), data=data(flat, 400, (1, 4, 4)))
    rows = trace(course, IDS[:400], [trajectory_probe("exposure")])
    sigmas = course.sigmas.numpy()
    variance = sigmas[0] ** 2 * np.prod([euler(np.array(0.25), a, b) for a, b in itertools.pairwise(sigmas[:-1])]) ** 2
    bands = rows[(rows["quantity"] == "band") & (rows["index"] == 5)]
    assert set(bands["slice"]) == {f"frequency {name}" for name in ("0-0.0625", "0.25-0.5", "0.5 and up")}
    assert ((bands["value"] - variance / (0.25 + sigmas[5] ** 2)).abs() < SURE * bands["error"]).all()


def test_without_data_it_is_refused() -> None:
    course = Course(as_denoiser(ORACLE), lambda: solver("euler"), 3, GRIDS["karras"], Noise(0))
    with pytest.raises(DataError, match="expected held-out images, got none"):
        trace(course, IDS[:4], [trajectory_probe("exposure")])
