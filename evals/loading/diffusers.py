"""`diffusers:PATH-or-hub-id`: a U-Net or transformer with the scheduler that says what it predicts and on which path.

The convention is read from the scheduler's configuration, never guessed; a recipe's declared fields go before it. A
pipeline's autoencoder and text encoder come along.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import LoadError
from ..declaration import Declaration
from ..denoiser import Denoiser, Traits
from ..schedules import Table
from .diffusers_files import load_network, read_json
from .pipelines import PARTS, companions_of
from .spec import LOADERS, Recipe, as_declared

_NETWORK_FOLDERS = ("unet", "transformer", ".")
_TIMES_A_THOUSAND = (
    "ChromaTransformer2DModel",
    "FluxTransformer2DModel",
    "Flux2Transformer2DModel",
    "Flux3Transformer2DModel",
    "LongCatImageTransformer2DModel",
    "OvisImageTransformer2DModel",
    "QwenImageTransformer2DModel",
)
"""Networks that multiply the time they receive by 1000, which others leave to the scheduler."""
_OUTPUTS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}


@LOADERS.register("diffusers")
def load_diffusers(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """A folder (or hub repository) with `unet/` or `transformer/` and `scheduler/`; weights from safetensors only."""
    folder = Path(location).expanduser()
    if not folder.is_dir():
        folder = _from_hub(location)
    candidates = (folder / name for name in _NETWORK_FOLDERS)
    network_folder = next((path for path in candidates if (path / "config.json").is_file()), None)
    if network_folder is None:
        raise LoadError(
            f"diffusers:{location}: expected unet/config.json or transformer/config.json, "
            f"got {sorted(path.name for path in folder.iterdir())}"
        )
    scheduler = _scheduler_config(folder, location)
    network, digest = load_network(network_folder, location)
    base = network_convention(network).over(read_convention(scheduler, location))
    base = companions_of(network, folder, recipe.declaration, device).over(base)
    traits = Traits(spec=f"diffusers:{location}", fingerprint=digest, scheduler=scheduler)
    return as_declared(network, recipe, device=device, micro_batch=micro_batch, traits=traits, base=base)


def network_convention(network: Any) -> Declaration:
    """What a diffusers network says of itself: shape of a sample, classes, a learned variance, where its time goes."""
    config = network.config
    channels, size = config.get("in_channels"), config.get("sample_size")
    one_dimensional = type(network).__name__.startswith("UNet1D")
    spatial = (size,) if one_dimensional else (size, size) if isinstance(size, int) else tuple(size or ())
    classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm")
    arguments = list(inspect.signature(network.forward).parameters)
    takes_labels = classes and "class_labels" in arguments
    by_name = "timestep" in arguments[2:]
    learned = channels and config.get("out_channels") == 2 * channels
    return Declaration(
        event_shape=(channels, *spatial) if channels and size else None,
        time="t" if type(network).__name__ in _TIMES_A_THOUSAND else None,
        call="x, timestep=t, **cond" if by_name else None,
        pick=".sample[:, :C]" if learned else ".sample",
        classes=classes if takes_labels else None,
    )


def read_convention(config: dict[str, Any], location: str = "") -> Declaration:
    """Path, output and time of the network trained with this scheduler configuration.

    Raises LoadError for a configuration whose convention is not known.
    """
    import diffusers

    name = str(config.get("_class_name", ""))
    prediction = str(config.get("prediction_type", "epsilon"))
    kind = getattr(diffusers, name, None)
    steps = config.get("num_train_timesteps", 1000)
    ends = (config.get("sigma_min"), config.get("sigma_max"))
    if name.startswith("FlowMatch") or prediction == "flow_prediction":
        return Declaration("rectified_flow", "flow", time=f"{steps}*t")
    if name == "ScoreSdeVeScheduler":
        return Declaration(f"ve{ends}", "score", time="sigma")
    if name.startswith("EDM") and prediction in ("epsilon", "v_prediction"):
        return Declaration(f"edm{ends}", _edm(config, prediction), time="log(sigma)/4")
    if name == "CMStochasticIterativeScheduler":
        return Declaration(f"edm{ends}", _consistency(config), time="250*log(sigma + 1e-44)")
    if name == "VQDiffusionScheduler":
        raise LoadError(f"diffusers:{location}: tokens in, logits out: a discrete model is no Gaussian denoiser")
    if kind is None or not hasattr(kind, "from_config") or prediction not in _OUTPUTS:
        raise LoadError(
            f"diffusers:{location}: expected a variance-preserving, FlowMatch, EDM or score SDE scheduler that "
            f"predicts one of {sorted(_OUTPUTS)}, got {name or 'no _class_name'} predicting {prediction!r}; "
            "declare path and output"
        )
    scheduler = kind.from_config(config)
    if config.get("timestep_type") == "continuous":
        ends = (ends[0] or float(scheduler.sigmas[-2]), ends[1] or float(scheduler.sigmas[0]))
        return Declaration(f"vp_sigma{ends}", _OUTPUTS[prediction], time="log(sigma)/4")
    betas = getattr(scheduler, "betas", None)
    if not isinstance(betas, Tensor):
        raise LoadError(f"diffusers:{location}: expected a scheduler with betas, got {name}; declare path and output")
    return Declaration(Table.from_betas(betas), _OUTPUTS[prediction])


def _edm(config: dict[str, Any], prediction: str) -> dict[str, str]:
    """EDM's preconditioning as diffusers' EDM schedulers apply it; "v_prediction" has the opposite sign."""
    data = float(config.get("sigma_data", 0.5))
    root, sign = f"sqrt(sigma**2 + {data**2})", "-" if prediction == "v_prediction" else ""
    return {
        "c_skip": f"{data**2}/(sigma**2 + {data**2})",
        "c_out": f"{sign}sigma*{data}/{root}",
        "c_in": f"1/{root}",
    }


def _consistency(config: dict[str, Any]) -> dict[str, str]:
    """Consistency models' boundary condition: D(x; sigma_min) = x (arXiv:2303.01469, appendix C)."""
    data, low = float(config.get("sigma_data", 0.5)), float(config.get("sigma_min", 0.002))
    return {
        "c_skip": f"{data**2}/((sigma - {low})**2 + {data**2})",
        "c_out": f"(sigma - {low})*{data}/sqrt(sigma**2 + {data**2})",
        "c_in": f"1/sqrt(sigma**2 + {data**2})",
    }


def _scheduler_config(folder: Path, location: str) -> dict[str, Any]:
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise LoadError(f"diffusers:{location}: expected scheduler/scheduler_config.json, which says what is predicted")
    return read_json(path, location)


def _from_hub(location: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        parts = ("unet", "transformer", "scheduler", *PARTS)
        patterns = [*(f"{name}/*" for name in parts), "*.json"]
        others = ["*.bin", "*.pt", "*.ckpt", "*.msgpack", "*.h5", "*.onnx"]
        found = snapshot_download(location, allow_patterns=patterns, ignore_patterns=others)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise LoadError(f"diffusers:{location}: no such folder, and not to be had from the hub: {error}") from error
    return Path(found)
