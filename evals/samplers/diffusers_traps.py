"""What diffusers' schedulers do that their users may not expect: said, and where nothing else helps refused."""

from __future__ import annotations

import inspect
from typing import Any

REFUSED = {
    "CMStochasticIterativeScheduler": "it samples from consistency models, whose network is no denoiser",
    "DDIMInverseScheduler": "it goes from data to noise",
    "DPMSolverMultistepInverseScheduler": "it goes from data to noise",
    "DPMSolverSDEScheduler": "it draws its own noise, which no seed of ours reaches; take dpmpp_sde",
    "FlowMapEulerDiscreteScheduler": "it samples from flow maps, whose network is no denoiser",
    "KDPM2AncestralDiscreteScheduler": "its levels between steps are not its table's; take ancestral or dpmpp_sde",
    "LTXEulerAncestralRFScheduler": "its levels are flow times under the name of sigmas; take ancestral",
    "MiniMaxH3Scheduler": "its levels are not those of a denoiser",
    "PiflowScheduler": "it samples from policies, whose network is no denoiser",
    "UnCLIPScheduler": "it is made for unCLIP's learned variances; take diffusers:DDPMScheduler",
}
"""Schedulers that would run here and be wrong, each with its reason."""


def traps(scheduler: Any, in_step: dict[str, object]) -> list[str]:
    """What is worth knowing of a scheduler after `set_timesteps`, in words; `in_step` are its step's options."""
    config = scheduler.config
    found = [_clipping(scheduler, in_step), _double_shift(scheduler), _first_level(scheduler)]
    if config.get("rescale_betas_zero_snr") and hasattr(scheduler, "alphas_cumprod"):
        last = float(scheduler.alphas_cumprod[-1])
        if last > 0:
            found.append(
                f"zero terminal SNR is asked for, and abar = {last:.3g} (sigma = {last**-0.5:.4g}) put in its place"
            )
    return [trap for trap in found if trap]


def _clipping(scheduler: Any, in_step: dict[str, object]) -> str:
    clips = scheduler.config.get("clip_sample") or scheduler.config.get("thresholding")
    keeps = "use_clipped_model_output" in inspect.signature(scheduler.step).parameters
    if clips and keeps and not in_step.get("use_clipped_model_output"):
        return "x0 is clipped but eps stays as it was, so the two no longer make x_t; say use_clipped_model_output=True"
    return ""


def _double_shift(scheduler: Any) -> str:
    """set_timesteps shifts a range whose lower end is shifted already (diffusers #13243)."""
    shift = float(scheduler.config.get("shift") or 1.0)
    if not type(scheduler).__name__.startswith("FlowMatch") or shift == 1.0 or len(scheduler.timesteps) < 2:
        return ""
    least = 1.0 / scheduler.config.num_train_timesteps
    once = shift * least / (1.0 + (shift - 1.0) * least)
    last = float(scheduler.sigmas[len(scheduler.timesteps) - 1])
    if abs(last - once) < 1e-6:
        return ""
    return f"the last level is shifted twice: t = {last:.4g}, where shift = {shift:g} applied once gives {once:.4g}"


def _first_level(scheduler: Any) -> str:
    count = scheduler.config.get("num_train_timesteps")
    if scheduler.config.get("timestep_spacing") != "leading" or not count:
        return ""
    first = float(scheduler.timesteps[0])
    if first >= count - 1:
        return ""
    return (
        f"leading spacing begins at timestep {first:g} of {count - 1}, with noise as if it were the last; take trailing"
    )
