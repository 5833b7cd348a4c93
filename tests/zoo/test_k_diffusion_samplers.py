"""k-diffusion's samplers beside ours from the same noise: stochastic ones draw from our Brownian path."""

from __future__ import annotations

import k_diffusion.sampling
import pytest
import torch
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import StepNoise, sample, solver
from torch import Tensor

IDS, SHAPE = torch.arange(3), (3, 4, 4)
CASES = [
    ("lms", "sample_lms", {}),
    ("lms(order=2)", "sample_lms", {"order": 2}),
    ("ancestral", "sample_euler_ancestral", {}),
    ("ancestral(eta=0.5)", "sample_euler_ancestral", {"eta": 0.5}),
    ("dpmpp_sde", "sample_dpmpp_sde", {}),
    ("dpmpp_sde(eta=0.5, r=0.4)", "sample_dpmpp_sde", {"eta": 0.5, "r": 0.4}),
    ("dpmpp_2m_sde", "sample_dpmpp_2m_sde", {}),
    ("dpmpp_2m_sde(eta=0.5)", "sample_dpmpp_2m_sde", {"eta": 0.5}),
    ("dpmpp_3m", "sample_dpmpp_3m_sde", {"eta": 0.0}),
    ("dpmpp_3m_sde", "sample_dpmpp_3m_sde", {}),
]


def network(x: Tensor, sigma: Tensor) -> Tensor:
    """Smooth and nonlinear: differences between samplers show."""
    gain = 1.0 / (1.0 + sigma.reshape(-1, 1, 1, 1) ** 2)
    return gain * x + (1 - gain) * 0.3 * torch.tanh(x.roll(1, -1))


@pytest.mark.parametrize(("ours", "theirs", "options"), CASES)
def test_k_diffusion(ours: str, theirs: str, options: dict[str, object]) -> None:
    """float64 on both sides but their table of levels: to 1e-6 of the largest value, where 1e-4 is asked."""
    denoiser = wrap(network, "edm(0.02, 80)", "x0", SHAPE, micro_batch=3, dtype=torch.float64)
    found = sample(denoiser, solver(ours), IDS, Noise(0), steps=9, dtype=torch.float64)
    start = 80.0 * Noise(0).normal(IDS, "initial", 0, SHAPE, torch.float64)
    step = StepNoise(Noise(0), IDS, 0, SHAPE, torch.float64)
    if solver(ours).stochastic or "sde" in theirs:
        options = {**options, "noise_sampler": lambda s, t: step.between(float(s), float(t))}
    run = getattr(k_diffusion.sampling, theirs)
    expected = run(network, start, found.sigmas, disable=True, **options)
    assert float((found.images - expected).abs().max()) < 1e-6 * float(expected.abs().max())


def test_churn() -> None:
    """k-diffusion's Heun draws churn from torch's generator: give it ours, in the order of the raised steps."""
    denoiser = wrap(network, "edm(0.02, 80)", "x0", SHAPE, micro_batch=3, dtype=torch.float64)
    found = sample(denoiser, solver("edm_churn(s_churn=4.0)"), IDS, Noise(0), steps=9, dtype=torch.float64)
    step = StepNoise(Noise(0), IDS, 0, SHAPE, torch.float64)
    pairs = iter([(s, t) for s, t in zip(found.sigmas.tolist(), found.sigmas.tolist()[1:], strict=False)])
    drawn = torch.randn_like

    def ours(x: Tensor) -> Tensor:
        s, t = next(pairs)
        return step.between(s, t or s / 2)

    try:
        k_diffusion.sampling.torch.randn_like = ours
        expected = k_diffusion.sampling.sample_heun(
            network,
            80.0 * Noise(0).normal(IDS, "initial", 0, SHAPE, torch.float64),
            found.sigmas,
            disable=True,
            s_churn=4.0,
            s_tmin=0.05,
            s_tmax=50.0,
            s_noise=1.003,
        )
    finally:
        k_diffusion.sampling.torch.randn_like = drawn
    assert float((found.images - expected).abs().max()) < 1e-6 * float(expected.abs().max())
