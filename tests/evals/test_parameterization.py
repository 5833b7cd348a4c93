"""Parameterizations: every conversion against formulas written out one by one, to the rounding it must have."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.levels import Level, broadcast
from sigmascope.evals.parameterization import EPS, FLOW, PARAMETERIZATIONS, SCORE, X0, Parameterization, V, edm
from sigmascope.evals.schedules import EDM, VE, VP, Cosine, RectifiedFlow, Schedule, SubVP, Table
from torch import Tensor

UNIT = 2.0**-53
F = PARAMETERIZATIONS["F"]
SIGMAS = torch.logspace(-4, 4, 33, dtype=torch.float64)
SCHEDULES: list[Schedule] = [
    EDM(1e-4, 1e4),
    VE(1e-4, 1e4),
    VP(beta_max=40.0, first=1e-8),
    SubVP(beta_max=40.0, first=1e-8),
    Cosine(first=1e-7, last=1 - 1e-5),
    RectifiedFlow(),
    Table(torch.linspace(math.log(1e-4), math.log(1e4), 1000, dtype=torch.float64)),
    Table(torch.linspace(math.log(1e-4), math.log(1e4), 1000, dtype=torch.float64), preserving=False),
]
CASES = [
    pytest.param(PARAMETERIZATIONS[name], schedule, id=f"{name}-{type(schedule).__name__}{index}")
    for name in PARAMETERIZATIONS
    for index, schedule in enumerate(SCHEDULES)
    if not (name == "flow" and isinstance(schedule, Table))  # a table has no velocity
]
every_case = pytest.mark.parametrize(("parameterization", "schedule"), CASES)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: repr(s).split("(first")[0][:24])


def states(level: Level) -> tuple[Tensor, Tensor, Tensor]:
    """(x0, eps, x_t), 16 dimensions per level."""
    generator = torch.Generator().manual_seed(3)
    x0, eps = torch.randn(2, len(SIGMAS), 16, generator=generator, dtype=torch.float64)
    return x0, eps, broadcast(level.alpha, x0) * x0 + broadcast(level.sigma_t, x0) * eps


def levels(schedule: Schedule) -> Level:
    """The schedule's levels at SIGMAS, less the last rounding at the ends of a range."""
    return schedule.at(SIGMAS.clamp(max(schedule.sigma_min, 1e-4), min(schedule.sigma_max, 1e4)))


@every_case
def test_what_from_x0_says_predict_understands(parameterization: Parameterization, schedule: Schedule) -> None:
    """(x0, eps) -> output -> (x0, eps), to the rounding of the terms that are summed.

    Each operation rounds to one unit of its result. With A the sum of the magnitudes that make the output p, the error
    of x0 is at most some units of (|c1 x_t| + sigma_t A)/|det|, that of eps of (|c0 x_t| + alpha A)/|det|: the
    condition number of the 2 x 2 system. No term takes part in more than 8 roundings.
    """
    level = levels(schedule)
    x0, _, x_t = states(level)
    eps = (x_t - broadcast(level.alpha, x_t) * x0) / broadcast(level.sigma_t, x_t)
    seen = parameterization.predict(parameterization.from_x0(x0, x_t, level), x_t, level)

    alpha, sigma_t = broadcast(level.alpha, x_t), broadcast(level.sigma_t, x_t)
    c0, c1 = (broadcast(c, x_t) for c in parameterization.direction(level))
    det = (alpha * c1 - sigma_t * c0).abs()
    summed = (c0 * x0).abs() + (c1 * alpha / sigma_t * x0).abs() + (c1 / sigma_t * x_t).abs()
    x0_bound = 8 * UNIT * (x0.abs() + ((c1 * x_t).abs() + sigma_t * summed) / det)
    eps_bound = 8 * UNIT * ((x_t.abs() + alpha * x0.abs()) / sigma_t + ((c0 * x_t).abs() + alpha * summed) / det)
    assert bool(((seen.x0 - x0).abs() <= x0_bound).all())
    assert bool(((seen.eps - eps).abs() <= eps_bound).all())


