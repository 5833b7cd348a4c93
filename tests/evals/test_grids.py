"""Grids: from the model's largest noise to its smallest and then to none, in the right number of steps."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from sigmascope.errors import ConfigError
from sigmascope.evals.samplers import GRIDS
from sigmascope.evals.samplers.grids import CEILING, FLOOR, finite_range, grid_name
from sigmascope.evals.schedules import EDM, VE, VP, Cosine, RectifiedFlow, Schedule, SubVP, Table

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
TABLE = Table.from_betas(BETAS)
ZERO_TERMINAL = Table.from_betas(rescale_zero_terminal_snr(BETAS))
SCHEDULES: list[Schedule] = [EDM(), VE(), VP(), SubVP(), Cosine(), RectifiedFlow(), TABLE, ZERO_TERMINAL]
CASES = [
    pytest.param(name, schedule, id=f"{name}-{type(schedule).__name__}{index}")
    for name in GRIDS
    for index, schedule in enumerate(SCHEDULES)
    if name != "trailing" or isinstance(schedule, Table)
]


@pytest.mark.parametrize(("name", "schedule"), CASES)
@pytest.mark.parametrize("steps", [1, 2, 18])
def test_every_grid_descends_from_the_models_end_to_zero(name: str, schedule: Schedule, steps: int) -> None:
    sigmas = GRIDS[name](schedule, steps)
    assert sigmas.shape == (steps + 1,)
    assert sigmas.dtype == torch.float64
    assert bool((sigmas.diff() < 0).all())
    assert float(sigmas[-1]) == 0.0
    start = schedule.sigma_max if name in ("linear", "trailing") else finite_range(schedule)[1]
    assert float(sigmas[0]) == pytest.approx(start, rel=1e-12)
    schedule.at(sigmas[:-1])  # all within the model's range


def test_karras_is_equation_5() -> None:
    sigmas = GRIDS["karras"](EDM(), 18)
    i = torch.arange(18, dtype=torch.float64)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(sigmas[:-1], expected, rtol=1e-12, atol=0)


def test_log_snr_steps_by_one_ratio_between_the_models_ends() -> None:
    sigmas = GRIDS["log_snr"](EDM(), 10)
    assert (float(sigmas[0]), float(sigmas[-2])) == (80.0, 0.002)
    ratios = sigmas[1:-1] / sigmas[:-2]
    torch.testing.assert_close(ratios, ratios.mean().expand(9), rtol=1e-12, atol=0)


def test_linear_is_in_native_time() -> None:
    """A flow's 4 steps are t = 1, 3/4, 1/2, 1/4, 0; a variance-exploding model's are in log sigma."""
    assert GRIDS["linear"](RectifiedFlow(), 4).tolist() == pytest.approx([math.inf, 3.0, 1.0, 1 / 3, 0.0], rel=1e-15)
    assert GRIDS["linear"](VE(), 4)[:-1].log().diff().std() < 1e-12
    assert VP()(GRIDS["linear"](VP(), 5)[:-1].new_tensor(1.0)).sigma == GRIDS["linear"](VP(), 5)[0]


@pytest.mark.parametrize("steps", [1, 3, 7, 50, 1000])
def test_trailing_is_that_of_diffusers(steps: int) -> None:
    peer = diffusers.DDIMScheduler(timestep_spacing="trailing")
    peer.set_timesteps(steps)
    torch.testing.assert_close(GRIDS["trailing"](TABLE, steps)[:-1], TABLE(peer.timesteps).sigma)
    assert float(GRIDS["trailing"](ZERO_TERMINAL, steps)[0]) == math.inf


def test_infinite_ends_become_finite_ones_only_where_a_ratio_is_needed() -> None:
    assert finite_range(RectifiedFlow()) == (FLOOR, CEILING)
    assert finite_range(EDM()) == (0.002, 80.0)
    assert finite_range(ZERO_TERMINAL)[1] == float(ZERO_TERMINAL(998.0).sigma)
    assert float(GRIDS["karras"](RectifiedFlow(), 4)[0]) == pytest.approx(CEILING)
    assert float(GRIDS["linear"](RectifiedFlow(), 4)[0]) == math.inf


def test_impossible_grids_are_refused() -> None:
    for name in GRIDS:
        with pytest.raises(ConfigError, match="steps: expected at least 1, got 0"):
            GRIDS[name](TABLE, 0)
    with pytest.raises(ConfigError, match="at most 1000 steps, got 1001"):
        GRIDS["trailing"](TABLE, 1001)
    with pytest.raises(ConfigError, match="expected a table"):
        GRIDS["trailing"](EDM(), 4)
    with pytest.raises(ConfigError, match="did you mean 'karras'"):
        GRIDS["karas"]


def test_levels_of_ones_own() -> None:
    grid = GRIDS["sigmas(80, 5.5, 0.4, 0.002)"]
    assert grid(EDM(), 4).tolist() == [80.0, 5.5, 0.4, 0.002, 0.0]
    with pytest.raises(ConfigError, match="has 4 steps, got 5"):
        grid(EDM(), 5)
    with pytest.raises(ConfigError, match="expected within"):
        GRIDS["sigmas(81, 1)"](EDM(), 2)


@pytest.mark.parametrize("levels", ["", "1, 2", "1, 1", "5, 0", "inf, 1", "5, -1", "'5'", "x=[1]", "80, low='a'"])
def test_levels_that_can_not_be_are_refused(levels: str) -> None:
    with pytest.raises(ConfigError, match=r"grid .sigmas"):
        GRIDS[f"sigmas({levels})"]


def test_an_unknown_grid_is_answered_with_the_choices() -> None:
    for name in ("sigma", "carras"):
        with pytest.raises(ConfigError, match=r"unknown grid .*karras.*or levels of one's own: sigmas\(80"):
            GRIDS[name]
    with pytest.raises(ConfigError, match="expected finite levels"):
        GRIDS["sigmas"]


@pytest.mark.parametrize("levels", [(80.0,), (157.40726298677785, 3.0, 0.010000499911173548)])
def test_a_grids_name_says_its_levels(levels: tuple[float, ...]) -> None:
    schedule = EDM(levels[-1], levels[0])
    got = GRIDS[grid_name(levels)](schedule, len(levels)).tolist()
    assert got[:-1] == pytest.approx(levels, rel=1e-6)
