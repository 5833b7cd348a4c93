"""Oracles: the closed forms everything else is tested against, against quadrature and an ODE solver that know none."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.special import logsumexp
from sigmascope.evals.levels import broadcast
from sigmascope.evals.noise import Noise
from sigmascope.evals.parameterization import PARAMETERIZATIONS
from sigmascope.evals.schedules import EDM, VP, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, Oracle, as_denoiser
from torch import Tensor

SIGMAS = [0.02, 0.1, 0.5, 1.0, 3.0, 10.0, 80.0]
GAUSSIAN = Gaussian(
    torch.tensor([0.3, -0.2, 0.0, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.25, 0.04, 2.0], dtype=torch.float64)
)
MIXTURE = Mixture(torch.tensor([0.8, -0.5, 0.3, 0.1], dtype=torch.float64), 0.3)
PAIR = FiniteSet(torch.tensor([[1.0, 0.5, -0.5, 0.2], [-0.6, 0.3, 0.4, -0.1]], dtype=torch.float64))
ORACLES: dict[str, Oracle] = {"gaussian": GAUSSIAN, "mixture": MIXTURE, "pair": PAIR}
every_oracle = pytest.mark.parametrize("oracle", ORACLES.values(), ids=ORACLES.keys())


def at(sigma: float) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float64)


def quadrature(places: np.ndarray, weights: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(x, E[x0 | x], MMSE) in one dimension for a prior of weighted places: Bayes' rule on a grid, nothing closed.

    Sums over equidistant points integrate Gaussians to rounding when the step is below half their width.
    """
    x = np.linspace(places.min() - 9 * sigma, places.max() + 9 * sigma, 1201 + 12 * int(np.ptp(places) / sigma))
    log_joint = np.log(weights) - (x[:, None] - places) ** 2 / (2 * sigma**2)
    log_density = logsumexp(log_joint, axis=1)
    posterior = np.exp(log_joint - log_density[:, None])
    mean = posterior @ places
    variance = (posterior * (places - mean[:, None]) ** 2).sum(axis=1)
    density = np.exp(log_density) / (math.sqrt(2 * math.pi) * sigma)
    return x, mean, float((variance * density).sum() * (x[1] - x[0]))


