"""Flow matching: torchcfm, flow_matching, torchebm, FluidFlow."""

from __future__ import annotations

from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor

from .zoo import HALF, Animal, Backbone, animal, awake, rows


@animal
def torchcfm_unet() -> Animal:
    from torchcfm.models.unet import UNetModel

    torch.manual_seed(0)
    network = awake(UNetModel(dim=(3, 8, 8), num_channels=32, num_res_blocks=1, channel_mult=(1, 2)))
    return Animal(
        network,
        {"preset": presets.torchcfm(network), "event_shape": (3, 8, 8)},
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
        network,
        {"preset": presets.torchcfm(network), "event_shape": (3, 8, 8)},
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
        network,
        {
            "path": "flow_matching",
            "output": "flow",
            "event_shape": (2,),
            "call": "cat(x, t, dim=1)",
            "time_shape": "(B,1)",
        },
        lambda x, t, _: x + (1 - rows(t, x)) * network(torch.cat((x, rows(t, x)), 1)),
        (0.05, 0.5, 0.95),
    )


@animal
def flow_matching_ot() -> Animal:
    from flow_matching.path import CondOTProbPath
    from flow_matching.utils import ModelWrapper

    torch.manual_seed(0)
    network = ModelWrapper(Backbone()).eval()
    path = CondOTProbPath()
    return Animal(
        network,
        {"preset": presets.flow_matching(network), "event_shape": (3, 8, 8)},
        lambda x, t, _: path.velocity_to_target(network(x=x, t=t.float()), x, rows(t, x)),
        (0.05, 0.5, 0.95),
    )


@animal
def flow_matching_bf16() -> Animal:
    """Half precision inside; time in single."""
    from flow_matching.path import CondOTProbPath

    torch.manual_seed(0)
    network, path = Backbone().eval().to(torch.bfloat16), CondOTProbPath()
    return Animal(
        network,
        {"path": "flow_matching", "output": "flow", "event_shape": (3, 8, 8)},
        lambda x, t, _: path.velocity_to_target(network(x.bfloat16(), t.float()).float(), x, rows(t, x)),
        (0.05, 0.5, 0.95),
        tolerance=HALF,
    )


@animal
def flow_matching_cosine() -> Animal:
    """Its scheduler is the path."""
    from flow_matching.path import AffineProbPath
    from flow_matching.path.scheduler import CosineScheduler

    torch.manual_seed(0)
    network, scheduler = Backbone().eval(), CosineScheduler()
    path = AffineProbPath(scheduler=scheduler)
    return Animal(
        network,
        {"path": scheduler, "output": "flow", "event_shape": (3, 8, 8)},
        lambda x, t, _: path.velocity_to_target(network(x, t.float()), x, rows(t, x)),
        (0.05, 0.5, 0.95),
    )


def _torchebm(interpolant: str, path: Any) -> Animal:
    """Class labels, dropped at random unless it is in eval mode."""
    import torchebm.interpolants
    from torchebm.models import DiT

    torch.manual_seed(0)
    sizes = {"input_size": 8, "in_channels": 3, "embed_dim": 16, "depth": 1, "num_heads": 2}
    network, labels = awake(DiT(**sizes, num_classes=4, class_dropout_prob=0.1)), torch.tensor([0, 1, 2, 3, 1, 0])
    plan = getattr(torchebm.interpolants, interpolant)()

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        velocity = network(x, t.float(), labels[: len(x)])
        noise = plan.velocity_to_noise(velocity, x, t.float())
        alpha, sigma = plan.compute_alpha_t(t.float())[0], plan.compute_sigma_t(t.float())[0]
        return (x - rows(sigma, x) * noise) / rows(alpha, x)

    fields = {"path": path, "output": "flow", "event_shape": (3, 8, 8), "call": "x, t, class_labels", "classes": 4}
    return Animal(network, fields, peer, (0.1, 0.5, 0.95), {"class_labels": labels})


@animal
def torchebm_linear() -> Animal:
    return _torchebm("LinearInterpolant", "flow_matching")


@animal
def torchebm_cosine() -> Animal:
    """SiT's GVP path, as formulas."""
    return _torchebm("CosineInterpolant", {"alpha": "sin(pi*t/2)", "sigma_t": "cos(pi*t/2)"})


def _fluidflow(kind: str, path: Any) -> Animal:
    """A one-dimensional DiT with SiT's paths, conditioned on numbers."""
    import fluidFlow.flow_matching.path as plans
    from fluidFlow.dit import DiT

    torch.manual_seed(0)
    sizes = {"input_size": 16, "patch_size": 4, "in_channels": 2, "hidden_size": 16, "depth": 1, "num_heads": 2}
    network, plan = awake(DiT(**sizes, cond_dim=2)), getattr(plans, kind)()
    cond = {"classes": torch.randn(6, 2, generator=torch.Generator().manual_seed(2))}

    def peer(x: Tensor, t: Tensor, _: Denoiser) -> Tensor:
        velocity = network(x, t.float(), cond["classes"])
        score = plan.get_score_from_velocity(velocity, x, t.float())
        alpha, sigma = (rows(part(t)[0], x) for part in (plan.compute_alpha_t, plan.compute_sigma_t))
        return (x + sigma**2 * score) / alpha

    fields = {"path": path, "output": "flow", "event_shape": (2, 16)}
    return Animal(network, fields, peer, (0.1, 0.5, 0.95), cond)


@animal
def fluidflow_linear() -> Animal:
    return _fluidflow("ICPlan", "flow_matching")


@animal
def fluidflow_gvp() -> Animal:
    return _fluidflow("GVPCPlan", {"alpha": "sin(pi*t/2)", "sigma_t": "cos(pi*t/2)"})
