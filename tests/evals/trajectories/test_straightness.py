"""S5 on the Gaussian oracle, whose paths are known; and straight paths read as straight."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import EDM, RectifiedFlow, Schedule
from sigmascope.evals.trajectories import WHOLE, Course, trace, trajectory_probe
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, as_denoiser

VARIANCES = torch.logspace(-1, 1, 8, dtype=torch.float64)
GAUSSIAN = Gaussian(torch.zeros(8, dtype=torch.float64), VARIANCES)
IDS = torch.arange(300)


def course(denoiser: Denoiser, steps: int, sampler: str = "heun", grid: str = "karras") -> Course:
    return Course(denoiser, lambda: solver(sampler), steps, GRIDS[grid], Noise(0))


def number(rows: pd.DataFrame, quantity: str) -> pd.Series:
    (row,) = rows[(rows["quantity"] == quantity) & (rows["index"] == WHOLE)].to_dict("records")
    return pd.Series(row)


def bend(variance: float, last: float) -> float:
    """The integral of (f - chord)'^2 over t in [0, last], times the variance, by fine quadrature."""
    t = np.linspace(0, last, 200_001)
    f = np.sqrt((1 - t) ** 2 + t**2 / variance)
    slope = np.gradient(f, t)
    return variance * float(np.trapezoid(np.square(slope - (f[-1] - f[0]) / last), t))


@pytest.mark.parametrize("schedule", [EDM(), RectifiedFlow()], ids=["edm", "flow"])
def test_a_gaussians_paths_bend_as_they_must(schedule: Schedule) -> None:
    rows = trace(course(as_denoiser(GAUSSIAN, schedule), 100), IDS, [trajectory_probe("straightness")])
    got = number(rows, "straightness")
    last = float(GRIDS["karras"](schedule, 100)[0])
    expected = np.mean([bend(variance, last / (1 + last)) for variance in VARIANCES.tolist()])
    # 4.5 standard errors, and what 100 steps of Heun leave: the chord misses the arc by O(1/100^2) of it
    assert abs(got["value"] - expected) < 4.5 * got["error"] + 1e-3 * expected
    steps = rows[(rows["quantity"] == "deviation") & (rows["index"] != WHOLE)]
    assert math.isclose(steps["value"].sum(), got["value"], rel_tol=1e-9)


def test_from_pure_noise_a_mode_bends_by_two_less_half_pi_times_its_spread() -> None:
    for variance in VARIANCES.tolist():
        # 200,000 trapezes leave far less than 1e-6
        assert bend(variance, 1.0) == pytest.approx(math.sqrt(variance) * (2 - math.pi / 2), rel=1e-6)


def test_a_single_point_is_reached_along_straight_lines() -> None:
    point = FiniteSet(torch.linspace(-1, 1, 8, dtype=torch.float64)[None].repeat(2, 1))
    rows = trace(course(as_denoiser(point), 12), IDS[:50], [trajectory_probe("straightness")])
    # float32 states: angles of parallel chords are of the order of 2^-24 / the shortest chord
    assert number(rows, "straightness")["value"] < 1e-9
    assert number(rows, "chord_to_arc")["value"] == pytest.approx(1.0, abs=1e-6)


def test_the_table_is_the_same_whatever_the_batch() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    whole = trace(course(denoiser, 6), IDS[:40], [trajectory_probe("straightness")])
    parts = trace(course(denoiser, 6), IDS[:40], [trajectory_probe("straightness")], batch_size=7)
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)
    assert set(whole["samples"]) == {40}


def test_a_scheduler_with_its_own_clock_is_refused() -> None:
    foreign = Course(as_denoiser(GAUSSIAN), lambda: solver("diffusers:DDIMScheduler"), 5, None, Noise(0))
    with pytest.raises(ConfigError, match="expected a solver that keeps the scaled state"):
        trace(foreign, IDS[:4], [trajectory_probe("straightness")])


def test_pure_noise_at_infinity_is_not_scored() -> None:
    rows = trace(
        course(as_denoiser(GAUSSIAN, RectifiedFlow()), 8, "euler", "linear"),
        IDS[:20],
        [trajectory_probe("straightness")],
    )
    first = rows[(rows["index"] == 0) & (rows["quantity"] == "deviation")]
    assert first.empty
    assert isinstance(number(rows, "straightness")["value"], float)
