"""Solvers: on a Gaussian every one is a product of scalars per mode, so nothing here is approximate but their order."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import DDIM, GRIDS, SOLVERS, Solver, State, StepNoise, sample, solver
from sigmascope.evals.schedules import EDM, VP, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import Gaussian, Mixture, as_denoiser
from torch import Tensor

MEAN = torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64)
VARIANCES = torch.tensor([1.0, 0.25, 0.01, 4.0], dtype=torch.float64)
GAUSSIAN = Gaussian(MEAN, VARIANCES)
MIXTURE = Mixture(torch.tensor([0.8, -0.5, 0.3, 0.1], dtype=torch.float64), 0.3)
IDS = torch.arange(6)
NOISE = Noise(42)
BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
PATHS: list[tuple[Schedule, str]] = [
    (EDM(), "F"),
    (VP(), "eps"),
    (RectifiedFlow(), "flow"),
    (Table.from_betas(BETAS), "v"),
]
every_path = pytest.mark.parametrize(("schedule", "predicts"), PATHS, ids=lambda value: str(value)[:12])
every_solver = pytest.mark.parametrize("name", list(SOLVERS))


def drive(method: Solver, x: Tensor, sigmas: Tensor, schedule: Schedule = EDM()) -> Tensor:  # noqa: B008
    """Steps along sigmas, from x at the first to the last, which need not be 0."""
    denoiser, state = as_denoiser(GAUSSIAN, schedule), State(x)
    for index, (sigma, following) in enumerate(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True)):
        noise = StepNoise(NOISE, IDS, index, (4,), torch.float64)
        state = method.step(denoiser, state, sigma, following, {}, noise)
    return method.finish(state)


def start(sigma: float) -> Tensor:
    return MEAN + math.hypot(1.0, sigma) * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)


def between(index: int, sigmas: list[float]) -> Tensor:
    """The Brownian path's standard normals of one step; none is drawn in a step to 0."""
    noise = StepNoise(NOISE, IDS, index, (4,), torch.float64)
    return noise.between(*sigmas[index : index + 2]) if sigmas[index + 1] > 0 else torch.zeros(6, 4)


# --- one method under three names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_euler_is_ddim_is_rectified_flow_euler(oracle: Gaussian | Mixture) -> None:
    """On one grid of sigmas. The flow's Euler is written here in its own state and time: x_t += (t' - t) u."""
    denoiser = as_denoiser(oracle, RectifiedFlow(), "flow")
    setting = {"steps": 17, "grid": GRIDS["karras"], "dtype": torch.float64}
    euler = sample(denoiser, solver("euler"), IDS, NOISE, **setting)
    ddim = sample(denoiser, solver("ddim"), IDS, NOISE, **setting)

    times = euler.sigmas / (1 + euler.sigmas)
    x = times[0] * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    for t, following in pairwise(times):
        x0 = oracle.denoise(x / (1 - t), t / (1 - t))
        x = x + (following - t) * (x - x0) / t
    # sigma up to 1000 at first: rounding of 1000 * 2^-53 per step
    torch.testing.assert_close(euler.images, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(ddim.images, x, rtol=0, atol=1e-10)
    heun = sample(denoiser, solver("heun"), IDS, NOISE, **setting)
    assert float((heun.images - x).abs().max()) > 1e-3


# --- order and end point ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "order"), [("euler", 1.0), ("ddim", 1.0), ("heun", 2.0), ("dpmpp_2m", 2.0)])
def test_order(name: str, order: float) -> None:
    """Slope of log error against log steps, from 80 to 0.02, against the flow's closed form at 0.02.

    Steps enough for the next power to be a tenth: the leading term's exponent shows to 0.1.
    """
    counts = np.array([100, 200, 400])
    exact = GAUSSIAN.flow(start(80.0), 80.0, 0.02)
    errors = []
    for steps in counts:
        sigmas = torch.logspace(math.log10(80.0), math.log10(0.02), int(steps) + 1, dtype=torch.float64)
        errors.append(float((drive(solver(name), start(80.0), sigmas) - exact).square().mean().sqrt()))
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-order, abs=0.1)


