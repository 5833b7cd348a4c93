"""S7 on a Gaussian: what is lost below a level is the product of the solver's factors over the flow's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

from .recursions import ExactFlow, data, euler, pick

DIMENSIONS, VARIANCE, COUNT = 6, 0.5, 1000
ORACLE = Gaussian(
    torch.zeros(DIMENSIONS, dtype=torch.float64), torch.full((DIMENSIONS,), VARIANCE, dtype=torch.float64)
)
IDS = torch.arange(COUNT)
SURE = 4.5


def course(sampler: str = "euler", steps: int = 8) -> Course:
    return Course(
        as_denoiser(ORACLE), lambda: solver(sampler), steps, GRIDS["karras"], Noise(0), data=data(ORACLE, 2 * COUNT)
    )


def energy(a: float, b: float) -> float:
    """Between N(0, a) and N(0, b) in six dimensions: E|N(0, v)| = sqrt(2 v) Gamma((d + 1) / 2) / Gamma(d / 2)."""
    norm = math.sqrt(2) * math.gamma((DIMENSIONS + 1) / 2) / math.gamma(DIMENSIONS / 2) / math.sqrt(DIMENSIONS)
    return norm * (2 * math.sqrt(a + b) - math.sqrt(2 * a) - math.sqrt(2 * b))


def test_damage_below_a_level_is_the_product_of_the_factors() -> None:
    walked, prefix = course(), trajectory_probe("prefix(starts=8)")
    rows = trace(walked, IDS, [prefix])
    sigmas = walked.sigmas.numpy()
    factors = np.array([euler(np.array(VARIANCE), a, b) for a, b in itertools.pairwise(sigmas)])
    logs, steps, energies = (pick(rows, name) for name in ("log_variance", "increment", "energy"))
    for index in range(8):
        variance = float((VARIANCE + sigmas[index] ** 2) * np.prod(factors[index:]) ** 2)
        assert abs(logs["value"][index] - math.log(variance / VARIANCE)) < SURE * logs["error"][index]
        exact = math.log(factors[index] ** 2 * (VARIANCE + sigmas[index] ** 2) / (VARIANCE + sigmas[index + 1] ** 2))
        assert abs(steps["value"][index] - exact) < SURE * steps["error"][index]
        assert abs(energies["value"][index] - energy(variance, VARIANCE)) < SURE * energies["error"][index]
    assert steps["value"].sum() == pytest.approx(logs["value"][0], abs=1e-9)
    assert logs["value"][0] < -20 * logs["error"][0], "eight steps of Euler's lose variance"
    # 2 (8 + 7 + ... + 1) for the prefixes and 8 for the walk
    assert cost(walked, [prefix]) == 80
    assert walked.denoiser.evaluations == 80 * COUNT


def test_an_exact_sampler_does_no_damage() -> None:
    exact = Course(
        as_denoiser(ORACLE), lambda: ExactFlow(ORACLE), 6, GRIDS["karras"], Noise(0), data=data(ORACLE, 2 * COUNT)
    )
    rows = trace(exact, IDS, [trajectory_probe("prefix(starts=3)")])
    assert (rows["value"].abs() < SURE * rows["error"]).all()
    assert sorted(set(rows["index"])) == [0, 2, 5]


def test_the_pair_of_a_sample_is_independent_under_a_stochastic_sampler_too() -> None:
    """Ancestral steps of the exact denoiser: the energy distance would be off by half were their noise shared."""
    rows = trace(course("ddpm", 30), IDS[:400], [trajectory_probe("prefix(starts=1)")])
    (variance,), (found,) = (pick(rows, name).to_dict("records") for name in ("log_variance", "energy"))
    expected = energy(VARIANCE * math.exp(variance["value"]), VARIANCE)
    assert abs(found["value"] - expected) < SURE * found["error"]


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 1 start"):
        trajectory_probe("prefix(starts=0)")
