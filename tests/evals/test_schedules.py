"""Schedules: every clock goes to sigma and back, and its table is the one diffusers trains with."""

from __future__ import annotations

import math

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmascope.errors import ConfigError
from sigmascope.evals.levels import broadcast, log_snr_levels
from sigmascope.evals.schedules import EDM, VE, VP, Cosine, RectifiedFlow, Schedule, SubVP, Table

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
CONTINUOUS: dict[str, Schedule] = {
    "EDM": EDM(),
    "VE": VE(),
    "VP": VP(),
    "SubVP": SubVP(),
    "Cosine": Cosine(),
    "RectifiedFlow": RectifiedFlow(),
}
SCHEDULES: dict[str, Schedule] = {
    **CONTINUOUS,
    "Table(VP)": Table.from_betas(BETAS),
    "Table(VE)": Table.from_sigmas(log_snr_levels(0.01, 50.0, 1000)),
}
every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
every_continuous = pytest.mark.parametrize("schedule", CONTINUOUS.values(), ids=CONTINUOUS.keys())


def zero_terminal() -> Table:
    return Table.from_betas(rescale_zero_terminal_snr(BETAS))


@every
@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 1))
def test_sigma_to_time_and_back(schedule: Schedule, place: float) -> None:
    """1e-9 is a million roundings; the worst conditioned clock, a flow at sigma = 1e5, loses a factor of 1e5."""
    low, high = max(schedule.sigma_min, 1e-5), min(schedule.sigma_max, 1e5)
    sigma = min(max(low ** (1 - place) * high**place, low), high)
    level = schedule.at(sigma)
    assert float(level.sigma) == pytest.approx(sigma, rel=1e-9)
    assert float(level.log_snr) == pytest.approx(-2 * math.log(sigma), abs=4e-9)
    assert float(schedule(level.time).sigma) == float(level.sigma)


@every
def test_noise_grows_with_time_and_fits_its_range(schedule: Schedule) -> None:
    times = torch.linspace(schedule.first, schedule.last, 4001, dtype=torch.float64)
    level = schedule(times)
    assert bool((level.sigma.diff() > 0).all())
    assert bool((level.alpha.diff() <= 0).all())
    assert float(level.sigma[0]) == schedule.sigma_min
    assert float(level.sigma[-1]) == schedule.sigma_max
    assert level.alpha.dtype == level.sigma_t.dtype == level.time.dtype == torch.float64


@every_continuous
def test_derivatives_against_central_differences(schedule: Schedule) -> None:
    """Central differences err by h^2 f'''/6 and round by eps/h: with h = 1e-5 of the span, some 1e-10 f''' + 1e-11.

    Away from t = 0, where the square root's third derivative is unbounded.
    """
    span = schedule.last - schedule.first
    h = 1e-5 * span
    times = schedule.first + span * torch.linspace(0.05, 0.95, 37, dtype=torch.float64)
    level, below, above = schedule(times), schedule(times - h), schedule(times + h)
    assert level.d_alpha is not None
    assert level.d_sigma_t is not None
    for slope, low, high in (
        (level.d_alpha, below.alpha, above.alpha),
        (level.d_sigma_t, below.sigma_t, above.sigma_t),
    ):
        torch.testing.assert_close(slope, (high - low) / (2 * h), rtol=1e-6, atol=1e-8)


