"""Peer samplers, re-derived through our harness from the same starting noise."""

from __future__ import annotations

from itertools import pairwise

import diffusers
import k_diffusion.sampling
import pytest
import torch
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.loading import presets
from sigmascope.evals.loading.diffusers import read_convention
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import sample, solver
from sigmascope.evals.samplers.solver import StepNoise
from sigmascope.evals.schedules import Schedule
from torch import Tensor

TOLERANCE = 1e-4
IDS = torch.arange(3)


def network(x: Tensor, t: Tensor) -> Tensor:
    """Smooth, bounded and nonlinear: differences between samplers show."""
    return 0.3 * torch.tanh(1.5 * x.roll(1, -1) - 0.2 * x) + 0.02 * torch.sin(t.reshape(-1, 1, 1, 1) / 100.0)


def data_like(x: Tensor, sigma: Tensor) -> Tensor:
    gain = 1.0 / (1.0 + sigma.reshape(-1, 1, 1, 1) ** 2)
    return gain * x + (1 - gain) * 0.3 * torch.tanh(x.roll(1, -1))


@pytest.mark.parametrize(
    ("ours", "theirs"), [("heun", "sample_heun"), ("dpmpp_2m", "sample_dpmpp_2m"), ("euler", "sample_euler")]
)
def test_k_diffusion(ours: str, theirs: str) -> None:
    denoiser = wrap(data_like, "edm(0.02, 80)", "x0", (3, 4, 4), micro_batch=4)
    sigmas = k_diffusion.sampling.get_sigmas_karras(8, 0.02, 80.0)
    start = Noise(0).normal(IDS, "initial", 0, (3, 4, 4)) * sigmas[0]
    expected = getattr(k_diffusion.sampling, theirs)(data_like, start, sigmas, disable=True)
    found = sample(denoiser, solver(ours), IDS, Noise(0), steps=8).images
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()


@pytest.mark.parametrize("steps", [2, 9])
@pytest.mark.parametrize(("ours", "theirs"), [("heun", "heun"), ("euler", "euler")])
def test_edm(ours: str, theirs: str, steps: int) -> None:
    """NVlabs' sampler with EDM's choices, in the copy that NVIDIA Modulus ships (arXiv:2206.00364, algorithm 1)."""
    from modulus.utils.generative import deterministic_sampler

    class Net:
        sigma_min, sigma_max, round_sigma = 0.02, 80.0, staticmethod(torch.as_tensor)

        def __call__(self, x: Tensor, low_resolution: None, sigma: Tensor, labels: None) -> Tensor:
            return data_like(x, sigma)

    denoiser = wrap(data_like, "edm(0.02, 80)", "x0", (3, 4, 4), micro_batch=4)
    start = Noise(0).normal(IDS, "initial", 0, (3, 4, 4))
    expected = deterministic_sampler(Net(), start, None, num_steps=steps, solver=theirs)
    found = sample(denoiser, solver(ours), IDS, Noise(0), steps=steps).images
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()


SCHEDULERS = [
    ("DDIMScheduler", {"clip_sample": False}),
    ("DPMSolverMultistepScheduler", {}),
    ("EulerDiscreteScheduler", {}),
    ("HeunDiscreteScheduler", {}),
    ("FlowMatchEulerDiscreteScheduler", {}),
]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("name", "options"), SCHEDULERS)
def test_diffusers_schedulers_in_our_loop(name: str, options: dict[str, object], prediction: str) -> None:
    flow = name.startswith("FlowMatch")
    scheduler = getattr(diffusers, name)(**options, **({} if flow else {"prediction_type": prediction}))
    denoiser = _declared({**scheduler.config, "_class_name": name})
    scheduler.set_timesteps(6)
    x = Noise(0).normal(IDS, "initial", 0, (3, 4, 4)) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    for t in scheduler.timesteps:
        seen = x if flow else scheduler.scale_model_input(x, t)
        x = scheduler.step(network(seen, t.expand(3)), t, x, return_dict=False)[0]
    found = sample(denoiser, solver(f"diffusers:{name}"), IDS, Noise(0), steps=6, grid=None).images
    assert (found - x).abs().max() < TOLERANCE * x.abs().max()


