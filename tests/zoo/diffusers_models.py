"""diffusers' networks, against what its own schedulers say of their outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor

from .zoo import HALF, SINGLE, Animal, Peer, animal, awake, each

LABELS = torch.tensor([0, 1, 2, 3, 1, 0])


def _unet(**options: Any) -> Any:
    torch.manual_seed(0)
    return awake(
        diffusers.UNet2DModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            **options,
        )
    )


def _stepped(network: Callable[..., Tensor], scheduler: Any) -> Peer:
    """`pred_original_sample` of the scheduler's own step, which takes one time for a whole batch."""
    scheduler.set_timesteps(scheduler.config.num_train_timesteps)

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        output = network(x, t.long())
        steps = [scheduler.step(output[i : i + 1], int(t[i]), x[i : i + 1]).pred_original_sample for i in range(len(x))]
        return torch.cat(steps)

    return peer


def _ddim(times: tuple[float, ...], dtype: torch.dtype = torch.float32, **options: Any) -> Animal:
    scheduler = diffusers.DDIMScheduler(clip_sample=False, **options)
    network = _unet().to(dtype)
    return Animal(
        network,
        {"preset": presets.diffusers(network, scheduler)},
        _stepped(lambda x, t: network(x.to(dtype), t).sample.float(), scheduler),
        times,
        tolerance=SINGLE if dtype == torch.float32 else HALF,
    )


@animal
def diffusers_unet_eps() -> Animal:
    return _ddim((0, 400, 950))


@animal
def diffusers_unet_v_zero_terminal_snr() -> Animal:
    """Its last level has no signal at all."""
    return _ddim((0, 400, 999), prediction_type="v_prediction", rescale_betas_zero_snr=True)


@animal
def diffusers_unet_x0() -> Animal:
    return _ddim((0, 400, 950), prediction_type="sample", beta_schedule="squaredcos_cap_v2")


@animal
def diffusers_unet_eps_bf16() -> Animal:
    return _ddim((0, 400, 800), torch.bfloat16)


@animal
def diffusers_unet_v_bf16() -> Animal:
    return _ddim((0, 400, 950), torch.bfloat16, prediction_type="v_prediction", beta_schedule="scaled_linear")


@animal
def diffusers_unet_labels() -> Animal:
    scheduler = diffusers.DDPMScheduler(clip_sample=False)
    network = _unet(num_class_embeds=4)
    return Animal(
        network,
        {"preset": presets.diffusers(network, scheduler)},
        _stepped(lambda x, t: network(x, t, class_labels=LABELS[: len(x)]).sample, scheduler),
        (0, 400, 950),
        {"class_labels": LABELS},
    )


@animal
def diffusers_text() -> Animal:
    """Latent diffusion's U-Net with the text's states."""
    torch.manual_seed(0)
    network = awake(
        diffusers.UNet2DConditionModel(
            sample_size=8,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            attention_head_dim=4,
            cross_attention_dim=12,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        )
    )
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    states = torch.randn(6, 5, 12, generator=torch.Generator().manual_seed(2))
    return Animal(
        network,
        {"preset": presets.diffusers(network, scheduler)},
        _stepped(lambda x, t: network(x, t, encoder_hidden_states=states).sample, scheduler),
        (0, 400, 950),
        {"encoder_hidden_states": states},
    )


@animal
def diffusers_dit() -> Animal:
    """Class labels, and a learned variance in the other half of the channels."""
    torch.manual_seed(0)
    network = awake(
        diffusers.DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            num_layers=1,
            sample_size=8,
            num_embeds_ada_norm=4,
            norm_num_groups=4,
        )
    )
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    return Animal(
        network,
        {"preset": presets.diffusers(network, scheduler)},
        _stepped(lambda x, t: network(x, t, class_labels=LABELS[: len(x)]).sample[:, :4], scheduler),
        (0, 400, 950),
        {"class_labels": LABELS},
    )


