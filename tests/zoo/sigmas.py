"""Denoisers of a sigma and score networks: azula, deepinv, k-diffusion, smalldiffusion, score-models, v-diffusion."""

from __future__ import annotations

from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor, nn

from .zoo import Animal, Backbone, animal, awake, each, rows


def _azula(kind: str, schedule: str) -> Animal:
    import azula.denoise
    import azula.noise

    torch.manual_seed(0)
    denoiser = getattr(azula.denoise, kind)(Backbone(), getattr(azula.noise, schedule)()).eval()
    return Animal(
        denoiser,
        {"preset": presets.azula(denoiser), "event_shape": (3, 8, 8)},
        lambda x, t, _: denoiser(x, t.float()).mean,
        (0.05, 0.5, 0.95),
    )


@animal
def azula_karras_ve() -> Animal:
    return _azula("KarrasDenoiser", "VESchedule")


@animal
def azula_karras_vp() -> Animal:
    return _azula("KarrasDenoiser", "VPSchedule")


@animal
def azula_simple_rectified() -> Animal:
    return _azula("SimpleDenoiser", "RectifiedSchedule")


def _deepinv(network: nn.Module, channels: int) -> Animal:
    return Animal(
        network,
        {"preset": presets.deepinv(network), "event_shape": (channels, 16, 16)},
        lambda x, t, _: network(x, t.float()),
        (0.02, 0.2, 0.9),
    )


@animal
def deepinv_drunet() -> Animal:
    """Data in [0, 1]."""
    from deepinv.models import DRUNet

    torch.manual_seed(0)
    return _deepinv(awake(DRUNet(1, 1, nc=(8, 8, 8, 8), nb=1, pretrained=None)), 1)


@animal
def deepinv_ncsnpp() -> Animal:
    from deepinv.models import NCSNpp

    torch.manual_seed(0)
    network = NCSNpp(
        img_resolution=16, model_channels=32, channel_mult=(1, 1), num_blocks=1, attn_resolutions=(8,), pretrained=None
    )
    return _deepinv(awake(network), 3)


@animal
def k_diffusion_karras() -> Animal:
    from k_diffusion.layers import Denoiser as Karras

    torch.manual_seed(0)
    network = Karras(Backbone(), sigma_data=0.5).eval()
    return Animal(
        network,
        {"preset": presets.k_diffusion(network), "event_shape": (3, 8, 8)},
        lambda x, t, _: network(x, t.float()),
        (0.01, 1.0, 50.0),
    )


def _discrete(kind: str, output: str) -> Animal:
    """The network inside k-diffusion's wrapper, whose x0 is at the scaled state."""
    import k_diffusion.external

    torch.manual_seed(0)
    network = Backbone().eval()
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    wrapper = getattr(k_diffusion.external, kind)(network, (1 - betas).cumprod(0).float(), quantize=False)

    def peer(x: Tensor, t: Tensor, ours: Denoiser) -> Tensor:
        level = ours.level(time=t)
        return wrapper(x / rows(level.alpha, x), level.sigma.float())

    return Animal(network, {"path": "linear", "output": output, "event_shape": (3, 8, 8)}, peer, (3, 400.5, 950))


@animal
def k_diffusion_discrete_eps() -> Animal:
    return _discrete("DiscreteEpsDDPMDenoiser", "eps")


@animal
def k_diffusion_discrete_v() -> Animal:
    return _discrete("DiscreteVDDPMDenoiser", "v")


@animal
def k_diffusion_v() -> Animal:
    """A v network on the circle."""
    from k_diffusion.external import VDenoiser

    torch.manual_seed(0)
    network = Backbone().eval()
    wrapper = VDenoiser(network)

    def peer(x: Tensor, t: Tensor, ours: Denoiser) -> Tensor:
        level = ours.level(time=t)
        return wrapper(x / rows(level.alpha, x), level.sigma.float())

    return Animal(network, {"path": "cosine(0)", "output": "v", "event_shape": (3, 8, 8)}, peer, (0.05, 0.5, 0.95))


def _small(network: Any, output: Any, path: str = "edm(0.01, 20)") -> Animal:
    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        each = [x[i] - t[i] * network.predict_eps(x[i : i + 1], t[i].float())[0] for i in range(len(x))]
        return torch.stack(each).float()

    return Animal(
        network, {"path": path, "output": output, "event_shape": tuple(network.input_dims)}, peer, (0.02, 1.0, 15.0)
    )


@animal
def smalldiffusion_points() -> Animal:
    from smalldiffusion import TimeInputMLP

    torch.manual_seed(0)
    return _small(TimeInputMLP(hidden_dims=(16, 16)), "eps")


@animal
def smalldiffusion_x0() -> Animal:
    from smalldiffusion import TimeInputMLP
    from smalldiffusion.model import PredX0

    torch.manual_seed(0)
    return _small(PredX0(TimeInputMLP)(hidden_dims=(16, 16)), "x0")


@animal
def smalldiffusion_dit() -> Animal:
    from smalldiffusion import DiT

    torch.manual_seed(0)
    return _small(awake(DiT(in_dim=8, channels=3, depth=1, head_dim=8, num_heads=2)), "eps")


@animal
def score_models_ve() -> Animal:
    """score(t, x); Tweedie's formula is the peer's x0."""
    from score_models import MLP, ScoreModel

    torch.manual_seed(0)
    model = ScoreModel(MLP(2, units=16), sde="ve", sigma_min=0.01, sigma_max=50.0)
    return Animal(
        model,
        {"path": "ve(0.01, 50)", "output": "score", "event_shape": (2,), "call": "score(t, x)"},
        lambda x, t, _: x + rows(model.sde.sigma(t.float()), x) ** 2 * model.score(t.float(), x),
        (0.1, 0.5, 0.9),
    )


@animal
def score_models_energy() -> Animal:
    """Differentiates inside its forward."""
    from score_models import MLP, EnergyModel

    torch.manual_seed(0)
    model = EnergyModel(MLP(2, units=16, nn_is_energy=True), sde="ve", sigma_min=0.01, sigma_max=50.0)
    return Animal(
        model,
        {"path": "ve(0.01, 50)", "output": "score", "event_shape": (2,), "call": "score(t, x)", "grad": True},
        lambda x, t, _: (x + rows(model.sde.sigma(t.float()), x) ** 2 * model.score(t.float(), x)).detach(),
        (0.1, 0.5, 0.9),
    )


@animal
def v_diffusion() -> Animal:
    """crowsonkb's v objective on the circle; its own sampler's first step gives x0."""
    from diffusion import sampling

    torch.manual_seed(0)
    network = Backbone().eval()

    def one(x: Tensor, t: Tensor) -> Tensor:
        found: Tensor = sampling.sample(network, x, t.float().reshape(1), 0.0, {})
        return found

    fields = {"path": "cosine(0)", "output": "v", "event_shape": (3, 8, 8)}
    return Animal(network, fields, lambda x, t, _: each(one, x, t), (0.05, 0.5, 0.95))
