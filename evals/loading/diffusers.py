"""`diffusers:PATH-or-hub-id`: a U-Net or transformer with the scheduler that says what it predicts and on which path.

The convention is read from the scheduler's configuration, never guessed: a FlowMatch scheduler means a flow velocity
on the rectified path with time t * num_train_timesteps; the others mean a variance-preserving table and
`prediction_type`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import LoadError
from ..denoiser import Cond, Denoiser, Traits
from ..levels import Level
from ..parameterization import EPS, FLOW, X0, Parameterization, V
from ..schedules import RectifiedFlow, Schedule, Table
from .spec import LOADERS

_NETWORK_FOLDERS = ("unet", "transformer", ".")
_PREDICTS = {"epsilon": EPS, "sample": X0, "v_prediction": V}


@dataclass(frozen=True)
class Convention:
    """What a scheduler's configuration says of the model trained with it."""

    schedule: Schedule
    parameterization: Parameterization
    time_scale: float
    """The network receives native time times this."""


@LOADERS.register("diffusers")
def load_diffusers(location: str, *, device: torch.device, micro_batch: int) -> Denoiser:
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
    network.to(device).eval()
    convention = read_convention(scheduler, location)
    config = network.config
    size = config.sample_size
    shape = (config.in_channels, *((size, size) if isinstance(size, int) else tuple(size)))
    classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm")
    takes_labels = classes is not None and "class_labels" in inspect.signature(network.forward).parameters

    def call(x_t: Tensor, time: Tensor, cond: Cond) -> Tensor:
        output: Tensor = network(x_t, time, return_dict=False, **cond)[0]
        return output

    def time(level: Level) -> Tensor:
        return level.time * convention.time_scale

    return Denoiser(
        call,
        convention.schedule,
        convention.parameterization,
        shape,
        time=time,
        micro_batch=micro_batch,
        device=device,
        dtype=network.dtype,
        traits=Traits(
            spec=f"diffusers:{location}",
            fingerprint=digest,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            classes=classes if takes_labels else None,
            scheduler=scheduler,
        ),
    )


def read_convention(config: dict[str, Any], location: str = "") -> Convention:
    """Schedule, parameterization and time of the network trained with this scheduler configuration.

    Raises LoadError for a configuration whose convention is not known.
    """
    import diffusers

    name = str(config.get("_class_name", ""))
    if name.startswith("FlowMatch"):
        return Convention(RectifiedFlow(), FLOW, float(config.get("num_train_timesteps", 1000)))
    kind = getattr(diffusers, name, None)
    prediction = config.get("prediction_type", "epsilon")
    if kind is None or not hasattr(kind, "from_config") or prediction not in _PREDICTS:
        raise LoadError(
            f"diffusers:{location}: expected a variance-preserving or FlowMatch scheduler that predicts one of "
            f"{sorted(_PREDICTS)}, got {name or 'no _class_name'} predicting {prediction!r}; declare it with wrap(...)"
        )
    betas = getattr(kind.from_config(config), "betas", None)
    if not isinstance(betas, Tensor):
        raise LoadError(f"diffusers:{location}: expected a scheduler with betas, got {name}; declare it with wrap(...)")
    return Convention(Table.from_betas(betas), _PREDICTS[prediction], 1.0)


def _network(folder: Path, location: str) -> tuple[Any, str]:
    """The network, and the sha256 of its weights."""
    import diffusers

    kind = getattr(diffusers, str(_json(folder / "config.json", location).get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)):
        raise LoadError(f"diffusers:{location}: {folder.name}/config.json names no diffusers model class")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise LoadError(
            f"diffusers:{location}: expected *.safetensors in {folder.name}/, "
            f"got {sorted(path.name for path in folder.iterdir())} (pickled weights are not read)"
        )
    try:
        network = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False)
    except Exception as error:  # diffusers raises whatever the file made it meet
        raise LoadError(f"diffusers:{location}: {folder.name} can't be loaded: {error}") from error
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
