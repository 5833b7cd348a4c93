"""lucidrains: denoising-diffusion-pytorch, rectified-flow-pytorch, video-diffusion-pytorch."""

from __future__ import annotations

from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor

from .zoo import Animal, animal, awake, rows


def _gaussian(objective: str, **unet: Any) -> Any:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), flash_attn=False, **unet)
    return awake(GaussianDiffusion(network, image_size=8, timesteps=200, objective=objective))


def _lucidrains(objective: str) -> Animal:
    diffusion = _gaussian(objective)
    return Animal(
        diffusion,
        {"preset": presets.lucidrains(diffusion)},
        lambda x, t, _: diffusion.model_predictions(x, t.long()).pred_x_start,
        (0, 50, 199) if objective != "pred_noise" else (0, 50, 150),
    )


@animal
def lucidrains_eps() -> Animal:
    return _lucidrains("pred_noise")


@animal
def lucidrains_x0() -> Animal:
    return _lucidrains("pred_x0")


@animal
def lucidrains_v() -> Animal:
    return _lucidrains("pred_v")


@animal
def lucidrains_1d() -> Animal:
    from denoising_diffusion_pytorch import GaussianDiffusion1D, Unet1D

    torch.manual_seed(0)
    diffusion = awake(GaussianDiffusion1D(Unet1D(16, dim_mults=(1, 2), channels=2), seq_length=16, timesteps=100))
    return Animal(
        diffusion,
        {"preset": presets.lucidrains(diffusion)},
        lambda x, t, _: diffusion.model_predictions(x, t.long()).pred_x_start,
        (0, 40, 90),
    )


@animal
def lucidrains_learned_variance() -> Animal:
    from denoising_diffusion_pytorch import LearnedGaussianDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), learned_variance=True, flash_attn=False)
    diffusion = awake(LearnedGaussianDiffusion(network, image_size=8, timesteps=100, objective="pred_noise"))
    return Animal(
        diffusion,
        {"preset": presets.lucidrains(diffusion), "pick": "[:, :C]"},
        lambda x, t, _: diffusion.predict_start_from_noise(x, t.long(), network(x, t.long()).chunk(2, dim=1)[0]),
        (0, 40, 90),
    )


@animal
def lucidrains_elucidated() -> Animal:
    from denoising_diffusion_pytorch import ElucidatedDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), random_fourier_features=True, flash_attn=False)
    diffusion = awake(ElucidatedDiffusion(network, image_size=8))
    return Animal(
        diffusion,
        {"preset": presets.lucidrains(diffusion)},
        lambda x, t, _: diffusion.preconditioned_network_forward(x, t.float()),
        (0.01, 1.0, 50.0),
    )


@animal
def lucidrains_elucidated_raw() -> Animal:
    """The same network without its preconditioning."""
    from denoising_diffusion_pytorch import ElucidatedDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), random_fourier_features=True, flash_attn=False)
    diffusion = awake(ElucidatedDiffusion(network, image_size=8))
    return Animal(
        network,
        {"path": "edm", "output": "edm(0.5)", "event_shape": (3, 8, 8), "time": "log(sigma)/4"},
        lambda x, t, _: diffusion.preconditioned_network_forward(x, t.float()),
        (0.01, 1.0, 50.0),
    )


@animal
def lucidrains_continuous_time() -> Animal:
    """Conditioned on log-SNR; alpha and sigma by the peer's own function."""
    from denoising_diffusion_pytorch import ContinuousTimeGaussianDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), random_fourier_features=True, flash_attn=False)
    diffusion = awake(ContinuousTimeGaussianDiffusion(network, image_size=8, noise_schedule="cosine"))

    def pair(time: Tensor) -> tuple[Tensor, Tensor]:
        log_snr = diffusion.log_snr(time)
        return log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        log_snr = diffusion.log_snr(t.float())
        noise = network(x, log_snr)
        return (x - rows((-log_snr).sigmoid().sqrt(), x) * noise) / rows(log_snr.sigmoid().sqrt(), x)

    return Animal(
        network, {"path": pair, "output": "eps", "event_shape": (3, 8, 8), "time": "log_snr"}, peer, (0.05, 0.4, 0.9)
    )


@animal
def lucidrains_karras_unet() -> Animal:
    """Its forward in train mode rewrites weights; evaluated in eval mode."""
    from denoising_diffusion_pytorch.karras_unet import KarrasUnet

    torch.manual_seed(0)
    network = KarrasUnet(image_size=8, dim=16, dim_max=16, num_downsamples=1, num_blocks_per_stage=1, attn_dim_head=8)
    peer = awake(network)
    return Animal(
        network.train(),
        {"path": "edm", "output": "x0", "event_shape": (4, 8, 8), "time": "log(sigma)/4"},
        lambda x, t, _: peer.eval()(x, t.float().log() / 4),
        (0.01, 1.0, 50.0),
    )


def _rectified(predict: str) -> Animal:
    from rectified_flow_pytorch import RectifiedFlow, Unet

    torch.manual_seed(0)
    flow = awake(RectifiedFlow(Unet(16, dim_mults=(1, 2)), predict=predict, data_shape=(3, 8, 8), eps=1e-6))

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        _output, velocity = flow.predict_flow(flow.model, x, times=t.float())[:2]
        return x + (1 - rows(t, x)) * velocity

    return Animal(flow, {"preset": presets.lucidrains(flow)}, peer, (0.05, 0.5, 0.95))


@animal
def rectified_flow() -> Animal:
    return _rectified("flow")


@animal
def rectified_flow_noise() -> Animal:
    return _rectified("noise")


@animal
def rectified_flow_clean() -> Animal:
    return _rectified("clean")


@animal
def video_diffusion() -> Animal:
    """Videos: channels, frames, height and width."""
    from video_diffusion_pytorch import GaussianDiffusion, Unet3D

    torch.manual_seed(0)
    network = Unet3D(16, dim_mults=(1, 2), attn_heads=2, attn_dim_head=8)
    diffusion = awake(GaussianDiffusion(network, image_size=8, num_frames=3, timesteps=200))
    return Animal(
        diffusion,
        {"path": "cosine_betas(200)", "output": "eps", "event_shape": (3, 3, 8, 8), "call": "denoise_fn(x, t)"},
        lambda x, t, _: diffusion.predict_start_from_noise(x, t.long(), network(x, t.long())),
        (2, 50, 150),
    )
