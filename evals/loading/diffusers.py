"""`diffusers:PATH-or-hub-id`: a U-Net or transformer with the scheduler that says what it predicts and on which path.

The convention is read from the scheduler's configuration, never guessed; a recipe's declared fields go before it. A
pipeline's autoencoder and text encoder come along.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import LoadError
from ..companions import ENTRIES, Encode, TextEncoder, encode_text
from ..declaration import Declaration
from ..denoiser import Denoiser, Traits
from ..schedules import Table
from .spec import LOADERS, Recipe, as_declared

_NETWORK_FOLDERS = ("unet", "transformer", ".")
_AUTOENCODER_FOLDERS = ("vae", "vqvae")
_TEXT_PARTS = ("text_encoder", "tokenizer")
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
    network, digest = _network(network_folder, location)
    base = network_convention(network).over(read_convention(scheduler, location))
    base = _companions(network, folder, recipe.declaration).over(base)
    traits = Traits(spec=f"diffusers:{location}", fingerprint=digest, scheduler=scheduler)
    return as_declared(network, recipe, device=device, micro_batch=micro_batch, traits=traits, base=base)


def load_autoencoder(folder: Path) -> Any:
    """The autoencoder in this folder, or in the pipeline's folder. Raises LoadError."""
    found = _autoencoder_folder(folder) or folder
    if not (found / "config.json").is_file():
        raise LoadError(f"autoencoder: expected config.json or vae/config.json in {folder}")
    return _network(found, str(folder))[0]


def load_text_encoder(folder: Path, takes: Collection[str] = ENTRIES) -> TextEncoder:
    """The pipeline's own way from prompts to the entries that its network takes.

    Raises LoadError for a pipeline without them; classes are diffusers' and transformers' own, whatever its files say.
    """
    kind, parts, others = _pipeline_parts(folder)
    digest = hashlib.sha256(kind.__name__.encode())
    for path in sorted(path for name in parts for path in (folder / name).rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())

    def opened() -> Encode:
        options = dict.fromkeys(others)
        try:
            with _quietly():
                pipeline = kind.from_pretrained(
                    folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, **options
                )
        except Exception as error:  # the libraries raise whatever the files made them meet
            raise LoadError(f"diffusers:{folder}: its text encoder can't be loaded: {error}") from error
        return lambda prompts: {k: part for k, part in encode_text(pipeline, prompts).items() if k in takes}

    return TextEncoder(opened, digest.hexdigest())


def _pipeline_parts(folder: Path) -> tuple[Any, list[str], list[str]]:
    """The pipeline's class, the names of its text encoders and tokenizers, and those of its other parts."""
    import diffusers
    import transformers

    index = _json(folder / "model_index.json", str(folder))
    name = index.get("_class_name")
    kind = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise LoadError(f"diffusers:{folder}: model_index.json names no diffusers pipeline, got {name!r}")
    parts = {key: value for key, value in index.items() if isinstance(value, list) and len(value) == 2}
    mine = [key for key, value in parts.items() if key.startswith(_TEXT_PARTS) and value[0] is not None]
    for key in mine:
        library, class_name = parts[key]
        if library != "transformers" or not isinstance(getattr(transformers, str(class_name), None), type):
            raise LoadError(f"diffusers:{folder}: expected {key} to be a class of transformers, got {parts[key]}")
    if not mine or not hasattr(kind, "encode_prompt"):
        raise LoadError(f"diffusers:{folder}: expected a pipeline with a text encoder, got {kind.__name__}")
    return kind, mine, [key for key in parts if key not in mine]


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' progress bars."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    of_diffusers.disable_progress_bar()
    of_transformers.disable_progress_bar()
    try:
        yield
    finally:
        of_diffusers.enable_progress_bar()
        of_transformers.enable_progress_bar()


def _companions(network: Any, folder: Path, declared: Declaration) -> Declaration:
    """The autoencoder and text encoder that the pipeline brings, where nothing else is declared."""
    autoencoder, text, call = None, None, None
    if declared.autoencoder is None and _autoencoder_folder(folder) is not None:
        autoencoder = load_autoencoder(folder)
    takes = set(inspect.signature(network.forward).parameters)
    if declared.text is None and "encoder_hidden_states" in takes and (folder / "text_encoder").is_dir():
        with_size = network.config.get("addition_embed_type") == "text_time"
        text = load_text_encoder(folder, takes | {"pooled_projections"} if with_size else takes)
        if with_size:
            levels = len(autoencoder.config.block_out_channels) if autoencoder is not None else 4
            call = _with_size(network.config.sample_size * 2 ** (levels - 1))
    return Declaration(call=call, autoencoder=autoencoder, text=text)


def _with_size(size: int) -> str:
    """Stable Diffusion XL is told the image's size, where it was cropped, and the size wanted: all of it, uncropped."""
    pair = "pooled_projections[:, :2]"
    told = f"cat(full_like({pair}, {size}), zeros_like({pair}), full_like({pair}, {size}), dim=1)"
    extras = f"{{'text_embeds': pooled_projections, 'time_ids': {told}}}"
    return f"x, t, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs={extras}"


def _autoencoder_folder(folder: Path) -> Path | None:
    return next((folder / name for name in _AUTOENCODER_FOLDERS if (folder / name / "config.json").is_file()), None)


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
        parts = ("unet", "transformer", "scheduler", *_AUTOENCODER_FOLDERS, *(f"{name}*" for name in _TEXT_PARTS))
        patterns = [*(f"{name}/*" for name in parts), "*.json"]
        found = snapshot_download(location, allow_patterns=patterns, ignore_patterns=["*.bin", "*.pt", "*.ckpt"])
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise LoadError(f"diffusers:{location}: no such folder, and not to be had from the hub: {error}") from error
    return Path(found)