def test_coefficients_as_the_papers_write_them() -> None:
    t = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    alpha_bar = torch.exp(-(0.1 * t + (20 - 0.1) * t**2 / 2))
    vp, sub = VP()(t), SubVP()(t)
    torch.testing.assert_close(vp.alpha**2, alpha_bar, rtol=1e-12, atol=0)
    torch.testing.assert_close(vp.sigma_t**2, 1 - alpha_bar, rtol=1e-12, atol=0)
    torch.testing.assert_close(sub.sigma_t, 1 - alpha_bar, rtol=1e-12, atol=0)
    torch.testing.assert_close(sub.alpha, vp.alpha)
    cosine = torch.cos((t + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    torch.testing.assert_close(Cosine()(t).alpha, cosine, rtol=1e-12, atol=0)
    torch.testing.assert_close(Cosine()(t).alpha ** 2 + Cosine()(t).sigma_t ** 2, torch.ones_like(t))
    flow = RectifiedFlow()(t)
    torch.testing.assert_close(flow.alpha + flow.sigma_t, torch.ones_like(t))
    torch.testing.assert_close(flow.time, torch.sigmoid(-flow.log_snr / 2))


def test_flow_ends_at_pure_noise() -> None:
    end = RectifiedFlow()(1.0)
    assert (float(end.alpha), float(end.sigma_t), float(end.sigma)) == (0.0, 1.0, math.inf)
    assert float(RectifiedFlow().at(math.inf).time) == 1.0
    assert float(RectifiedFlow().at(0.0).time) == 0.0


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_table_is_that_of_diffusers(beta_schedule: str) -> None:
    """Their product runs in float32: T roundings of 2^-24 each, relative in abar, and the same absolute in 1 - abar."""
    scheduler = diffusers.DDPMScheduler(beta_schedule=beta_schedule)
    for table in (Table.from_betas(scheduler.betas), Table.from_alphas_cumprod(scheduler.alphas_cumprod)):
        level = table(torch.arange(1000).double())
        torch.testing.assert_close(level.alpha**2, scheduler.alphas_cumprod.double(), rtol=1000 * 2**-24, atol=2**-24)
        torch.testing.assert_close(level.alpha**2 + level.sigma_t**2, torch.ones(1000, dtype=torch.float64))


def test_table_keeps_its_precision_at_both_ends() -> None:
    """sigma_0^2 = beta_0 / (1 - beta_0) exactly; the naive 1 - cumprod would lose all but 4 digits of beta = 1e-12."""
    betas = torch.tensor([1e-12, 0.5, 1 - 1e-12], dtype=torch.float64)
    sigma = Table.from_betas(betas)(torch.arange(3).double()).sigma
    expected = [math.sqrt(1e-12 / (1 - 1e-12)), 1.0, math.sqrt(2e12)]
    # the last beta, 1 - 1e-12, itself holds 1e-12 to 1e-4
    torch.testing.assert_close(sigma[:2], torch.tensor(expected[:2], dtype=torch.float64), rtol=1e-11, atol=0)
    assert float(sigma[2]) == pytest.approx(expected[2], rel=1e-4)


def test_zero_terminal_snr() -> None:
    table = zero_terminal()
    end = table(999.0)
    assert (float(end.alpha), float(end.sigma_t), table.sigma_max) == (0.0, 1.0, math.inf)
    assert float(table.at(math.inf).time) == 999.0
    last = float(table(998.0).sigma)
    assert float(table.at(last).time) == 998.0
    with pytest.raises(ConfigError, match="zero terminal SNR"):
        table(998.5)
    with pytest.raises(ConfigError, match="zero terminal SNR"):
        table.at(2 * last)


def test_table_between_entries() -> None:
    log_sigma = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    between = math.exp(0.5)
    assert float(Table(log_sigma)(1.25).sigma) == pytest.approx(between)
    assert float(Table(log_sigma).at(between).time) == pytest.approx(1.25)
    snapped = Table(log_sigma, off_grid="snap").at(torch.tensor([between, math.exp(1.5)]))
    assert snapped.time.tolist() == [1.0, 2.0]
    torch.testing.assert_close(snapped.sigma, torch.tensor([1.0, math.exp(2)], dtype=torch.float64))
    refusing = Table(log_sigma, off_grid="refuse")
    assert refusing.at(log_sigma.exp()).time.tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(ConfigError, match="one of the table's 3 levels"):
        refusing.at(between)
    for policy in ("snap", "refuse"):
        with pytest.raises(ConfigError, match="integer index"):
            Table(log_sigma, off_grid=policy)(0.5)


@every
@pytest.mark.parametrize("factor", [1.001, math.nan])
def test_beyond_the_range_is_refused(schedule: Schedule, factor: float) -> None:
    span = schedule.last - schedule.first
    for time in (schedule.last + span * 1e-3 * factor, schedule.first - span * 1e-3 * factor):
        with pytest.raises(ConfigError, match="time: expected within"):
            schedule(time)
    for sigma in (schedule.sigma_min / factor, schedule.sigma_max * factor):
        if math.isnan(sigma) or 0 < sigma < math.inf:
            with pytest.raises(ConfigError, match="sigma: expected within"):
                schedule.at(torch.tensor([1.0, sigma]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Table.from_betas(torch.tensor([0.1, 0.0])), r"\(0, 1\]"),
        (lambda: Table.from_betas(torch.tensor([0.1, 1.5])), r"\(0, 1\]"),
        (lambda: Table.from_betas(torch.tensor([0.1, math.nan])), r"\(0, 1\]"),
        (lambda: Table.from_alphas_cumprod(torch.tensor([1.0, 0.5])), r"\[0, 1\)"),
        (lambda: Table.from_alphas_cumprod(torch.tensor([0.5, 0.9])), "increasing"),
        (lambda: Table.from_sigmas(torch.tensor([1.0])), "at least two"),
        (lambda: Table.from_sigmas(torch.tensor([1.0, 1.0])), "increasing"),
        (lambda: Table.from_sigmas(torch.tensor([0.0, 1.0])), "finite"),
        (lambda: Table(torch.tensor([0.0, 1.0]).double(), off_grid="nearest"), "off_grid"),
    ],
)
def test_impossible_tables_are_refused(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_levels_are_uniform_in_log_snr_and_hit_their_ends() -> None:
    sigmas = log_snr_levels(0.02, 80.0, 12)
    assert (float(sigmas[0]), float(sigmas[-1])) == (0.02, 80.0)
    steps = sigmas.log().diff()
    torch.testing.assert_close(steps, steps.mean().expand(11), rtol=1e-12, atol=0)
    assert log_snr_levels(0.5, 0.5, 1).tolist() == [0.5]
    for low, high, count in ((0.0, 1.0, 2), (2.0, 1.0, 2), (1.0, math.inf, 2), (1.0, 2.0, 0), (math.nan, 1.0, 2)):
        with pytest.raises(ConfigError, match="levels: expected"):
            log_snr_levels(low, high, count)


def test_a_level_picks_its_rows() -> None:
    level = VP()(torch.tensor([0.1, 0.5, 0.9]))
    assert torch.equal(level[1:].sigma, level.sigma[1:])
    assert torch.equal(level[torch.tensor([2, 0])].time, level.time[[2, 0]])
    single = VP()(0.5)
    assert single[3:7] is single
    table = Table.from_betas(BETAS)(torch.tensor([1.0, 2.0]))
    assert table[:1].d_alpha is None
    images = torch.zeros(3, 2, 4, 4)
    assert broadcast(level.alpha, images).shape == (3, 1, 1, 1)
    assert broadcast(single.alpha, images).shape == ()
    assert broadcast(level.alpha, images).dtype == torch.float32


def test_table_against_a_product_in_extended_precision() -> None:
    alpha_bar = np.cumprod(1 - BETAS.numpy().astype(np.longdouble))
    sigma = np.sqrt((1 - alpha_bar) / alpha_bar).astype(np.float64)
    np.testing.assert_allclose(Table.from_betas(BETAS)(torch.arange(1000)).sigma, sigma, rtol=1e-12)