@every_path
def test_the_end_point_is_the_flows(schedule: Schedule, predicts: str) -> None:
    """Second order: doubling the steps quarters the error, so what is left is a third of the change; allow all of it.

    The last step, from sigma_min to 0, is the posterior mean, a factor l/(l + s^2) known exactly.
    """
    denoiser = as_denoiser(GAUSSIAN, schedule, predicts)
    coarse, fine = (
        sample(denoiser, solver("heun"), IDS, NOISE, steps=steps, grid=GRIDS["log_snr"], dtype=torch.float64)
        for steps in (100, 200)
    )
    high, low = float(fine.sigmas[0]), float(fine.sigmas[-2])
    at_low = GAUSSIAN.flow(high * NOISE.normal(IDS, "initial", 0, (4,), torch.float64), high, low)
    exact = GAUSSIAN.denoise(at_low, torch.tensor(low, dtype=torch.float64))
    change = (fine.images - coarse.images).abs()
    assert bool(((fine.images - exact).abs() <= change + 1e-9).all())
    assert float(change.max()) < 5e-2


# --- exact scalar recursions ------------------------------------------------------------------------------------------


def gain(sigma: float) -> Tensor:
    """D - mean = gain (x - mean)."""
    return VARIANCES / (VARIANCES + sigma**2)


def slope(sigma: float) -> Tensor:
    """d(x - mean)/d sigma = slope (x - mean)."""
    return sigma / (VARIANCES + sigma**2)


def euler_factor(sigmas: list[float]) -> Tensor:
    factor = torch.ones_like(VARIANCES)
    for s, t in pairwise(sigmas):
        factor = factor * (1 + (t - s) * slope(s))
    return factor


def heun_factor(sigmas: list[float]) -> Tensor:
    factor = torch.ones_like(VARIANCES)
    for s, t in pairwise(sigmas):
        euler = 1 + (t - s) * slope(s)
        factor = factor * (euler if t == 0 else 1 + (t - s) * (slope(s) + slope(t) * euler) / 2)
    return factor


def dpmpp_2m_factor(sigmas: list[float]) -> Tensor:
    """Lu et al. 2022, algorithm 2, in lambda = -log sigma: x' = (s'/s) x - (e^-h - 1) D, D = (1 + 1/2r) d - 1/2r d_."""
    state, estimates, widths = torch.ones_like(VARIANCES), [], []
    for s, t in pairwise(sigmas):
        estimates.append(gain(s) * state)
        if t == 0:
            return estimates[-1]
        widths.append(math.log(s) - math.log(t))
        mixed = estimates[-1]
        if len(estimates) > 1:
            r = widths[-2] / widths[-1]
            mixed = (1 + 1 / (2 * r)) * estimates[-1] - 1 / (2 * r) * estimates[-2]
        state = t / s * state - math.expm1(-widths[-1]) * mixed
    return state


FACTORS: dict[str, Callable[[list[float]], Tensor]] = {
    "euler": euler_factor,
    "ddim": euler_factor,
    "heun": heun_factor,
    "dpmpp_2m": dpmpp_2m_factor,
}


@every_path
@pytest.mark.parametrize("grid", ["karras", "log_snr"])
@pytest.mark.parametrize("name", list(FACTORS))
def test_deterministic_solvers_are_their_product_of_scalars(
    name: str, grid: str, schedule: Schedule, predicts: str
) -> None:
    """Sample by sample, hence in mean and variance: x - mean = factor (sigma_0 z - mean)."""
    denoiser = as_denoiser(GAUSSIAN, schedule, predicts)
    got = sample(denoiser, solver(name), IDS, NOISE, steps=11, grid=GRIDS[grid], dtype=torch.float64)
    begin = float(got.sigmas[0]) * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    expected = MEAN + FACTORS[name](got.sigmas.tolist()) * (begin - MEAN)
    # 11 steps on numbers up to sigma = 1000: 1e-8 leaves five digits of slack over rounding
    torch.testing.assert_close(got.images, expected, rtol=0, atol=1e-8)
    assert got.evaluations == solver(name).evaluations(got.sigmas)
    assert got.evaluations == (21 if name == "heun" else 11)


def ancestral(sigmas: list[float], eta: float) -> list[tuple[Tensor, float]]:
    """(factor on x - mean, standard deviation added) of each step."""
    steps = []
    for s, t in pairwise(sigmas):
        added = eta * math.sqrt(t**2 * (s**2 - t**2) / s**2)
        steps.append((gain(s) + math.sqrt(t**2 - added**2) * slope(s), added))
    return steps