def normal_prior(mean: float, variance: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Equidistant places over 9 deviations, closer than half of both the prior's and the noise's width."""
    deviation = math.sqrt(variance)
    places = mean + np.linspace(-9, 9, 1 + 2 * math.ceil(18 * max(1.0, deviation / sigma))) * deviation
    weights = np.exp(-((places - mean) ** 2) / (2 * variance))
    return places, weights / weights.sum()


@pytest.mark.parametrize("sigma", SIGMAS[1:])
def test_gaussian_against_bayes_rule_on_a_grid(sigma: float) -> None:
    expected = 0.0
    for mean, variance in zip(GAUSSIAN.mean.tolist(), GAUSSIAN.variances.tolist(), strict=True):
        x, posterior, mmse = quadrature(*normal_prior(mean, variance, sigma), sigma)
        one = Gaussian(torch.tensor([mean], dtype=torch.float64), torch.tensor([variance], dtype=torch.float64))
        near = np.abs(x - mean) < 6 * math.hypot(math.sqrt(variance), sigma)  # where the places have not run out
        got = one.denoise(torch.from_numpy(x)[:, None], at(sigma))[:, 0].numpy()
        np.testing.assert_allclose(got[near], posterior[near], rtol=0, atol=1e-8 * max(1.0, sigma))
        expected += mmse
    assert GAUSSIAN.mmse(sigma) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_mixture_against_bayes_rule_on_a_grid(sigma: float) -> None:
    """One dimension along the modes by quadrature; across them the mixture is one Gaussian."""
    length, spread = float(MIXTURE.mode.norm()), MIXTURE.spread
    right, weights = normal_prior(length, spread**2, sigma)
    x, posterior, mmse = quadrature(np.concatenate([right, -right]), np.concatenate([weights, weights]) / 2, sigma)
    one = Mixture(torch.tensor([length], dtype=torch.float64), spread)
    near = np.abs(x) < length + 6 * math.hypot(spread, sigma)
    got = one.denoise(torch.from_numpy(x)[:, None], at(sigma))[:, 0].numpy()
    np.testing.assert_allclose(got[near], posterior[near], rtol=0, atol=1e-8 * max(1.0, sigma))
    across = 3 * Gaussian(torch.zeros(1), torch.tensor([spread**2], dtype=torch.float64)).mmse(sigma)
    assert MIXTURE.mmse(sigma) == pytest.approx(mmse + across, rel=1e-9)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_two_points_against_bayes_rule_on_a_grid(sigma: float) -> None:
    """Only the coordinate along the line through both matters."""
    half = float((PAIR.points[0] - PAIR.points[1]).norm()) / 2
    x, posterior, mmse = quadrature(np.array([half, -half]), np.array([0.5, 0.5]), sigma)
    one = FiniteSet(torch.tensor([[half], [-half]], dtype=torch.float64))
    got = one.denoise(torch.from_numpy(x)[:, None], at(sigma))[:, 0].numpy()
    np.testing.assert_allclose(got, posterior, rtol=0, atol=1e-12)
    # at sigma = 0.02 the error is e^{-1000}: nothing, to either side's rounding
    assert PAIR.mmse(sigma) == pytest.approx(mmse, rel=1e-9, abs=1e-15)


def test_mixture_is_the_general_mixture() -> None:
    """D = sum r_k [m_k + c^2/V (x - m_k)], r from logsumexp of the components' densities."""
    x = 3 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sigma in SIGMAS:
        total = MIXTURE.spread**2 + sigma**2
        modes = torch.stack([MIXTURE.mode, -MIXTURE.mode])
        log_weight = math.log(0.5) - (x[:, None] - modes).square().sum(-1) / (2 * total)
        weight = torch.exp(log_weight - torch.logsumexp(log_weight, dim=1, keepdim=True))
        each = modes + MIXTURE.spread**2 / total * (x[:, None] - modes)
        expected = (weight[:, :, None] * each).sum(1)
        torch.testing.assert_close(MIXTURE.denoise(x, at(sigma)), expected, rtol=1e-12, atol=1e-12)


def test_gaussian_is_the_matrix_formula() -> None:
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = torch.diag(GAUSSIAN.variances)
    for sigma in SIGMAS:
        inverse = torch.linalg.inv(covariance + sigma**2 * torch.eye(4, dtype=torch.float64))
        expected = GAUSSIAN.mean + (x - GAUSSIAN.mean) @ (covariance @ inverse).T
        torch.testing.assert_close(GAUSSIAN.denoise(x, at(sigma)), expected, rtol=1e-12, atol=1e-12)


def test_finite_set_is_a_softmax_at_any_sigma() -> None:
    points = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    oracle = FiniteSet(points)
    x = points[:5] + 1e-3
    for sigma in (1e-4, 0.3, 1e4):
        log_weight = -((x.numpy()[:, None] - points.numpy()) ** 2).sum(-1) / (2 * sigma**2)
        weight = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
        # sums of squares near 10 divided by sigma^2 lose their last digits where weights differ
        np.testing.assert_allclose(oracle.denoise(x, at(sigma)), weight @ points.numpy(), atol=1e-12)
    torch.testing.assert_close(oracle.denoise(x, at(1e-4)), points[:5], rtol=0, atol=0)
    with pytest.raises(NotImplementedError, match="two points only, got 20"):
        oracle.mmse(1.0)


@every_oracle
@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
def test_mmse_is_what_the_denoiser_errs_and_the_error_is_orthogonal(oracle: Oracle, sigma: float) -> None:
    """Monte Carlo with NumPy's noise: the mean of 20,000 errors lies within 4.5 of its standard errors of the MMSE.

    And E<D, x0 - D> = 0, as of a conditional mean; twice the slope fails it at every level here.
    """
    rng = np.random.default_rng(1)
    x0 = oracle.data(torch.arange(20_000), Noise(3))
    x = x0 + sigma * torch.from_numpy(rng.standard_normal(x0.shape))
    estimate = oracle.denoise(x, at(sigma))
    error = (estimate - x0).square().sum(1)
    spread = float(error.std()) / math.sqrt(len(error))
    assert abs(float(error.mean()) - oracle.mmse(sigma)) <= 4.5 * spread + 1e-15

    def off_orthogonal(estimate: Tensor) -> float:
        inner = (estimate * (x0 - estimate)).sum(1)
        return abs(float(inner.mean())) / (float(inner.std()) / math.sqrt(len(inner)) + 1e-15)

    assert off_orthogonal(estimate) < 4.5
    assert off_orthogonal(2 * estimate) > 4.5


def test_gaussian_flow_against_an_ode_solver() -> None:
    """dx/ds = (x - D(x; s))/s from 80 to 0.01 by an eighth-order Runge-Kutta at a relative 1e-11."""
    start = 80 * torch.tensor([[1.0, -0.5, 0.3, 2.0]], dtype=torch.float64)

    def slope(sigma: float, x: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(x)[None]
        return ((state - GAUSSIAN.denoise(state, at(sigma))) / sigma)[0].numpy()

    solved = integrate.solve_ivp(slope, (80.0, 0.01), start[0].numpy(), method="DOP853", rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(GAUSSIAN.flow(start, 80.0, 0.01)[0], solved.y[:, -1], rtol=1e-9)
    there = GAUSSIAN.flow(start, 80.0, 1.0)
    torch.testing.assert_close(GAUSSIAN.flow(there, 1.0, 80.0), start, rtol=1e-12, atol=0)


def test_data_has_the_law_it_claims() -> None:
    """Means and covariances of 2^16 rows within 5 standard errors; a row is a function of its id."""
    n = 2**16
    for oracle, mean, covariance in (
        (GAUSSIAN, GAUSSIAN.mean, torch.diag(GAUSSIAN.variances)),
        (MIXTURE, torch.zeros(4), torch.outer(MIXTURE.mode, MIXTURE.mode) + MIXTURE.spread**2 * torch.eye(4)),
        (PAIR, PAIR.points.mean(0), torch.cov(PAIR.points.T, correction=0)),
    ):
        x = oracle.data(torch.arange(n), Noise(0))
        assert x.dtype == torch.float64
        deviation = covariance.diagonal().sqrt()
        assert bool(((x.mean(0) - mean).abs() < 5 * deviation / math.sqrt(n)).all())
        # Var(x_i x_j) is at most 2 (l_i l_j + cov_ij^2) for these laws, Gaussian or lighter in the tails
        error = torch.sqrt(2 * (torch.outer(deviation, deviation) ** 2 + covariance**2) / n)
        assert bool(((torch.cov(x.T) - covariance).abs() < 5 * error).all())
        assert torch.equal(oracle.data(torch.tensor([n - 1, 7]), Noise(0)), x[[n - 1, 7]])


SCHEDULES: list[Schedule] = [EDM(), VP(), RectifiedFlow(), Table.from_betas(torch.linspace(1e-4, 0.02, 1000))]


@every_oracle
def test_an_oracle_as_a_network_of_any_kind_is_itself(oracle: Oracle) -> None:
    """Through every parameterization and schedule, at the levels all of them reach; tables to their float clock."""
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for schedule, name in itertools.product(SCHEDULES, PARAMETERIZATIONS):
        if name == "flow" and isinstance(schedule, Table):
            continue
        denoiser = as_denoiser(oracle, schedule, name, micro_batch=8)
        for sigma in (0.05, 1.0, 50.0):
            level = denoiser.level(sigma)
            scaled = x * math.hypot(1, sigma)
            x_t = broadcast(level.alpha, x) * scaled
            # eps errs in x0 by sigma times its own rounding, and the output carries |x|/sigma
            expected = oracle.denoise(scaled, at(sigma))
            torch.testing.assert_close(denoiser(x_t, level), expected, rtol=0, atol=1e-11, msg=f"{schedule} {name}")


def test_an_oracle_at_pure_noise_knows_the_mean() -> None:
    denoiser = as_denoiser(GAUSSIAN, RectifiedFlow(), "flow")
    noise: Tensor = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(denoiser(noise, denoiser.schedule(1.0)), GAUSSIAN.mean.expand(6, 4), rtol=0, atol=1e-11)
