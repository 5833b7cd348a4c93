"""Every scheduler that diffusers has runs or is refused with a reason; their traps are said, and one is taken away."""

from __future__ import annotations

import math

import diffusers
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import DiffusersScheduler, sample, solver
from sigmascope.evals.samplers.diffusers_traps import REFUSED
from sigmascope.evals.schedules import RectifiedFlow, Table
from sigmascope.fixtures.oracles import Gaussian, as_denoiser

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:diffusers"),
]

GAUSSIAN = Gaussian(
    torch.tensor([0.5, -0.3, 0.0, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.25, 0.04, 2.0], dtype=torch.float64)
)
FLOW = as_denoiser(GAUSSIAN, RectifiedFlow(), "flow", micro_batch=64)
IDS, NOISE = torch.arange(64), Noise(0)
SCHEDULERS = sorted(name for name in dir(diffusers) if name.endswith("Scheduler") and "Flax" not in name)
OTHERS = {
    # tokens, images of their own, video, proteins, or another step than (output, timestep, sample)
    "AmusedScheduler", "BlockRefinementScheduler", "CogVideoXDPMScheduler", "CosineDPMSolverMultistepScheduler",
    "DDPMWuerstchenScheduler", "DiscreteDDIMScheduler", "EntropyBoundScheduler", "HeliosDMDScheduler",
    "HeliosScheduler", "IPNDMScheduler", "KarrasVeScheduler", "RFD4ProteinaScheduler", "RePaintScheduler",
    "SCMScheduler", "ScoreSdeVeScheduler", "VQDiffusionScheduler",
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_lands_on_the_data_or_is_refused(name: str) -> None:
    """16 steps end within a third to one and a half of each standard deviation; a wrong level or conversion is off by
    more: the refused ones gave 4 to 20."""
    if name in REFUSED or name in OTHERS:
        with pytest.raises(ConfigError, match=name):
            sample(FLOW, solver(f"diffusers:{name}"), IDS, NOISE, steps=16, dtype=torch.float64)
        return
    # clipping to [-1, 1] is for images
    clip = "(clip_sample=False)" if "clip_sample" in DiffusersScheduler(name)._sorted({})[0] else ""
    got = sample(FLOW, solver(f"diffusers:{name}{clip}"), IDS, NOISE, steps=16, dtype=torch.float64)
    ratio = got.images.std(0) / GAUSSIAN.variances.sqrt()
    assert bool(((ratio > 0.3) & (ratio < 1.5)).all()), ratio


def trapped(name: str, steps: int = 10) -> str:
    method = solver(f"diffusers:{name}")
    assert isinstance(method, DiffusersScheduler)
    return " | ".join(method.traps(FLOW, steps))


def test_a_double_shift_is_said() -> None:
    """shift = 3 takes t = 0.001 to 0.002994 once, and to 0.008929 twice."""
    assert "shifted twice: t = 0.008929, where shift = 3 applied once gives 0.002994" in trapped(
        "FlowMatchEulerDiscreteScheduler(shift=3.0)"
    )
    assert trapped("FlowMatchEulerDiscreteScheduler") == ""


def test_leading_spacing_is_said() -> None:
    assert "leading spacing begins at timestep 900 of 999" in trapped("DDIMScheduler(clip_sample=False)")
    assert trapped('DDIMScheduler(clip_sample=False, timestep_spacing="trailing")') == ""


def test_clipping_with_old_eps_is_said_and_can_be_undone() -> None:
    """With the option, x' = sqrt(abar') clipped + sqrt(1 - abar') eps for the eps that goes with the clipped x0."""
    trailing = 'timestep_spacing="trailing"'
    assert "x0 is clipped but eps stays as it was" in trapped(f"DDIMScheduler({trailing})")
    mended = f"DDIMScheduler({trailing}, use_clipped_model_output=True)"
    assert trapped(mended) == ""
    table = as_denoiser(GAUSSIAN, Table.from_betas(torch.linspace(1e-4, 0.02, 1000)), "eps", micro_batch=64)
    seen: dict[str, list[torch.Tensor]] = {f"DDIMScheduler({trailing})": [], mended: []}
    for name, states in seen.items():
        sample(
            table,
            solver(f"diffusers:{name}"),
            IDS,
            NOISE,
            steps=10,
            dtype=torch.float64,
            observe=lambda ids, step, sigma, state, states=states: states.append(state.x),
        )
    scheduler = diffusers.DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(10)
    abar = [float(scheduler.alphas_cumprod[t]) for t in scheduler.timesteps]
    for name, states in seen.items():
        gaps = []
        for i in range(8):
            s = torch.tensor(math.sqrt((1 - abar[i + 1]) / abar[i + 1]), dtype=torch.float64)
            x0 = GAUSSIAN.denoise(states[i] / math.sqrt(abar[i + 1]), s).clamp(-1, 1)
            eps = (states[i] - math.sqrt(abar[i + 1]) * x0) / math.sqrt(1 - abar[i + 1])
            gaps.append(states[i + 1] - math.sqrt(abar[i + 2]) * x0 - math.sqrt(1 - abar[i + 2]) * eps)
        # the scheduler's table is float32
        assert (max(float(gap.abs().max()) for gap in gaps) < 1e-4) == (name == mended)


def test_zero_terminal_snr_is_said_or_refused() -> None:
    """Euler puts abar = 2^-24 in its place; an eps network does not determine x0 there."""
    options = 'rescale_betas_zero_snr=True, timestep_spacing="trailing"'
    assert "abar = 5.96e-08 (sigma = 4096) put in its place" in trapped(f"EulerDiscreteScheduler({options})")
    name = f'diffusers:DDIMScheduler({options}, clip_sample=False, prediction_type="epsilon")'
    betas = diffusers.schedulers.scheduling_ddim.rescale_zero_terminal_snr(torch.linspace(1e-4, 0.02, 1000))
    zero = as_denoiser(GAUSSIAN, Table.from_betas(betas.double()), "eps", micro_batch=64)
    with pytest.raises(ModelError, match="does not determine x0 at alpha = 0"):
        sample(zero, solver(name), IDS, NOISE, steps=5, dtype=torch.float64)
