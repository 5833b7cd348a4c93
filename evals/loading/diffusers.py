"""`diffusers:PATH-or-hub-id`: a U-Net or transformer with the scheduler that says what it predicts and on which path.

The convention is read from the scheduler's configuration, never guessed; a recipe's declared fields go before it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import LoadError
from ..declaration import Declaration
from ..denoiser import Denoiser, Traits
from ..schedules import Table
from .spec import LOADERS, Recipe, as_declared

_NETWORK_FOLDERS = ("unet", "transformer", ".")
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
    network, digest = _network(network_folder, location)
    base = network_convention(network).over(read_convention(scheduler, location))
    traits = Traits(spec=f"diffusers:{location}", fingerprint=digest, scheduler=scheduler)
    return as_declared(network, recipe, device=device, micro_batch=micro_batch, traits=traits, base=base)


def network_convention(network: Any) -> Declaration:
    """What a diffusers network says of itself: shape of a sample, classes, a learned variance."""
    config = network.config
    channels, size = config.get("in_channels"), config.get("sample_size")
    one_dimensional = type(network).__name__.startswith("UNet1D")
    spatial = (size,) if one_dimensional else (size, size) if isinstance(size, int) else tuple(size or ())
    classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm")
    takes_labels = classes and "class_labels" in inspect.signature(network.forward).parameters
    learned = channels and config.get("out_channels") == 2 * channels
    return Declaration(
        event_shape=(channels, *spatial) if channels and size else None,
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


def _network(folder: Path, location: str) -> tuple[Any, str]:
    """The network, and the sha256 of its weights."""
    import diffusers

    kind: Any = getattr(diffusers, str(_json(folder / "config.json", location).get("_class_name")), None)
    is_model = isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)
    if not is_model:
        raise LoadError(f"diffusers:{location}: {folder.name}/config.json names no diffusers model class")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise LoadError(
            f"diffusers:{location}: expected *.safetensors in {folder.name}/, "
            f"got {sorted(path.name for path in folder.iterdir())} (pickled weights are not read)"
        )
    try:
        network, found = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # diffusers raises whatever the file made it meet
        raise LoadError(f"diffusers:{location}: {folder.name} can't be loaded: {error}") from error
    # diffusers would go on with random numbers for what is missing
    for what in ("missing_keys", "unexpected_keys"):
        if found[what]:
            raise LoadError(
                f"diffusers:{location}: expected the weights of {folder.name}/config.json, got "
                f"{what.replace('_', ' ')} {sorted(found[what])[:4]} ({len(found[what])} in all)"
            )
    digest = hashlib.sha256()
    for path in weights:
        digest.update(path.read_bytes())
    return network, digest.hexdigest()


def _scheduler_config(folder: Path, location: str) -> dict[str, Any]:
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        raise LoadError(f"diffusers:{location}: expected scheduler/scheduler_config.json, which says what is predicted")
    return _json(path, location)


def _json(path: Path, location: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"diffusers:{location}: {path.name} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise LoadError(f"diffusers:{location}: {path.name}: expected a JSON object, got {type(content).__name__}")
    return content


def _from_hub(location: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        patterns = ["unet/*", "transformer/*", "scheduler/*", "*.json"]
        found = snapshot_download(location, allow_patterns=patterns, ignore_patterns=["*.bin", "*.pt", "*.ckpt"])
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise LoadError(f"diffusers:{location}: no such folder, and not to be had from the hub: {error}") from error
    return Path(found)
