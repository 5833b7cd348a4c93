"""Foreign models, tiny and seeded: each declared as a user would, with the peer's own function for x0 beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.loading import presets
from torch import Tensor, nn

Peer = Callable[[Tensor, Tensor, Denoiser], Tensor]
"""(x_t, native time of every row, our denoiser) -> x0, in the peer's own units."""


@dataclass(frozen=True)
class Animal:
    """One model of the zoo."""

    denoiser: Denoiser
    peer: Peer
    times: tuple[float, ...]
    """Native times to compare at."""
    cond: dict[str, Tensor] | None = None


ZOO: dict[str, Callable[[], Animal]] = {}


def animal(make: Callable[[], Animal]) -> Callable[[], Animal]:
    ZOO[make.__name__] = make
    return make


def awake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that matter: many networks start with layers at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def rows(time: Tensor, like: Tensor) -> Tensor:
    return time.reshape(-1, *(1,) * (like.ndim - 1)).to(like)


def _gaussian(objective: str, **unet: Any) -> Any:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    torch.manual_seed(0)
    network = Unet(16, dim_mults=(1, 2), flash_attn=False, **unet)
    return awake(GaussianDiffusion(network, image_size=8, timesteps=200, objective=objective))


def _lucidrains(objective: str) -> Animal:
    diffusion = _gaussian(objective)
    return Animal(
        wrap(diffusion, preset=presets.lucidrains(diffusion)),
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
        wrap(diffusion, preset=presets.lucidrains(diffusion)),
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
        wrap(diffusion, preset=presets.lucidrains(diffusion), pick="[:, :C]"),
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
        wrap(diffusion, preset=presets.lucidrains(diffusion)),
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
        wrap(network, "edm", "edm(0.5)", (3, 8, 8), time="log(sigma)/4"),
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

    return Animal(wrap(network, pair, "eps", (3, 8, 8), time="log_snr"), peer, (0.05, 0.4, 0.9))


@animal
def lucidrains_karras_unet() -> Animal:
    """Its forward in train mode rewrites weights; evaluated in eval mode."""
    from denoising_diffusion_pytorch.karras_unet import KarrasUnet

    torch.manual_seed(0)
    network = KarrasUnet(image_size=8, dim=16, dim_max=16, num_downsamples=1, num_blocks_per_stage=1, attn_dim_head=8)
    peer = awake(network)
    return Animal(
        wrap(network.train(), "edm", "x0", (4, 8, 8), time="log(sigma)/4"),
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

    return Animal(wrap(flow, preset=presets.lucidrains(flow)), peer, (0.05, 0.5, 0.95))


@animal
def rectified_flow() -> Animal:
    return _rectified("flow")


@animal
def rectified_flow_noise() -> Animal:
    return _rectified("noise")


@animal
def rectified_flow_clean() -> Animal:
    return _rectified("clean")


class _Backbone(nn.Module):
    """A network of one's own, as azula and k-diffusion wrap them."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, channels, 3, padding=1)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        output: Tensor = self.inside(x) * (1 + torch.sin(rows(t.expand(len(x)), x)))
        return output


def _azula(kind: str, schedule: str) -> Animal:
    import azula.denoise
    import azula.noise

    torch.manual_seed(0)
    denoiser = getattr(azula.denoise, kind)(_Backbone(), getattr(azula.noise, schedule)()).eval()
    return Animal(
        wrap(denoiser, event_shape=(3, 8, 8), preset=presets.azula(denoiser)),
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
        wrap(network, event_shape=(channels, 16, 16), preset=presets.deepinv(network)),
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
def torchcfm_unet() -> Animal:
    from torchcfm.models.unet import UNetModel

    torch.manual_seed(0)
    network = awake(UNetModel(dim=(3, 8, 8), num_channels=32, num_res_blocks=1, channel_mult=(1, 2)))
    return Animal(
        wrap(network, event_shape=(3, 8, 8), preset=presets.torchcfm(network)),
        lambda x, t, _: x + (1 - rows(t, x)) * network(t.float(), x),
        (0.05, 0.5, 0.95),
    )


@animal
def torchcfm_labels() -> Animal:
    from torchcfm.models.unet import UNetModel

    torch.manual_seed(0)
    unet = UNetModel(
        dim=(3, 8, 8), num_channels=32, num_res_blocks=1, channel_mult=(1, 2), class_cond=True, num_classes=4
    )
    network, labels = awake(unet), torch.tensor([0, 1, 2, 3, 1, 0])
    return Animal(
        wrap(network, event_shape=(3, 8, 8), preset=presets.torchcfm(network)),
        lambda x, t, _: x + (1 - rows(t, x)) * network(t.float(), x, y=labels[: len(x)]),
        (0.05, 0.5, 0.95),
        {"class_labels": labels},
    )


@animal
def torchcfm_points() -> Animal:
    """Points in the plane, time as one more column."""
    from torchcfm.models import MLP

    torch.manual_seed(0)
    network = MLP(dim=2, time_varying=True)
    return Animal(
        wrap(network, "flow_matching", "flow", (2,), call="cat(x, t, dim=1)", time_shape="(B,1)"),
        lambda x, t, _: x + (1 - rows(t, x)) * network(torch.cat((x, rows(t, x)), 1)),
        (0.05, 0.5, 0.95),
    )


@animal
def flow_matching_ot() -> Animal:
    from flow_matching.path import CondOTProbPath
    from flow_matching.utils import ModelWrapper

    torch.manual_seed(0)
    network = ModelWrapper(_Backbone()).eval()
    path = CondOTProbPath()
    return Animal(
        wrap(network, event_shape=(3, 8, 8), preset=presets.flow_matching(network)),
        lambda x, t, _: path.velocity_to_target(network(x=x, t=t.float()), x, rows(t, x)),
        (0.05, 0.5, 0.95),
    )


@animal
def flow_matching_cosine() -> Animal:
    """Its scheduler is the path."""
    from flow_matching.path import AffineProbPath
    from flow_matching.path.scheduler import CosineScheduler

    torch.manual_seed(0)
    network, scheduler = _Backbone().eval(), CosineScheduler()
    path = AffineProbPath(scheduler=scheduler)
    return Animal(
        wrap(network, scheduler, "flow", (3, 8, 8)),
        lambda x, t, _: path.velocity_to_target(network(x, t.float()), x, rows(t, x)),
        (0.05, 0.5, 0.95),
    )


@animal
def k_diffusion_karras() -> Animal:
    from k_diffusion.layers import Denoiser as Karras

    torch.manual_seed(0)
    network = Karras(_Backbone(), sigma_data=0.5).eval()
    return Animal(
        wrap(network, event_shape=(3, 8, 8), preset=presets.k_diffusion(network)),
        lambda x, t, _: network(x, t.float()),
        (0.01, 1.0, 50.0),
    )


def _discrete(kind: str, output: str) -> Animal:
    """The network inside k-diffusion's wrapper, whose x0 is at the scaled state."""
    import k_diffusion.external

    torch.manual_seed(0)
    network = _Backbone().eval()
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    wrapper = getattr(k_diffusion.external, kind)(network, (1 - betas).cumprod(0).float(), quantize=False)

    def peer(x: Tensor, t: Tensor, ours: Denoiser) -> Tensor:
        level = ours.level(time=t)
        return wrapper(x / rows(level.alpha, x), level.sigma.float())

    return Animal(wrap(network, "linear", output, (3, 8, 8)), peer, (3, 400.5, 950))


@animal
def k_diffusion_discrete_eps() -> Animal:
    return _discrete("DiscreteEpsDDPMDenoiser", "eps")


@animal
def k_diffusion_discrete_v() -> Animal:
    return _discrete("DiscreteVDDPMDenoiser", "v")


@animal
def k_diffusion_v() -> Animal:
    """A v network on the circle: functions as path."""
    from k_diffusion.external import VDenoiser

    torch.manual_seed(0)
    network = _Backbone().eval()
    wrapper = VDenoiser(network)

    def peer(x: Tensor, t: Tensor, ours: Denoiser) -> Tensor:
        level = ours.level(time=t)
        return wrapper(x / rows(level.alpha, x), level.sigma.float())

    circle = (lambda t: torch.cos(t * math.pi / 2), lambda t: torch.sin(t * math.pi / 2))
    return Animal(wrap(network, circle, "v", (3, 8, 8)), peer, (0.05, 0.5, 0.95))


def _small(network: Any, output: Any, path: str = "edm(0.01, 20)") -> Animal:
    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        each = [x[i] - t[i] * network.predict_eps(x[i : i + 1], t[i].float())[0] for i in range(len(x))]
        return torch.stack(each).float()

    return Animal(wrap(network, path, output, tuple(network.input_dims)), peer, (0.02, 1.0, 15.0))


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
        wrap(model, "ve(0.01, 50)", "score", (2,), call="score(t, x)"),
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
        wrap(model, "ve(0.01, 50)", "score", (2,), call="score(t, x)", grad=True),
        lambda x, t, _: (x + rows(model.sde.sigma(t.float()), x) ** 2 * model.score(t.float(), x)).detach(),
        (0.1, 0.5, 0.9),
    )


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

    return Animal(wrap(network, "scaled_linear(0.0001, 0.02)", output, (1, *(8,) * dimensions)), peer, (0, 400, 950))


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

    ours = wrap(
        network,
        event_shape=(3, 8, 8),
        call="x, t, y=class_labels",
        classes=4,
        preset=presets.guided_diffusion(diffusion),
    )
    return Animal(ours, peer, (0, 20, len(diffusion.betas) - 5), {"class_labels": labels})


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
