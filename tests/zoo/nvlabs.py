"""NVlabs' EDM codebase as NVIDIA Modulus ships it: SongUNet and DhariwalUNet under the four preconditionings.

Each is declared twice: as the denoiser D(x, sigma), and as the raw network inside, whose preconditioning the
declaration has to get right.
"""

from __future__ import annotations

from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser
from sigmascope.evals.loading import presets
from torch import Tensor

from .zoo import Animal, animal, awake, rows

_SMALL = {"model_channels": 16, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": [4]}
SIGMAS = (0.05, 1.0, 40.0)


def _precond(kind: str, **options: Any) -> Any:
    import modulus.models.diffusion as networks

    torch.manual_seed(0)
    return awake(getattr(networks, kind)(8, 3, **_SMALL, **options))


def _denoiser(kind: str, **options: Any) -> Animal:
    network = _precond(kind, **options)
    return Animal(network, {"preset": presets.edm(network)}, lambda x, t, _: network(x, t), SIGMAS)


def _raw(kind: str, fields: dict[str, Any], times: tuple[float, ...], **options: Any) -> Animal:
    whole = _precond(kind, **options)

    def peer(x: Tensor, t: Tensor, ours: Denoiser) -> Tensor:
        level = ours.level(time=t)
        found: Tensor = whole(x / rows(level.alpha, x), level.sigma.float())
        return found

    given = {"event_shape": (3, 8, 8), "call": "x, t, class_labels=None", **fields}
    return Animal(whole.model, given, peer, times)


@animal
def edm() -> Animal:
    return _denoiser("EDMPrecond")


@animal
def edm_labels() -> Animal:
    """One-hot labels: integers would crash it at one batch size and answer at another."""
    network, labels = _precond("EDMPrecond", label_dim=4), torch.tensor([0, 1, 2, 3, 1, 0])
    one_hot = torch.nn.functional.one_hot(labels, 4)
    return Animal(
        network,
        {"preset": presets.edm(network)},
        lambda x, t, _: network(x, t, one_hot[: len(x)]),
        SIGMAS,
        {"class_labels": labels},
    )


@animal
def edm_vp() -> Animal:
    return _denoiser("VPPrecond")


@animal
def edm_ve() -> Animal:
    return _denoiser("VEPrecond", embedding_type="fourier", encoder_type="residual")


@animal
def edm_iddpm() -> Animal:
    return _denoiser("iDDPMPrecond")


@animal
def edm_raw() -> Animal:
    return _raw("EDMPrecond", {"path": "edm", "output": "edm(0.5)", "time": "log(sigma)/4"}, SIGMAS)


@animal
def edm_vp_raw() -> Animal:
    """DDPM++ of score SDE: noise at t in [0, 1], fed as 999 t."""
    return _raw("VPPrecond", {"path": "vp(0.1, 20)", "output": "eps", "time": "999*t"}, (0.01, 0.4, 0.9))


@animal
def edm_ve_raw() -> Animal:
    """NCSN++ of score SDE: predicts the noise's opposite."""
    fields = {"path": "ve(0.02, 100)", "output": "-eps", "time": "log(sigma/2)"}
    return _raw("VEPrecond", fields, (0.05, 0.5, 0.9), embedding_type="fourier", encoder_type="residual")


@animal
def edm_iddpm_raw() -> Animal:
    """Improved diffusion's cosine betas and learned variance."""
    return _raw("iDDPMPrecond", {"path": "cosine_betas", "output": "eps", "pick": "[:, :C]"}, (10, 400, 900))
