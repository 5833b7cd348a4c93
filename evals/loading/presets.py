"""Presets by family: what the public codebases have in common, read off their own objects where those say it.

A preset returns a Declaration; `wrap(network, preset=presets.edm(network))` uses it, and a suite names it:
`preset = "edm"`. Fields given beside a preset go before it. Where a family keeps its process in another object than the
network (guided diffusion's `diffusion`, score SDE's `sde`), the preset takes that object; in a suite the factory
returns (network, process).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...errors import ConfigError
from ...registry import Registry
from ..declaration import Declaration
from ..paths import path
from .diffusers import network_convention, read_convention

PRESETS: Registry[Callable[[Any], Declaration]] = Registry("preset")

_LABELS = ", one_hot(class_labels, {})"


@PRESETS.register("edm")
def edm(network: Any) -> Declaration:
    """NVlabs' EDM and EDM2 networks: D(x, sigma, one-hot labels), shape and classes as they keep them."""
    size, classes = network.img_resolution, int(getattr(network, "label_dim", 0) or 0)
    low, high = (float(getattr(network, f"sigma_{end}", 0.0)) for end in ("min", "max"))
    ends = low or 0.002, high if 0 < high < math.inf else 80.0
    call = f"x, t{_LABELS.format(classes)}" if classes else "x, t"
    shape = (network.img_channels, size, size)
    return Declaration(f"edm{ends}", "x0", shape, call=call, classes=classes or None)


@PRESETS.register("guided_diffusion")
def guided_diffusion(diffusion: Any) -> Declaration:
    """guided-diffusion, improved-diffusion and DiT by their GaussianDiffusion: mean, learned variance, respacing."""
    kinds = {"EPSILON": "eps", "START_X": "x0", "VELOCITY": "v"}
    mean = diffusion.model_mean_type.name
    if mean not in kinds:
        raise ConfigError(f"preset guided_diffusion: expected model_mean_type of {', '.join(kinds)}, got {mean}")
    steps = [float(step) for step in getattr(diffusion, "timestep_map", range(len(diffusion.alphas_cumprod)))]
    scale = 1000.0 / getattr(diffusion, "original_num_steps", len(steps))
    rescaled = bool(getattr(diffusion, "rescale_timesteps", False))
    learned = diffusion.model_var_type.name in ("LEARNED", "LEARNED_RANGE")
    return Declaration(
        {"alphas_cumprod": diffusion.alphas_cumprod},
        kinds[mean],
        time=[step * scale for step in steps] if rescaled else [int(step) for step in steps],
        call="x, t, **cond",
        pick="[:, :C]" if learned else None,
    )


def diffusers(network: Any, scheduler: Any) -> Declaration:
    """A diffusers network by the scheduler it was trained with, which says what it predicts and on which path."""
    config = {**scheduler.config, "_class_name": type(scheduler).__name__}
    return network_convention(network).over(read_convention(config))


@PRESETS.register("dit")
def dit(network: Any) -> Declaration:
    """DiT (arXiv:2212.09748): eps with a learned variance on DDPM's betas, on latents; y is the label."""
    shape = _latent_shape(network)
    pick = "[:, :C]" if getattr(network, "learn_sigma", True) else None
    call, classes = _labelled(network)
    return Declaration("linear", "eps", shape, "index", call, pick, classes=classes)


@PRESETS.register("sit")
def sit(network: Any) -> Declaration:
    """SiT (arXiv:2401.08740): flow velocity on the linear path with data at t = 1, on latents; y is the label."""
    call, classes = _labelled(network)
    return Declaration("flow_matching", "flow", _latent_shape(network), call=call, classes=classes)


@PRESETS.register("flow_matching")
def flow_matching(network: Any) -> Declaration:
    """facebookresearch/flow_matching: u(x=x, t=t), the conditional-OT path, data at t = 1."""
    return Declaration("flow_matching", "flow", call="(x=x, t=t, **cond)")


@PRESETS.register("torchcfm")
def torchcfm(network: Any) -> Declaration:
    """torchcfm: u(t, x), data at t = 1; labels are y."""
    shape = getattr(network, "dim", None)
    classes = getattr(network, "num_classes", None)
    call = "t, x, y=class_labels" if classes else "t, x"
    return Declaration("flow_matching", "flow", shape, call=call, classes=classes)


