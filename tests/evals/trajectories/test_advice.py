"""Step-budget advice on the Gaussian oracle: the proposed grid is nearer to the exact ODE, and that is what is told."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope import fixtures
from sigmascope.errors import ConfigError
from sigmascope.evals.attribution import class_balanced
from sigmascope.evals.models import load_model
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import RectifiedFlow
from sigmascope.evals.suite import read_suite
from sigmascope.evals.trajectories import Course
from sigmascope.evals.trajectories.advice import advise, proposed
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, as_denoiser

from .recursions import euler

VARIANCES = torch.logspace(-1, 1, 8, dtype=torch.float64)
GAUSSIAN = Gaussian(torch.zeros(8, dtype=torch.float64), VARIANCES)
IDS = torch.arange(48)


def course(sampler: str = "euler", steps: int = 8, grid: str = "karras") -> Course:
    return Course(as_denoiser(GAUSSIAN), lambda: solver(sampler), steps, GRIDS[grid], Noise(0))


def exact_distance(name: str) -> float:
    """E |x - x_ref|^2 / d of Euler's samples on a grid, from products of scalars."""
    modes, sigmas = VARIANCES.numpy(), GRIDS[name](as_denoiser(GAUSSIAN).schedule, 8).tolist()
    ends = itertools.pairwise(sigmas)
    got = np.prod([euler(modes, high, low) for high, low in ends], axis=0)
    right = np.sqrt((modes + 0.002**2) / (modes + 80.0**2)) * euler(modes, 0.002, 0.0)
    return float(np.square(80.0 * (got - right)).mean())


def test_eulers_eight_steps_are_better_spent_than_karras_spends_them() -> None:
    here = course()
    found = advise(here, IDS, start="karras", rounds=3)
    assert found.better
    assert found.samples == 24
    for judged in (found.before, found.after):
        # 5 standard errors of a mean of 24 samples; the reference moves a distance of 0.2^2 by far less
        half = (float(judged.distance.high) - float(judged.distance.low)) / 2
        assert abs(float(judged.distance.value) - exact_distance(judged.name)) < 5 / 1.96 * half
    # and without any sampling: the closed form of what is proposed is less than half of karras'
    assert exact_distance(found.after.name) < 0.5 * exact_distance("karras")
    assert found.after.sigmas[0] == found.before.sigmas[0]
    assert found.after.sigmas[-2] == pytest.approx(found.before.sigmas[-2], rel=1e-9)
    sizes = np.array(found.after.sizes[:-1])
    assert sizes.max() < 1.5 * np.median(sizes)  # alike, where karras' differ by orders of magnitude
    assert found.evaluations == here.denoiser.evaluations


def test_a_second_order_and_a_multistep_solver_gain_too() -> None:
    for sampler in ("heun", "dpmpp_2m"):
        found = advise(course(sampler), IDS[:16], start="karras", rounds=1)
        assert found.better, sampler
        assert found.ratio.ratio[0] < 0.5


def test_straight_paths_leave_nothing_to_gain() -> None:
    point = as_denoiser(FiniteSet(torch.full((2, 4), 0.3, dtype=torch.float64)))
    straight = Course(point, lambda: solver("euler"), 5, GRIDS["karras"], Noise(0))
    found = advise(straight, IDS[:8], start="karras", rounds=1)
    # float32 states of size 80, and their rounding
    assert max(float(judged.distance.value) for judged in (found.before, found.after)) < (80 * 2.0**-23) ** 2


def test_equal_sizes_keep_a_grid_and_unequal_ones_move_it() -> None:
    sigmas = GRIDS["log_snr"](as_denoiser(GAUSSIAN).schedule, 6)
    kept = proposed(sigmas, np.ones(6))
    assert kept == pytest.approx(sigmas[:-1].tolist(), rel=1e-12)
    # an interval that loses 8 times as much has twice the density: it gets 2 of 6 shares, and ends are kept
    moved = proposed(sigmas, np.array([1.0, 1.0, 8.0, 1.0, 1.0, 1.0]))
    widths = np.diff(-np.log(moved))
    assert len(moved) == 6
    assert (moved[0], moved[-1]) == (float(sigmas[0]), float(sigmas[-2]))
    assert widths.min() == pytest.approx(0.6 * math.log(80 / 0.002) / 5, rel=1e-9)
    assert proposed(sigmas, np.zeros(6)) == sigmas[:-1].tolist()


def test_what_can_not_be_advised_is_refused() -> None:
    with pytest.raises(ConfigError, match="draws no noise"):
        advise(course("ddpm"), IDS, start="karras")
    with pytest.raises(ConfigError, match="at least 3 steps and 4 samples, got 2 and 48"):
        advise(course(steps=2), IDS, start="karras")
    flow = Course(as_denoiser(GAUSSIAN, RectifiedFlow()), lambda: solver("euler"), 5, GRIDS["linear"], Noise(0))
    with pytest.raises(ConfigError, match="starts at a finite sigma"):
        advise(flow, IDS, start="linear")


@pytest.mark.slow
def test_a_networks_steps_are_better_spent_too() -> None:
    folder = Path(fixtures.__file__).parent
    model = next(model for model in read_suite(folder / "demo.toml").models if model.name == "digits-eps")
    denoiser = load_model(model, folder, device="cpu", micro_batch=32)
    digits = Course(denoiser, lambda: solver("heun"), 8, GRIDS["log_snr"], Noise(0), class_balanced(denoiser))
    found = advise(digits, torch.arange(64), start="log_snr", rounds=1)  # of 32 samples half judge: too few to be sure
    assert found.better
