"""Every solver on a Gaussian: a product of scalars per mode, written here a second time, draw by draw.

On O1 a denoiser is linear, so a sample is a fixed combination of its draws: x - mean = f x_0 + sum q_i z_i. Agreement
of each sample to 1e-8 is agreement of mean and covariance. The recursions integrate interpolating polynomials
numerically where the solvers have closed coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, SOLVERS, State, StepNoise, sample, solver
from sigmascope.evals.samplers.brownian import octaves
from sigmascope.evals.schedules import EDM, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import Gaussian, Mixture, as_denoiser
from torch import Tensor

MEAN = torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64)
VARIANCES = torch.tensor([1.0, 0.25, 0.01, 4.0], dtype=torch.float64)
GAUSSIAN = Gaussian(MEAN, VARIANCES)
IDS, NOISE = torch.arange(6), Noise(42)
PATHS: list[tuple[Schedule, str, str]] = [
    (EDM(), "F", "karras"),
    (RectifiedFlow(), "flow", "linear"),
    (Table.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)), "eps", "log_snr"),
]
every_path = pytest.mark.parametrize(("schedule", "predicts", "grid"), PATHS, ids=["edm", "flow", "table"])


def d(x: Tensor, s: float) -> Tensor:
    """The denoiser on x - mean."""
    return VARIANCES / (VARIANCES + s**2) * x


def eps(x: Tensor, s: float) -> Tensor:
    return s / (VARIANCES + s**2) * x


@dataclass
class Run:
    """One sampling, as a recursion sees it: levels, and the draws of these samples."""

    sigmas: list[float]
    highest: float = math.inf
    lowest: float = 0.0

    def z(self, s: float, t: float) -> Tensor:
        return StepNoise(NOISE, IDS, 0, (4,), torch.float64).between(s, t)

    def at(self, step: int, draw: int) -> Tensor:
        return StepNoise(NOISE, IDS, step, (4,), torch.float64).normal(draw)

    @property
    def steps(self) -> list[tuple[int, float, float]]:
        """(index, sigma, sigma') after the first step from pure noise, where there is one."""
        pairs = [(i, s, t) for i, (s, t) in enumerate(pairwise(self.sigmas))]
        return [step for step in pairs if math.isfinite(step[1])]


def quadrature(function: Callable[[float], float]) -> float:
    """Over [0, 1]: 24 Gauss nodes, exact to rounding for polynomials of degree 47 and for exp over a few e-folds."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    return float(sum(w * function((n + 1) / 2) for n, w in zip(nodes, weights, strict=True)) / 2)


def lagrange(nodes: Sequence[float], index: int, at: float) -> float:
    return math.prod((at - n) / (nodes[index] - n) for i, n in enumerate(nodes) if i != index)


def ode(x: Tensor, run: Run) -> Tensor:
    for _, s, t in run.steps:
        x = x + (t - s) * eps(x, s)
    return x


def heun(x: Tensor, run: Run) -> Tensor:
    for _, s, t in run.steps:
        x = heun_step(x, s, t)
    return x


def heun_step(x: Tensor, s: float, t: float) -> Tensor:
    moved = x + (t - s) * eps(x, s)
    return moved if t == 0 else x + (t - s) * (eps(x, s) + eps(moved, t)) / 2


def ancestral(eta: float) -> Callable[[Tensor, Run], Tensor]:
    def recursion(x: Tensor, run: Run) -> Tensor:
        for _, s, t in run.steps:
            x = ancestral_step(x, s, t, eta, run)
        return x

    return recursion


def ancestral_step(x: Tensor, s: float, t: float, eta: float, run: Run) -> Tensor:
    """k-diffusion's sigma_down and sigma_up."""
    up = eta * math.sqrt(t**2 * (s**2 - t**2) / s**2)
    x = x + (math.sqrt(t**2 - up**2) - s) * eps(x, s)
    return x + up * run.z(s, t) if up else x


def adams(order: int) -> Callable[[Tensor, Run], Tensor]:
    def recursion(x: Tensor, run: Run) -> Tensor:
        levels: list[float] = []
        slopes: list[Tensor] = []
        for _, s, t in run.steps:
            levels, slopes = [*levels, s][-order:], [*slopes, eps(x, s)][-order:]
            weights = [
                quadrature(partial(lagrange, [(n - s) / (t - s) for n in levels], j)) for j in range(len(levels))
            ]
            for weight, slope in zip(weights, slopes, strict=True):
                x = x + (t - s) * weight * slope
        return x

    return recursion


def multistep(order: int, eta: float = 0.0, corrected: bool = False) -> Callable[[Tensor, Run], Tensor]:
    """Newton's form of D over log-SNR, integrated numerically; the published third order has half of its last term."""

    def recursion(x: Tensor, run: Run) -> Tensor:
        seen: list[tuple[float, Tensor]] = []
        for _, s, t in run.steps:
            seen = [(-math.log(s), d(x, s)), *seen][:order]
            if t == 0:
                return seen[0][1]
            h = math.log(s / t)
            g = (1 + eta) * h
            at = [(lam + math.log(s)) / h for lam, _ in seen]
            moved = math.exp(-g) * x + (1 - math.exp(-g)) * seen[0][1]
            power = [quadrature(lambda u, g=g, k=k: g * math.exp(-(1 - u) * g) * u**k) for k in (0, 1, 2)]
            if len(seen) > 1:
                first = (seen[0][1] - seen[1][1]) / -at[1]
                moved = moved + (0.5 * (1 - math.exp(-g)) if order == 2 else power[1]) * first
            if len(seen) > 2:
                second = (first - (seen[1][1] - seen[2][1]) / (at[1] - at[2])) / -at[2]
                moved = moved + (-at[1] * power[1] + (1 if corrected else 0.5) * power[2]) * second
            if eta:
                moved = moved + t * math.sqrt(1 - math.exp(-2 * eta * h)) * run.z(s, t)
            x = moved
        return x

    return recursion


def single_step_sde(x: Tensor, run: Run) -> Tensor:
    def part(x: Tensor, x0: Tensor, s: float, t: float) -> Tensor:
        up = t * math.sqrt(1 - t**2 / s**2)
        down = math.sqrt(t**2 - up**2)
        return down / s * x + (1 - down / s) * x0 + up * run.z(s, t)

    for _, s, t in run.steps:
        if t == 0:
            return d(x, s)
        middle = math.exp((math.log(s) + math.log(t)) / 2)
        x = part(x, d(part(x, d(x, s), s, middle), middle), s, t)
    return x


def unipc(order: int) -> Callable[[Tensor, Run], Tensor]:
    """Predictor and corrector integrate D's interpolating polynomial exactly; one node alone has the paper's 1/2."""

    def moved(x: Tensor, seen: list[tuple[float, Tensor]], s: float, t: float) -> Tensor:
        h = math.log(s / t)
        at = [(lam + math.log(s)) / h for lam, _ in seen]
        found = math.exp(-h) * x
        if len(seen) == 2:
            slope = (seen[1][1] - seen[0][1]) / at[1]
            return found + (1 - math.exp(-h)) * (seen[0][1] + slope / 2)
        for j, (_, x0) in enumerate(seen):
            weight = quadrature(lambda u, j=j: h * math.exp(-(1 - u) * h) * lagrange(at, j, u))
            found = found + weight * x0
        return found

    def recursion(x: Tensor, run: Run) -> Tensor:
        past: list[tuple[float, Tensor]] = []
        begin, before = x, 0.0
        for _, s, t in run.steps:
            here = (-math.log(s), d(x, s))
            if t == 0:
                return here[1]
            corrected = moved(begin, [*past, here], before, s) if past else x
            past, begin, before = [here, *past][:order], corrected, s
            x = moved(begin, past, s, t)
        return x

    return recursion


def langevin_moves(x: Tensor, s: float, a: float, repeats: int, step: int, run: Run) -> Tensor:
    for draw in range(repeats):
        x = (1 - a / 2 * s**2 / (VARIANCES + s**2)) * x + math.sqrt(a) * s * run.at(step, draw)
    return x


def annealed(x: Tensor, run: Run) -> Tensor:
    for index, s, t in run.steps:
        x = langevin_moves(x, s, 0.2, 5, index, run)
        x = d(x, s) if t == 0 else x
    return x


def predictor_corrector(x: Tensor, run: Run) -> Tensor:
    for index, s, t in run.steps:
        x = ancestral_step(x, s, t, 1.0, run)
        x = langevin_moves(x, t, 2 * 0.16**2, 1, index, run) if t else x
    return x


def churn(x: Tensor, run: Run) -> Tensor:
    """var <- f^2 (var + (1.003)^2 (s^^2 - s^2)) step by step, with the very draws."""
    for _, s, t in run.steps:
        high = s * (1 + min(40 / (len(run.sigmas) - 1), math.sqrt(2) - 1)) if 0.05 <= s <= 50 else s
        if s < high <= run.highest:
            x = x + 1.003 * math.sqrt(high**2 - s**2) * run.z(s, t or s / 2)
        x = heun_step(x, min(high, run.highest) if high <= run.highest else s, t)
    return x


def flow_midpoint(x: Tensor, run: Run) -> Tensor:
    for _, s, t in run.steps:
        a, b = s / (1 + s), t / (1 + t)
        m = (a + b) / 2
        if t == 0 and m / (1 - m) < run.lowest:
            return x - s * eps(x, s)
        x_t = (1 - a) * x
        half = x_t + (m - a) * (eps(x, s) - d(x, s))
        x = (x_t + (b - a) * (eps(half / (1 - m), m / (1 - m)) - d(half / (1 - m), m / (1 - m)))) / (1 - b)
    return x


RECURSIONS: dict[str, Callable[[Tensor, Run], Tensor]] = {
    "euler": ode,
    "flow_euler": ode,
    "ddim": ode,
    "ddim(eta=0.5)": ancestral(0.5),
    "ddpm": ancestral(1.0),
    "ancestral": ancestral(1.0),
    "heun": heun,
    "lms": adams(4),
    "lms(order=2)": adams(2),
    "dpmpp_2m": multistep(2),
    "dpmpp_3m": multistep(3),
    "dpmpp_3m(corrected=True)": multistep(3, corrected=True),
    "dpmpp_2m_sde": multistep(2, 1.0),
    "dpmpp_2m_sde(eta=0.5)": multistep(2, 0.5),
    "dpmpp_3m_sde": multistep(3, 1.0),
    "dpmpp_sde": single_step_sde,
    "unipc": unipc(2),
    "unipc(order=3)": unipc(3),
    "langevin": annealed,
    "predictor_corrector": predictor_corrector,
    "edm_churn": churn,
    "flow_midpoint": flow_midpoint,
}


def test_every_linear_solver_has_its_recursion() -> None:
    assert {name.partition("(")[0] for name in RECURSIONS} == set(SOLVERS) - {"rk45"}


def start(got_sigmas: Tensor, name: str) -> Tensor:
    """x - mean at the first finite level. From pure noise the oracle answers its mean, so DDIM goes to sigma' z."""
    z = NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    if math.isfinite(float(got_sigmas[0])):
        return float(got_sigmas[0]) * z - MEAN
    s = float(got_sigmas[1])
    if name != "flow_midpoint":
        return s * z
    time = s / (1 + s)
    middle = (1 + time) / 2 / (1 - (1 + time) / 2)
    at = middle * z
    return (z + (time - 1) * (eps(at, middle) - d(at, middle))) / (1 - time)


@every_path
@pytest.mark.parametrize("name", list(RECURSIONS))
def test_a_solver_is_its_recursion_draw_by_draw(name: str, schedule: Schedule, predicts: str, grid: str) -> None:
    denoiser = as_denoiser(GAUSSIAN, schedule, predicts)
    got = sample(denoiser, solver(name), IDS, NOISE, steps=9, grid=GRIDS[grid], dtype=torch.float64)
    run = Run(got.sigmas.tolist(), highest=schedule.sigma_max, lowest=schedule.sigma_min)
    expected = MEAN + RECURSIONS[name](start(got.sigmas, name), run)
    # 9 steps on numbers up to some 100: 1e-8 leaves four digits of slack over rounding
    torch.testing.assert_close(got.images, expected, rtol=0, atol=1e-8)
    planned = solver(name).evaluations(got.sigmas)
    short = name == "flow_midpoint" and schedule.sigma_min > 0
    assert got.evaluations == planned - int(short)


@dataclass
class Impulses(Run):
    """Draws replaced by unit vectors, one row each: a recursion run on them gives the coefficients of every draw.

    Row 0 is what is not random, row 1 the initial noise, then pieces of the Brownian path between all levels that any
    solver asks for, then Langevin's draws.
    """

    def __post_init__(self) -> None:
        levels = [s for s in self.sigmas if s > 0]
        between = [math.exp((math.log(s) + math.log(t)) / 2) for s, t in pairwise(levels)]
        self.cuts = sorted([*levels, *between, levels[-1] / 2], reverse=True)
        self.rows = 2 + len(self.cuts) - 1 + 5 * len(self.sigmas)

    def z(self, s: float, t: float) -> Tensor:
        found = torch.zeros(self.rows, 1, dtype=torch.float64)
        for piece, (high, low) in enumerate(pairwise(self.cuts)):
            if high <= s * (1 + 1e-12) and low >= t * (1 - 1e-12):
                found[2 + piece] = math.sqrt(octaves(high, low) / octaves(s, t))
        assert float(found.square().sum()) == pytest.approx(1.0)
        return found

    def at(self, step: int, draw: int) -> Tensor:
        found = torch.zeros(self.rows, 1, dtype=torch.float64)
        found[1 + len(self.cuts) + 5 * step + draw] = 1.0
        return found


@pytest.mark.parametrize("name", list(RECURSIONS))
def test_mean_and_variance_in_float32_are_exact_within_sampling_error(name: str) -> None:
    """4096 samples: sqrt(2/n) of error on a variance, sd/sqrt(n) on a mean; 4.5 of them on 8 looks: 5e-5.

    Float32 adds 9 steps at 2^-24 of numbers up to 80: 4e-5, a 25th of the error of a mean at sd = 0.1.
    """
    n = 4096
    denoiser = as_denoiser(GAUSSIAN, EDM(), "F", micro_batch=n, dtype=torch.float32)
    got = sample(denoiser, solver(name), torch.arange(n), NOISE, steps=9, batch_size=n)
    impulses = Impulses(got.sigmas.tolist(), highest=80.0, lowest=0.002)
    x = torch.zeros(impulses.rows, 4, dtype=torch.float64)
    x[0], x[1] = -MEAN, 80.0
    response = RECURSIONS[name](x, impulses)
    mean, variance = MEAN + response[0], response[1:].square().sum(0)
    assert bool(((got.images.double().var(0) / variance - 1).abs() < 4.5 * math.sqrt(2 / n)).all())
    assert bool(((got.images.double().mean(0) - mean).abs() < 4.5 * torch.sqrt(variance / n)).all())


# --- order ------------------------------------------------------------------------------------------------------------

ORDERS = [
    ("lms(order=1)", 1.0, 0.1),
    ("lms(order=2)", 2.0, 0.1),
    ("lms(order=3)", 3.0, 0.15),
    ("lms", 4.0, 0.4),  # the first step is Euler's, and its h^2 begins to show
    ("dpmpp_3m", 2.0, 0.1),  # as published: see dpm_solver.py
    ("unipc(order=1)", 2.0, 0.1),  # the corrector adds one
    ("unipc", 3.0, 0.1),
    ("unipc(order=3)", 4.0, 0.2),
]


def integrated(name: str, x: Tensor, sigmas: Tensor, oracle: Gaussian | Mixture = GAUSSIAN) -> Tensor:
    """From x at the first level to the last, which need not be 0."""
    method, denoiser, state = solver(name), as_denoiser(oracle), State(x)
    for index, (s, t) in enumerate(pairwise(sigmas.tolist())):
        state = method.step(denoiser, state, s, t, {}, StepNoise(NOISE, IDS, index, (4,), torch.float64))
    return state.x


def geometric(high: float, low: float, steps: int) -> Tensor:
    return torch.linspace(math.log(high), math.log(low), steps + 1, dtype=torch.float64).exp()


@pytest.mark.parametrize(("name", "order", "tolerance"), ORDERS)
def test_observed_order(name: str, order: float, tolerance: float) -> None:
    """Slope of log error against log steps from 80 to 0.02, against the flow's closed form; Euler's and Heun's, DDIM's
    and 2M's are in test_solvers."""
    counts = np.array([80, 160, 320])
    x = MEAN + math.hypot(1.0, 80.0) * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    exact = GAUSSIAN.flow(x, 80.0, 0.02)
    errors = [
        float((integrated(name, x, geometric(80.0, 0.02, int(n))) - exact).square().mean().sqrt()) for n in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-order, abs=tolerance)


@pytest.mark.parametrize(
    ("name", "order", "tolerance"), [("flow_midpoint", 2, 0.1), ("dpmpp_3m(corrected=True)", 3, 0.3)]
)
def test_observed_order_on_a_mixture(name: str, order: int, tolerance: float) -> None:
    """Against RK45 at 1e-11: on a Gaussian the midpoint method happens to be of order 3, and 3M's errors cancel."""
    oracle = Mixture(torch.tensor([0.8, -0.5, 0.3, 0.1], dtype=torch.float64), 0.3)
    x = 20.0 * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    exact = integrated("rk45(rtol=1e-11, atol=1e-11)", x, geometric(20.0, 0.05, 1), oracle)
    counts = np.array([50, 100, 200])
    errors = [
        float((integrated(name, x, geometric(20.0, 0.05, int(n)), oracle) - exact).square().mean().sqrt())
        for n in counts
    ]
    assert np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(-order, abs=tolerance)


# --- the adaptive reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_rk45_is_limited_by_its_tolerance(tolerance: float) -> None:
    """Some 50 steps of a local error at most atol + rtol |x|, |x| <= 80 sqrt(2) at first and contracted by
    sqrt(l)/sigma: a hundred tolerances bound what is left; and it tightens with the tolerance."""
    x = MEAN + math.hypot(1.0, 80.0) * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    exact = GAUSSIAN.flow(x, 80.0, 0.02)
    for stops in (1, 7):
        found = integrated(f"rk45(rtol={tolerance}, atol={tolerance})", x, geometric(80.0, 0.02, stops))
        assert float((found - exact).abs().max()) < 100 * tolerance, stops


def test_rk45_steps_every_sample_for_itself() -> None:
    denoiser = as_denoiser(GAUSSIAN, EDM(), "F", micro_batch=1)
    whole = sample(denoiser, solver("rk45"), IDS, NOISE, steps=3, dtype=torch.float64)
    for row in range(3):
        alone = sample(denoiser, solver("rk45"), IDS[row : row + 1], NOISE, steps=3, dtype=torch.float64)
        assert torch.equal(alone.images[0], whole.images[row])


def test_rk45_gives_up_on_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A denoiser that is no function of x: no step is small enough."""
    monkeypatch.setattr("sigmascope.evals.samplers.dormand_prince._MOST", 50)
    denoiser = as_denoiser(GAUSSIAN)
    generator = torch.Generator().manual_seed(0)
    denoiser.network = lambda x, t, cond: torch.randn(x.shape, generator=generator, dtype=x.dtype)
    with pytest.raises(ModelError, match="rk45 did not get from sigma 80"):
        sample(denoiser, solver("rk45"), IDS[:1], NOISE, steps=2)


# --- rectified flow ---------------------------------------------------------------------------------------------------


def test_straightness_of_the_flow() -> None:
    """Sum over modes of the integral of E(x1 - x0 - u)^2 along paths of the exact flow is sum sqrt(l) (2 - pi/2).

    (science.md, S5: O1 centred.) x_t = m(t) x_1, m = sqrt((1-t)^2 l + t^2), so u = m' x_1, and chord x_1 - x_0 =
    (1 - sqrt l) x_1; here u comes from the solver: flow_euler's step over its width.
    """
    centred = Gaussian(torch.zeros(4, dtype=torch.float64), VARIANCES)
    denoiser = as_denoiser(centred, RectifiedFlow(), "flow")
    nodes, weights = np.polynomial.legendre.leggauss(200)
    times, total = (nodes + 1) / 2, torch.zeros(4, dtype=torch.float64)
    unit, width = torch.ones(1, 4, dtype=torch.float64), 1e-6
    for t, weight in zip(times.tolist(), (weights / 2).tolist(), strict=True):
        s = t / (1 - t)
        x_t = torch.sqrt((1 - t) ** 2 * VARIANCES + t**2) * unit
        following = (t - t * width) / (1 - t + t * width)
        noise = StepNoise(NOISE, IDS[:1], 0, (4,), torch.float64)
        stepped = solver("flow_euler").step(denoiser, State(x_t / (1 - t)), s, following, {}, noise).x
        u = (x_t - stepped * (1 - t + t * width)) / (t * width)
        total += weight * (1 - VARIANCES.sqrt() - u[0]) ** 2
    # a difference over 1e-6 of numbers of size 1: 1e-9; 200 nodes of an integrand smooth on sqrt(l) = 0.1
    torch.testing.assert_close(total, VARIANCES.sqrt() * (2 - math.pi / 2), rtol=1e-6, atol=0)


# --- what solvers refuse ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lms(order=5)", r"order: expected within 1\.\.4, got 5"),
        ("unipc(order=0)", r"order: expected within 1\.\.3, got 0"),
        ("dpmpp_2m_sde(eta=-1)", "eta: expected at least 0, got -1"),
        ("dpmpp_sde(r=1.0)", r"r: expected within \(0, 1\), got 1.0"),
        ("dpmpp_sde(eta=2)", r"eta: expected within \[0, 1\], got 2"),
        ("edm_churn(s_churn=-1)", "s_churn and s_noise of at least 0"),
        ("edm_churn(s_tmin=3, s_tmax=2)", "s_tmin <= s_tmax"),
        ("langevin(step_size=4.5)", r"step_size: expected within \(0, 4\)"),
        ("langevin(repeats=0)", "repeats: expected at least 1, got 0"),
        ("predictor_corrector(snr=0.0)", r"2 snr\^2: expected within \(0, 4\)"),
        ("rk45(rtol=0.0)", "rtol and atol within"),
    ],
)
def test_impossible_settings_are_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        solver(name)


def test_churn_needs_to_know_the_number_of_steps() -> None:
    noise = StepNoise(NOISE, IDS, 0, (4,), torch.float64)
    with pytest.raises(ConfigError, match="expected a state from its `init`"):
        solver("edm_churn").step(as_denoiser(GAUSSIAN), State(torch.zeros(6, 4).double()), 1.0, 0.5, {}, noise)


def test_churn_without_churn_is_heun() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    setting = {"steps": 6, "dtype": torch.float64}
    heun_images = sample(denoiser, solver("heun"), IDS, NOISE, **setting).images
    assert torch.equal(sample(denoiser, solver("edm_churn(s_churn=0)"), IDS, NOISE, **setting).images, heun_images)
    assert not solver("edm_churn(s_churn=0)").stochastic