@animal
def diffusers_edm() -> Animal:
    """The scheduler holds the preconditioning."""
    scheduler = diffusers.EDMEulerScheduler()
    network = _unet()

    def one(x: Tensor, sigma: Tensor) -> Tensor:
        output = network(scheduler.precondition_inputs(x, sigma), scheduler.precondition_noise(sigma)).sample
        found: Tensor = scheduler.precondition_outputs(x, output, sigma)
        return found

    return Animal(
        network,
        {"preset": presets.diffusers(network, scheduler)},
        lambda x, t, _: each(one, x, t.float()),
        (0.01, 1.0, 50.0),
    )


@animal
def diffusers_consistency() -> Animal:
    """A step of the scheduler to its least noise is the denoised image."""
    scheduler = diffusers.CMStochasticIterativeScheduler(clip_denoised=False)
    network, sigmas = _unet(), {}
    for index in (38, 20, 0):
        scheduler.set_timesteps(timesteps=[index])
        sigmas[float(scheduler.sigmas[0])] = index

    def one(x: Tensor, sigma: Tensor) -> Tensor:
        scheduler.set_timesteps(timesteps=[sigmas[float(sigma)]])
        t = scheduler.timesteps[0]
        found: Tensor = scheduler.step(network(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
        return found

    return Animal(
        network, {"preset": presets.diffusers(network, scheduler)}, lambda x, t, _: each(one, x, t), tuple(sigmas)
    )


def _flow(network: Any, cond: dict[str, Tensor], asked: Callable[..., Any], **fields: Any) -> Animal:
    """One step of the scheduler from its noise to none."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    dtype = next(network.parameters()).dtype

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        velocity = asked(x.to(dtype), t.float(), {name: part[: len(x)] for name, part in cond.items()}).float()
        steps = []
        for row, time in enumerate(t):
            scheduler.set_timesteps(sigmas=[float(time)])
            steps.append(scheduler.step(velocity[row], scheduler.timesteps[0], x[row]).prev_sample)
        return torch.stack(steps)

    given = {"preset": presets.diffusers(network, scheduler), **fields}
    return Animal(network, given, peer, (0.05, 0.5, 1.0), cond, SINGLE if dtype == torch.float32 else HALF)


def _sd3(dtype: torch.dtype) -> Animal:
    torch.manual_seed(0)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        pos_embed_max_size=8,
    )
    network = awake(transformer).to(dtype)
    generator = torch.Generator().manual_seed(2)
    cond = {
        "encoder_hidden_states": torch.randn(6, 5, 16, generator=generator).to(dtype),
        "pooled_projections": torch.randn(6, 16, generator=generator).to(dtype),
    }
    return _flow(network, cond, lambda x, t, given: network(x, timestep=1000 * t, **given).sample)


@animal
def diffusers_sd3() -> Animal:
    return _sd3(torch.float32)


@animal
def diffusers_sd3_bf16() -> Animal:
    return _sd3(torch.bfloat16)


@animal
def diffusers_flux() -> Animal:
    """Packed tokens, positions without a batch, and a network that scales its time itself."""
    torch.manual_seed(0)
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    network, generator = awake(transformer), torch.Generator().manual_seed(2)
    positions = torch.cartesian_prod(torch.zeros(1), torch.arange(4.0), torch.arange(4.0))
    cond = {
        "encoder_hidden_states": torch.randn(6, 5, 16, generator=generator),
        "pooled_projections": torch.randn(6, 16, generator=generator),
        "img_ids": positions.expand(6, 16, 3),
        "txt_ids": torch.zeros(6, 5, 3),
    }

    def asked(x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Any:
        ids = {name: given[name][0] for name in ("img_ids", "txt_ids")}
        return network(x, timestep=t, **{**given, **ids}).sample

    ours = (
        "x, timestep=t, encoder_hidden_states=encoder_hidden_states, pooled_projections=pooled_projections, "
        "img_ids=img_ids[0], txt_ids=txt_ids[0]"
    )
    return _flow(network, cond, asked, event_shape=(16, 16), call=ours)