@every_path
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ancestral_sampling_is_its_recursion_draw_by_draw(eta: float, schedule: Schedule, predicts: str) -> None:
    """x' - mean = f (x - mean) + q z with the very z of the sample's Brownian path."""
    denoiser = as_denoiser(GAUSSIAN, schedule, predicts)
    got = sample(denoiser, DDIM(eta), IDS, NOISE, steps=9, grid=GRIDS["karras"], dtype=torch.float64)
    x = float(got.sigmas[0]) * NOISE.normal(IDS, "initial", 0, (4,), torch.float64) - MEAN
    sigmas = got.sigmas.tolist()
    for index, (factor, added) in enumerate(ancestral(sigmas, eta)):
        x = factor * x + added * between(index, sigmas)
    torch.testing.assert_close(got.images, MEAN + x, rtol=0, atol=1e-8)


def test_ancestral_variance_is_the_recursion() -> None:
    """var' = f^2 var + q^2, against 4096 samples: the variance of n normals has a relative error of sqrt(2/n).

    4 modes at 4.5 errors: 3e-5. The mean's is sd/sqrt(n).
    """
    n = 4096
    denoiser = as_denoiser(GAUSSIAN, VP(), "v", micro_batch=1024)
    got = sample(denoiser, solver("ddpm"), torch.arange(n), NOISE, steps=12, batch_size=1024, dtype=torch.float64)
    variance, mean = torch.full((4,), float(got.sigmas[0]) ** 2, dtype=torch.float64), -MEAN
    for factor, added in ancestral(got.sigmas.tolist(), 1.0):
        variance, mean = factor**2 * variance + added**2, factor * mean
    images = got.images
    assert bool(((images.var(0) / variance - 1).abs() < 4.5 * math.sqrt(2 / n)).all())
    assert bool(((images.mean(0) - MEAN - mean).abs() < 4.5 * torch.sqrt(variance / n)).all())


def test_eta_1_is_ddpms_posterior() -> None:
    """q^2 abar' = (1 - abar')/(1 - abar) beta, and the mean's weights, for neighbours in DDPM's table (eq. 7)."""
    table = Table.from_betas(BETAS)
    abar = torch.cumprod(1 - BETAS, 0)
    x_t, x0 = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in (1, 10, 500, 999):
        posterior_mean = (
            abar[t - 1].sqrt() * BETAS[t] / (1 - abar[t]) * x0
            + (1 - BETAS[t]).sqrt() * (1 - abar[t - 1]) / (1 - abar[t]) * x_t
        )
        deviation = torch.sqrt((1 - abar[t - 1]) / (1 - abar[t]) * BETAS[t])
        believer = wrap(
            lambda x, time: x0, table, "x0", (4,), call=lambda x, time, cond: x0, dtype=torch.float64, batch=6
        )
        noise = StepNoise(NOISE, IDS, t, (4,), torch.float64)
        sigma, following = (float(table(float(index)).sigma) for index in (t, t - 1))
        stepped = solver("ddpm").step(believer, State(x_t / abar[t].sqrt()), sigma, following, {}, noise).x
        expected = posterior_mean + deviation * noise.between(sigma, following)
        torch.testing.assert_close(stepped * abar[t - 1].sqrt(), expected, rtol=1e-9, atol=1e-9)


# --- the start at pure noise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FACTORS, "ddpm"])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_starting_at_alpha_0(name: str, steps: int) -> None:
    """The first step goes from z to mean + sigma_1 z exactly; from there on it is any other run."""
    denoiser = as_denoiser(GAUSSIAN, RectifiedFlow(), "flow")
    got = sample(denoiser, solver(name), IDS, NOISE, steps=steps, grid=GRIDS["linear"], dtype=torch.float64)
    assert math.isinf(float(got.sigmas[0]))
    z = NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    sigmas = got.sigmas.tolist()[1:]
    if solver(name).stochastic:
        x = sigmas[0] * z
        for index, (factor, added) in enumerate(ancestral(sigmas, 1.0)):
            x = factor * x + added * between(index, sigmas)
    else:
        x = sigmas[0] * z * (FACTORS[name](sigmas) if steps > 1 else 1)
    # the oracle divides by alpha clamped at 1e-12: its mean is right to 1e-11
    torch.testing.assert_close(got.images, MEAN + x, rtol=0, atol=1e-10)
    assert got.evaluations == solver(name).evaluations(got.sigmas)


def test_zero_terminal_snr_table_starts_at_its_end() -> None:
    betas = diffusers.schedulers.scheduling_ddim.rescale_zero_terminal_snr(BETAS)
    denoiser = as_denoiser(GAUSSIAN, Table.from_betas(betas), "v")
    got = sample(denoiser, solver("euler"), IDS, NOISE, steps=10, grid=GRIDS["trailing"], dtype=torch.float64)
    sigmas = got.sigmas.tolist()[1:]
    z = NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    torch.testing.assert_close(got.images, MEAN + sigmas[0] * z * euler_factor(sigmas), rtol=0, atol=1e-10)


