"""The fine reference on the Gaussian oracle, whose flow has a closed form."""

from __future__ import annotations

import pytest
import torch
from sigmascope.evals.schedules import EDM, Cosine, RectifiedFlow, Schedule
from sigmascope.evals.trajectories.reference import evaluations, flow
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, as_denoiser

VARIANCES = torch.logspace(-2, 1, 8, dtype=torch.float64)
GAUSSIAN = Gaussian(torch.linspace(-0.5, 0.5, 8, dtype=torch.float64), VARIANCES)
SPREAD = float(VARIANCES.mean().sqrt())


@pytest.mark.parametrize("schedule", [EDM(), Cosine(), RectifiedFlow()], ids=["edm", "cosine", "flow"])
@pytest.mark.parametrize(("sigma", "sigma_next"), [(50.0, 5.0), (5.0, 0.5), (0.5, 0.02), (1.0, 0.9), (50.0, 0.02)])
def test_it_is_the_ode(schedule: Schedule, sigma: float, sigma_next: float) -> None:
    denoiser = as_denoiser(GAUSSIAN, schedule)
    x = GAUSSIAN.mean + torch.sqrt(VARIANCES + sigma**2)  # one standard deviation from the mean in every mode
    got = flow(denoiser, x[None], sigma, sigma_next, {})
    exact = GAUSSIAN.flow(x[None], sigma, sigma_next)
    # in standard deviations of the data, as the docstring claims
    transported = float((got - exact).square().mean().sqrt()) / (SPREAD**2 + sigma_next**2) ** 0.5
    assert transported < 1e-4
    assert denoiser.evaluations == evaluations(denoiser, sigma, sigma_next)


def test_it_is_of_order_4() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    x = GAUSSIAN.mean + torch.sqrt(VARIANCES + 25.0)
    exact = GAUSSIAN.flow(x[None], 5.0, 0.5)
    coarse, fine = (float((flow(denoiser, x[None], 5.0, 0.5, {}, width) - exact).norm()) for width in (0.2, 0.1))
    assert 14 < coarse / fine < 18  # 2^4, and what the next order adds at these widths


def test_straight_paths_are_exact_in_a_single_step() -> None:
    point = torch.full((2, 3), 0.7, dtype=torch.float64)
    denoiser = as_denoiser(FiniteSet(point))
    x = torch.tensor([[3.0, -40.0, 11.0]], dtype=torch.float64)
    got = flow(denoiser, x, 80.0, 0.1, {}, width=100.0)
    # rounding: 80 times float64's
    torch.testing.assert_close(got, 0.7 + (0.1 / 80.0) * (x - 0.7), rtol=0, atol=1e-13)


def test_to_0_it_ends_with_the_prediction() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(flow(denoiser, x, 0.002, 0.0, {}), denoiser.denoise(x, 0.002).x0)
    low = flow(denoiser, x, 0.5, 0.002, {})
    assert torch.equal(flow(denoiser, x, 0.5, 0.0, {}), denoiser.denoise(low, 0.002).x0)