NATIVE = [
    ("ddim", "DDIMScheduler", {"clip_sample": False}),
    ("dpmpp_2m", "DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    ("euler", "EulerDiscreteScheduler", {}),
    ("heun", "HeunDiscreteScheduler", {}),
    ("euler", "FlowMatchEulerDiscreteScheduler", {}),
    ("euler", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
]


@pytest.mark.parametrize(("ours", "name", "options"), NATIVE)
def test_our_solvers_are_diffusers(ours: str, name: str, options: dict[str, object]) -> None:
    """On the levels of diffusers' own loop, from the same latents: sigma_T z, where our scaled state starts."""
    flow = name.startswith("FlowMatch")
    scheduler = getattr(diffusers, name)(**options)
    denoiser = _declared({**scheduler.config, "_class_name": name})
    scheduler.set_timesteps(6)
    times = torch.unique_consecutive(scheduler.timesteps.double())  # Heun's visits each level twice
    levels = denoiser.level(time=times / 1000 if flow else times)
    z = Noise(0).normal(IDS, "initial", 0, (3, 4, 4))
    exploding = name in ("EulerDiscreteScheduler", "HeunDiscreteScheduler")  # their state is x_t / alpha
    x = z * float(levels.sigma[0] if exploding else levels.sigma_t[0])
    for t in scheduler.timesteps:
        seen = x if flow else scheduler.scale_model_input(x, t)
        x = scheduler.step(network(seen, t.expand(3)), t, x, return_dict=False)[0]
    sigmas = torch.cat((levels.sigma, torch.zeros(1)))
    found = sample(denoiser, solver(ours), IDS, Noise(0), steps=6, grid=lambda schedule, steps: sigmas).images
    assert (found - x).abs().max() < TOLERANCE * x.abs().max()


def _declared(config: dict[str, object]) -> Denoiser:
    from sigmascope.evals.denoiser import Traits

    convention = read_convention(config)
    assert isinstance(convention.path, (Schedule, str))
    traits = Traits(scheduler=config)
    return wrap(network, event_shape=(3, 4, 4), preset=convention, micro_batch=4, traits=traits)


@pytest.mark.parametrize("ours", ["ddim", "ddpm"])
def test_guided_diffusion(ours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its DDIM and its ancestral loop with the posterior's variance, 1,000 linear steps respaced to 12.

    Theirs starts at x_T = noise; ours at sigma_t noise, so that is what it is given. Its ancestral loop draws by
    randn_like: it is handed our path's increments.
    """
    from guided_diffusion.script_util import create_gaussian_diffusion

    diffusion = create_gaussian_diffusion(timestep_respacing="12", sigma_small=True)
    denoiser = wrap(network, preset=presets.guided_diffusion(diffusion), event_shape=(3, 4, 4), micro_batch=4)
    levels = denoiser.level(time=torch.arange(12.0).flip(0))
    sigmas = torch.cat((levels.sigma, torch.zeros(1, dtype=torch.float64)))
    found = sample(denoiser, solver(ours), IDS, Noise(0), steps=12, grid=lambda schedule, steps: sigmas).images

    start = Noise(0).normal(IDS, "initial", 0, (3, 4, 4)) * float(levels.sigma_t[0])
    drawn = [
        StepNoise(Noise(0), IDS, index, (3, 4, 4), torch.float32).between(float(s), float(t))
        for index, (s, t) in enumerate(pairwise(sigmas[:-1]))
    ]
    queue = iter([*drawn, torch.zeros(3, 3, 4, 4)])  # the last is multiplied by 0
    loop = diffusion.ddim_sample_loop if ours == "ddim" else diffusion.p_sample_loop
    if ours == "ddpm":
        monkeypatch.setattr(torch, "randn_like", lambda like: next(queue))
    expected = loop(network, (3, 3, 4, 4), noise=start, clip_denoised=False, device="cpu")
    assert (found - expected).abs().max() < TOLERANCE * expected.abs().max()
