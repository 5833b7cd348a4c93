"""What a pipeline of diffusers' brings beside its network: the autoencoder of its latents, and its text encoder.

Classes are diffusers' and transformers' own: what source the folder holds, which from_pretrained of a pipeline may run,
is not looked at.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import LoadError
from ..companions import ENTRIES, Encode, TextEncoder, encode_text
from ..declaration import Declaration
from .diffusers_files import load_network, read_json
from .files import sha256

_AUTOENCODERS = ("vae", "vqvae")
_TEXT_PARTS = ("text_encoder", "tokenizer")
PARTS = (*_AUTOENCODERS, *(f"{name}*" for name in _TEXT_PARTS))
"""Folders that may hold them."""


def companions_of(network: Any, folder: Path, declared: Declaration, device: torch.device) -> Declaration:
    """The autoencoder and text encoder that the pipeline brings, where nothing else is declared."""
    autoencoder, text, call = None, None, None
    if declared.autoencoder is None and _autoencoder_folder(folder) is not None:
        autoencoder = load_autoencoder(folder)
    takes = set(inspect.signature(network.forward).parameters)
    if declared.text is None and "encoder_hidden_states" in takes and (folder / "text_encoder").is_dir():
        with_size = network.config.get("addition_embed_type") == "text_time"
        text = load_text_encoder(folder, takes | {"pooled_projections"} if with_size else takes, device)
        if with_size:
            levels = len(autoencoder.config.block_out_channels) if autoencoder is not None else 4
            call = _with_size(network.config.sample_size * 2 ** (levels - 1))
    return Declaration(call=call, autoencoder=autoencoder, text=text)


def load_text_encoder(
    folder: Path, takes: Collection[str] = ENTRIES, device: torch.device | str = "cpu"
) -> TextEncoder:
    """The pipeline's own way from prompts to the entries that its network takes.

    Raises LoadError for a pipeline without it.
    """
    import diffusers

    index = read_json(folder / "model_index.json", str(folder))
    name = index.get("_class_name")
    kind: Any = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)):
        raise LoadError(f"diffusers:{folder}: model_index.json names no diffusers pipeline, got {name!r}")
    parts = _text_parts(index, folder)
    if not parts or not hasattr(kind, "encode_prompt"):
        raise LoadError(f"diffusers:{folder}: expected a pipeline with a text encoder, got {kind.__name__}")
    digest = hashlib.sha256(kind.__name__.encode())
    for path in sorted(path for part in parts for path in (folder / part).rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}".encode())
    options = inspect.signature(kind).parameters
    given = {key: None if isinstance(value, list) else value for key, value in index.items() if key in options}

    def opened() -> Encode:
        try:
            with _quietly():
                loaded = {part: _text_part(folder / part, of) for part, of in parts.items()}
                pipeline = kind(**{**given, **loaded}).to(device)
        except LoadError:
            raise
        except Exception as error:  # the libraries raise whatever the files made them meet
            raise LoadError(f"diffusers:{folder}: its text encoder can't be loaded: {error}") from error
        return lambda prompts: {k: part for k, part in encode_text(pipeline, prompts).items() if k in takes}

    return TextEncoder(opened, digest.hexdigest())


def _text_parts(index: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The pipeline's text encoders and tokenizers: the classes of transformers, by name."""
    import transformers

    found: dict[str, Any] = {}
    for name, value in index.items():
        if not name.startswith(_TEXT_PARTS) or not isinstance(value, list) or value[:1] == [None]:
            continue
        library, class_name = value if len(value) == 2 else ("", "")
        found[name] = getattr(transformers, str(class_name), None)
        if library != "transformers" or not hasattr(found[name], "from_pretrained"):
            raise LoadError(f"diffusers:{folder}: expected {name} to be a class of transformers, got {value}")
    return found


def _text_part(folder: Path, kind: Any) -> Any:
    if not issubclass(kind, nn.Module):
        return kind.from_pretrained(folder, local_files_only=True)
    encoder, found = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, output_loading_info=True)
    if found["missing_keys"]:  # transformers would go on with random numbers
        raise LoadError(
            f"{folder}: expected the weights of {kind.__name__}, none for {sorted(found['missing_keys'])[:4]}"
        )
    return encoder.float().eval()


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


def _with_size(size: int) -> str:
    """Stable Diffusion XL is told the image's size, where it was cropped, and the size wanted: all of it, uncropped."""
    pair = "pooled_projections[:, :2]"
    told = f"cat(full_like({pair}, {size}), zeros_like({pair}), full_like({pair}, {size}), dim=1)"
    extras = f"{{'text_embeds': pooled_projections, 'time_ids': {told}}}"
    return f"x, t, encoder_hidden_states=encoder_hidden_states, added_cond_kwargs={extras}"


def _autoencoder_folder(folder: Path) -> Path | None:
    return next((folder / name for name in _AUTOENCODERS if (folder / name / "config.json").is_file()), None)


def load_autoencoder(folder: Path) -> Any:
    """The autoencoder in this folder, or in the pipeline's folder. Raises LoadError."""
    found = _autoencoder_folder(folder) or folder
    if not (found / "config.json").is_file():
        raise LoadError(f"autoencoder: expected config.json or vae/config.json in {folder}")
    return load_network(found, str(folder))[0]
