"""Indices into a table of betas: MONAI, guided and improved diffusion, diffusion-pytorch-lib."""

from __future__ import annotations

from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor

from .zoo import Animal, Backbone, animal, awake


def _monai(dimensions: int, prediction: str, output: str) -> Animal:
    from monai.networks.nets import DiffusionModelUNet
    from monai.networks.schedulers import DDIMScheduler

    torch.manual_seed(0)
    unet = DiffusionModelUNet(
        spatial_dims=dimensions,
        in_channels=1,
        out_channels=1,
        channels=(8, 16),
        attention_levels=(False, False),
        num_res_blocks=1,
        norm_num_groups=4,
        num_head_channels=8,
    )
    network = awake(unet)
    scheduler = DDIMScheduler(1000, schedule="scaled_linear_beta", prediction_type=prediction, clip_sample=False)
    scheduler.set_timesteps(1000)

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        output = network(x, t.float())
        return torch.cat([scheduler.step(output[i : i + 1], int(t[i]), x[i : i + 1])[1] for i in range(len(x))])

    return Animal(
        network,
        {"path": "scaled_linear(0.0001, 0.02)", "output": output, "event_shape": (1, *(8,) * dimensions)},
        peer,
        (0, 400, 950),
    )


@animal
def monai_image() -> Animal:
    return _monai(2, "epsilon", "eps")


@animal
def monai_volume_v() -> Animal:
    return _monai(3, "v_prediction", "v")


def _guided(**options: Any) -> Animal:
    from guided_diffusion.script_util import create_gaussian_diffusion
    from guided_diffusion.unet import UNetModel

    torch.manual_seed(0)
    learn = options.get("learn_sigma", False)
    unet = UNetModel(
        image_size=8,
        in_channels=3,
        model_channels=32,
        out_channels=6 if learn else 3,
        num_res_blocks=1,
        attention_resolutions=(),
        channel_mult=(1, 2),
        num_classes=4,
    )
    network, labels = awake(unet), torch.tensor([0, 1, 2, 3, 1, 0])
    diffusion = create_gaussian_diffusion(**options)

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        given = {"y": labels[: len(x)]}
        found: Tensor = diffusion.p_mean_variance(network, x, t.long(), clip_denoised=False, model_kwargs=given)[
            "pred_xstart"
        ]
        return found

    fields = {
        "preset": presets.guided_diffusion(diffusion),
        "event_shape": (3, 8, 8),
        "call": "x, t, y=class_labels",
        "classes": 4,
    }
    return Animal(network, fields, peer, (0, 20, len(diffusion.betas) - 5), {"class_labels": labels})


@animal
def guided_diffusion_learned_variance() -> Animal:
    return _guided(learn_sigma=True)


@animal
def improved_diffusion_respaced_rescaled() -> Animal:
    """4,000 cosine steps, respaced to 50, fed on a scale of 1,000."""
    return _guided(
        steps=4000, noise_schedule="cosine", rescale_timesteps=True, timestep_respacing="50", learn_sigma=True
    )


@animal
def guided_diffusion_xstart() -> Animal:
    return _guided(predict_xstart=True, timestep_respacing="100")


def _library(schedule: str, path: str) -> Animal:
    """Its own U-Net does not run; the diffusion around it does."""
    from diffusion_pytorch_lib.module import Diffusion

    torch.manual_seed(0)
    diffusion = Diffusion(Backbone(), 8, beta_schedule=schedule).eval()

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        found: Tensor = diffusion.predict_start_from_noise(x, t.long(), diffusion.model(x, t.long()))
        return found

    fields = {"path": path, "output": "eps", "event_shape": (3, 8, 8), "call": "model(x, t)"}
    return Animal(diffusion, fields, peer, (5, 400, 900))


@animal
def diffusion_pytorch_lib_linear() -> Animal:
    return _library("linear", "linear")


@animal
def diffusion_pytorch_lib_cosine() -> Animal:
    return _library("cosine", "cosine_betas")