def test_an_eps_network_cannot_start_at_alpha_0() -> None:
    denoiser = wrap(lambda x, t: x, RectifiedFlow(), "eps", (4,))
    with pytest.raises(ModelError, match="eps network does not determine x0 at alpha = 0"):
        sample(denoiser, solver("euler"), IDS, NOISE, steps=4, grid=GRIDS["linear"])


# --- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "rk45"])
def test_samples_do_not_depend_on_batches_or_order(name: str, tiny_unet: Callable[..., diffusers.UNet2DModel]) -> None:
    """Bit-identical on a network of convolutions, attention and group norms, ancestral noise included."""
    unet = tiny_unet()
    denoiser = wrap(
        unet, Table.from_betas(BETAS), "eps", (1, 8, 8), micro_batch=7,
        call=lambda x, t, cond: unet(x, t, return_dict=False)[0],
    )  # fmt: skip
    ids = torch.arange(20, 84)  # ten calls and a padded one
    whole = sample(denoiser, solver(name), ids, NOISE, steps=2, batch_size=64)
    assert whole.images.std() > 0.1
    for size in (1, 7):
        few = 5 if size == 1 else 64
        parts = sample(denoiser, solver(name), ids[:few], NOISE, steps=2, batch_size=size)
        assert torch.equal(parts.images, whole.images[:few]), size
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    permuted = sample(denoiser, solver(name), ids[order], NOISE, steps=2, batch_size=64)
    assert torch.equal(permuted.images, whole.images[order])
    assert torch.equal(permuted.sample_ids, ids[order])


def test_only_stochastic_solvers_draw_step_noise() -> None:
    denoiser = as_denoiser(GAUSSIAN)

    class Counted(Noise):
        purposes: list[str] = []  # noqa: RUF012

        def normal(self, sample_ids: Tensor, purpose: str, *rest: object) -> Tensor:
            self.purposes.append(purpose)
            return super().normal(sample_ids, purpose, *rest)

    for name in SOLVERS:
        Counted.purposes.clear()
        sample(denoiser, solver(name), IDS, Counted(1), steps=4)
        assert Counted.purposes.pop(0) == "initial"
        assert bool(Counted.purposes) == solver(name).stochastic, name


def test_labels_go_with_their_samples_and_progress_is_told() -> None:
    told: list[int] = []
    seen: list[tuple[list[int], int, float]] = []
    denoiser = wrap(
        lambda x, t, class_labels: class_labels[:, None].expand_as(x).to(x), EDM(), "x0", (2,), micro_batch=4, classes=9
    )
    labels = torch.tensor([3, 1, 4, 1, 5])
    got = sample(
        denoiser,
        solver("heun"),
        torch.arange(5),
        NOISE,
        steps=3,
        cond={"class_labels": labels},
        batch_size=2,
        progress=told.append,
        observe=lambda ids, step, sigma, state: seen.append((ids.tolist(), step, sigma)),
    )
    assert torch.equal(got.images, labels[:, None].expand(5, 2).float())
    assert sum(told) == 5 * got.evaluations == denoiser.evaluations == 25
    assert seen[:3] == [([0, 1], step, sigma) for step, sigma in enumerate(got.sigmas.tolist()[1:])]
    assert [ids for ids, step, _ in seen if step == 0] == [[0, 1], [2, 3], [4]]


def test_divergence_is_an_error() -> None:
    denoiser = wrap(lambda x, t: 1e30 * x, EDM(), "x0", (2,))
    with pytest.raises(ModelError, match=r"NaN or infinity"):
        sample(denoiser, solver("euler"), IDS, NOISE, steps=8)


def test_impossible_runs_are_refused() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    with pytest.raises(ConfigError, match="did you mean 'euler'"):
        solver("eulr")
    with pytest.raises(ConfigError, match=r"eta: expected within \[0, 1\], got 1\.5"):
        DDIM(1.5)
    with pytest.raises(ConfigError, match="expected a grid of noise levels, got none"):
        sample(denoiser, solver("euler"), IDS, NOISE, steps=4, grid=None)
    with pytest.raises(ConfigError, match="at least 1"):
        sample(denoiser, solver("euler"), IDS, NOISE, steps=0)
    with pytest.raises(ConfigError, match="sample_ids: expected at least one"):
        sample(denoiser, solver("euler"), IDS[:0], NOISE, steps=4)