@pytest.mark.parametrize(("parameterization", "schedule"), [case for case in CASES if case.values[0] in (V, FLOW, F)])
def test_both_estimates_are_exact_at_both_ends(parameterization: Parameterization, schedule: Schedule) -> None:
    """From a velocity x0 and eps both come to a few roundings, however small or large sigma.

    In general that is the gain times the output's rounding plus the input's own. v and x_t are at right angles, so for
    v it comes to a few units of the numbers themselves on every schedule; x_0 and eps here are below 5.
    """
    level = levels(schedule)
    x0, eps, x_t = states(level)
    c0, c1 = (broadcast(c, x_t) for c in parameterization.direction(level))
    seen = parameterization.predict(c0 * x0 + c1 * eps, x_t, level)
    on_x0, on_eps = (broadcast(gain, x_t) for gain in parameterization.gains(level))
    size = (c0 * x0).abs() + (c1 * eps).abs()
    det = (broadcast(level.alpha, x_t) * c1 - broadcast(level.sigma_t, x_t) * c0).abs()
    inputs = (broadcast(level.alpha, x_t) * x0).abs() + (broadcast(level.sigma_t, x_t) * eps).abs()
    assert bool(((seen.x0 - x0).abs() <= 8 * UNIT * (on_x0 * size + c1.abs() / det * inputs)).all())
    assert bool(((seen.eps - eps).abs() <= 8 * UNIT * (on_eps * size + c0.abs() / det * inputs)).all())
    if parameterization is V:
        assert float((seen.x0 - x0).abs().max()) < 8 * UNIT * 10
        assert float((seen.eps - eps).abs().max()) < 8 * UNIT * 10


@every_schedule
def test_against_formulas_written_out(schedule: Schedule) -> None:
    """With r = sqrt(a^2 + b^2) and W = a b' - a' b."""
    level = levels(schedule)
    x_t = states(level)[2]
    a, b = broadcast(level.alpha, x_t), broadcast(level.sigma_t, x_t)
    r = torch.sqrt(a**2 + b**2)
    p = torch.sin(torch.arange(16, dtype=torch.float64)).expand_as(x_t)  # any output: the formulas are identities in it

    def check(parameterization: Parameterization, on_x0: Tensor, on_eps: Tensor) -> None:
        # the written-out forms cancel where ours don't: 1e-10 of the larger of their terms
        seen = parameterization.predict(p, x_t, level)
        scale = x_t.abs() / torch.minimum(a, b) + p.abs() * (1 + a / b + b / a + b**2 / a)
        assert bool(((seen.x0 - on_x0).abs() <= 1e-10 * scale).all()), parameterization.name
        assert bool(((seen.eps - on_eps).abs() <= 1e-10 * scale).all()), parameterization.name

    check(EPS, (x_t - b * p) / a, p)
    check(X0, p, (x_t - a * p) / b)
    check(SCORE, (x_t + b**2 * p) / a, -b * p)
    check(V, (a * x_t - b * r * p) / r**2, (b * x_t + a * r * p) / r**2)
    if level.d_alpha is not None and level.d_sigma_t is not None:
        da, db = broadcast(level.d_alpha, x_t), broadcast(level.d_sigma_t, x_t)
        w = a * db - da * b
        check(FLOW, (db * x_t - b * p) / w, (a * p - da * x_t) / w)
    for sd in (0.5, 1.7):
        x, s = x_t / a, b / a
        d = sd**2 / (s**2 + sd**2) * x + s * sd / torch.sqrt(s**2 + sd**2) * p
        check(edm(sd), d, (x - d) / s)


def test_rectified_flow_as_everybody_writes_it() -> None:
    level = RectifiedFlow()(torch.linspace(0.001, 0.999, len(SIGMAS), dtype=torch.float64))
    x0, eps, x_t = states(level)
    t = level.time[:, None]
    seen = FLOW.predict(eps - x0, x_t, level)
    torch.testing.assert_close(seen.x0, x_t - t * (eps - x0), rtol=0, atol=1e-14)
    torch.testing.assert_close(seen.x0, x0, rtol=0, atol=1e-14)
    torch.testing.assert_close(seen.eps, x_t + (1 - t) * (eps - x0), rtol=0, atol=1e-14)


def test_edm_is_minus_v_in_units_of_sigma_data() -> None:
    """F(x, s) = -v(x / sd, s / sd)."""
    sd, level = 0.5, EDM(1e-4, 1e4).at(SIGMAS)
    x0, _, x = states(level)
    scaled = EDM(1e-5, 1e5).at(SIGMAS / sd)
    minus_v = -V.from_x0(x0 / sd, x / sd, scaled)
    torch.testing.assert_close(edm(sd).from_x0(x0, x, level), minus_v, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("prediction", "ours"), [("epsilon", EPS), ("sample", X0), ("v_prediction", V)])
def test_diffusers_ddim_sees_the_same_x0(prediction: str, ours: Parameterization) -> None:
    """Their tables are float32; in float64 both sides do the same sums."""
    peer = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=False)
    peer.alphas_cumprod = peer.alphas_cumprod.double()
    peer.set_timesteps(1000)
    table = Table.from_alphas_cumprod(peer.alphas_cumprod)
    generator = torch.Generator().manual_seed(0)
    x_t, output = torch.randn(2, 5, 3, 4, 4, generator=generator, dtype=torch.float64)
    for t in (0, 1, 500, 999):
        theirs = peer.step(output, t, x_t).pred_original_sample
        got = ours.to_x0(output, x_t, table(float(t)))
        torch.testing.assert_close(got, theirs, rtol=1e-10, atol=1e-10)