@PRESETS.register("score_sde")
def score_sde(sde: Any) -> Declaration:
    """score_sde by its VESDE, VPSDE or subVPSDE: a score network fed sigma, or noise prediction over its standard
    deviation fed 999 t (arXiv:2011.13456)."""
    kind = type(sde).__name__.lower()
    if kind == "vesde":
        return Declaration(f"ve({float(sde.sigma_min)}, {float(sde.sigma_max)})", "score", time="sigma")
    if kind in ("vpsde", "subvpsde"):
        name = "vp" if kind == "vpsde" else "sub_vp"
        return Declaration(f"{name}({float(sde.beta_0)}, {float(sde.beta_1)})", "eps", time="999*t")
    raise ConfigError(f"preset score_sde: expected VESDE, VPSDE or subVPSDE, got {type(sde).__name__}")


@PRESETS.register("k_diffusion")
def k_diffusion(network: Any) -> Declaration:
    """k-diffusion's wrappers: D(x, sigma), with the wrapped model's own sigmas where it has a table."""
    sigmas = getattr(network, "sigmas", None)
    ends = (0.002, 80.0) if sigmas is None else (float(sigmas[0]), float(sigmas[-1]))
    return Declaration(f"edm{ends}", "x0")


@PRESETS.register("lucidrains")
def lucidrains(diffusion: Any) -> Declaration:
    """denoising-diffusion-pytorch and rectified-flow-pytorch, by the object that holds the network as `.model`."""
    if hasattr(diffusion, "preconditioned_network_forward"):
        size = diffusion.image_size
        ends = (float(diffusion.sigma_min), float(diffusion.sigma_max))
        return Declaration(
            f"edm{ends}", "x0", (diffusion.channels, size, size), call="preconditioned_network_forward(x, t)"
        )
    if hasattr(diffusion, "alphas_cumprod"):
        kinds = {"pred_noise": "eps", "pred_x0": "x0", "pred_v": "v"}
        size = getattr(diffusion, "image_size", None) or (diffusion.seq_length,)
        spatial = (size, size) if isinstance(size, int) else tuple(size)
        table = {"betas": diffusion.betas}  # its float32 alphas_cumprod has lost 1 - abar near the data
        shape = (diffusion.channels, *spatial)
        return Declaration(table, kinds[diffusion.objective], shape, "index", "model(x, t)")
    kinds = {"flow": "flow", "noise": "eps", "clean": "x0"}
    name = getattr(diffusion, "time_cond_kwarg", None)
    call = f"model(x, {name}=t)" if name else "model(x)"
    return Declaration("flow_matching", kinds[diffusion.predict], diffusion.data_shape, call=call)


@PRESETS.register("azula")
def azula(denoiser: Any) -> Declaration:
    """azula: q(X | x_t) = denoiser(x_t, t), on the schedule it carries."""
    return Declaration(path(denoiser.schedule), "x0", pick=".mean")


@PRESETS.register("deepinv")
def deepinv(denoiser: Any) -> Declaration:
    """deepinv's denoisers: D(y, sigma) on data in [0, 1], sigma in those units."""
    return Declaration("edm(0.002, 1.0)", "x0", data_range=(0.0, 1.0))


@PRESETS.register("ddpm")
def ddpm(network: Any) -> Declaration:
    """Noise prediction on DDPM's betas with an integer index (arXiv:2006.11239)."""
    return Declaration("linear", "eps", time="index")


def _latent_shape(network: Any) -> tuple[int, int, int] | None:
    embedder = getattr(network, "x_embedder", None)
    size = getattr(embedder, "img_size", None)
    if size is None or not hasattr(network, "in_channels"):
        return None
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    return (int(network.in_channels), height, width)


def _labelled(network: Any) -> tuple[str, int | None]:
    classes = getattr(getattr(network, "y_embedder", None), "num_classes", None)
    return ("x, t, class_labels", int(classes)) if classes else ("x, t, **cond", None)