def test_diffusers_velocity_is_v() -> None:
    peer = diffusers.DDPMScheduler()
    peer.alphas_cumprod = peer.alphas_cumprod.double()
    level = Table.from_alphas_cumprod(peer.alphas_cumprod)(torch.tensor([0.0, 250.0, 999.0]))
    x0, eps = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = level.time.long()
    x_t = peer.add_noise(x0, eps, times)
    # eps = (x_t - a x0)/b: division by b = 0.01 at t = 0
    torch.testing.assert_close(V.from_x0(x0, x_t, level), peer.get_velocity(x0, eps, times), rtol=0, atol=1e-12)


@every_case
def test_gains_are_what_an_error_in_the_output_becomes(parameterization: Parameterization, schedule: Schedule) -> None:
    level = levels(schedule)
    _, _, x_t = states(level)
    quiet, unit = torch.zeros_like(x_t), torch.ones_like(x_t)
    before = parameterization.predict(quiet, torch.zeros_like(x_t), level)
    after = parameterization.predict(unit, torch.zeros_like(x_t), level)
    on_x0, on_eps = parameterization.gains(level)
    torch.testing.assert_close((after.x0 - before.x0).abs()[:, 0], on_x0, rtol=1e-14, atol=0)
    torch.testing.assert_close((after.eps - before.eps).abs()[:, 0], on_eps, rtol=1e-14, atol=0)


def test_gains_as_the_literature_has_them() -> None:
    """eps (s, 1), x0 (1, 1/s), v (b, a) on a variance-preserving path, flow (t, 1 - t)."""
    vp = levels(SCHEDULES[2])
    one = torch.ones_like(vp.sigma)
    flow = RectifiedFlow().at(SIGMAS)
    for parameterization, level, expected in (
        (EPS, vp, (vp.sigma, one)),
        (X0, vp, (one, 1 / vp.sigma)),
        (V, vp, (vp.sigma_t, vp.alpha)),
        (FLOW, flow, (flow.time, 1 - flow.time)),
    ):
        for got, gain in zip(parameterization.gains(level), expected, strict=True):
            torch.testing.assert_close(got, gain, rtol=1e-12, atol=0)


def test_pure_noise() -> None:
    """At alpha = 0 x_t is the noise; x0, v, flow and F still say what the data is, eps and the score cannot."""
    level = RectifiedFlow()(1.0)
    x0, eps = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for parameterization, output in ((X0, x0), (V, -x0), (FLOW, eps - x0), (edm(0.5), x0 / 0.5)):
        seen = parameterization.predict(output, eps, level)
        # flow subtracts and adds the noise again
        torch.testing.assert_close(seen.x0, x0, rtol=0, atol=1e-14 if parameterization is FLOW else 0)
        torch.testing.assert_close(parameterization.from_x0(x0, eps, level), output, rtol=0, atol=1e-14)
        torch.testing.assert_close(seen.eps, eps, rtol=0, atol=0)
    for parameterization in (EPS, SCORE):
        with pytest.raises(ModelError, match=rf"a {parameterization.name} network does not determine x0 at alpha = 0"):
            parameterization.predict(x0, eps, level)


def test_pure_data() -> None:
    """At sigma = 0 the noise is undetermined by x0 or the score; v and the flow still give both."""
    level = RectifiedFlow()(0.0)
    x0, eps = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for parameterization, output in ((V, eps), (FLOW, eps - x0), (EPS, eps)):
        seen = parameterization.predict(output, x0, level)
        torch.testing.assert_close(seen.x0, x0, rtol=0, atol=0)
        torch.testing.assert_close(seen.eps, eps, rtol=0, atol=1e-14)
        with pytest.raises(ModelError, match="sigma_t > 0"):
            parameterization.from_x0(x0, x0, level)
    for parameterization in (X0, SCORE):
        with pytest.raises(ModelError, match="does not determine"):
            parameterization.predict(x0, x0, level)


def test_a_table_has_no_velocity() -> None:
    level = SCHEDULES[-1](5.0)
    for use in (FLOW.predict, FLOW.from_x0):
        with pytest.raises(ConfigError, match="derivatives"):
            use(torch.zeros(1, 2), torch.zeros(1, 2), level)


def test_names_and_numbers_are_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean 'eps'"):
        PARAMETERIZATIONS["epss"]
    for sigma_data in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigError, match="sigma_data"):
            edm(sigma_data)


def test_output_keeps_the_states_dtype() -> None:
    x = torch.zeros(2, 3)
    seen = V.predict(x, x, VP()(torch.tensor([0.1, 0.9])))
    assert seen.x0.dtype == seen.eps.dtype == torch.float32
