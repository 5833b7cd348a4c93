"""`pickle:FILE`: a whole network as it was pickled. It may run any code, so it is read on demand only, and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import LoadError
from ..denoiser import Denoiser, Traits
from .files import checked_file, sha256
from .isolation import SourceFolder
from .spec import LOADERS, Recipe, as_declared


@LOADERS.register("pickle")
def load_pickle(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """A pickled module, or the entry `key` of a pickled dictionary; `factory` may name its folder of source."""
    spec = f"pickle:{location}"
    path = checked_file(location, "pickle")
    if not recipe.trust_pickle:
        raise LoadError(
            f"{spec}: a pickle may run any code when it is read; nothing was run. If you trust it, say --trust-pickle; "
            "safer: save its state dict and use state_dict: or safetensors: with a factory"
        )
    folder = SourceFolder(Path(recipe.factory)) if recipe.factory else None
    read = read_pickle if folder is None else folder.bound(read_pickle)
    content = read(path, spec)
    if recipe.key:
        if not isinstance(content, Mapping) or recipe.key not in content:
            has = ", ".join(map(str, content)) if isinstance(content, Mapping) else f"a {type(content).__name__}"
            raise LoadError(f"{spec}: no entry {recipe.key!r}; it has {has}")
        content = content[recipe.key]
    if not callable(content):
        has = f", with {', '.join(map(str, content))}: say which with key" if isinstance(content, Mapping) else ""
        raise LoadError(f"{spec}: expected a network, got a {type(content).__name__}{has}")
    traits = Traits(spec=spec, fingerprint=sha256(path), trusted=True)
    denoiser = as_declared(content, recipe, device=device, micro_batch=micro_batch, traits=traits)
    if folder is not None:
        denoiser.network = folder.bound(denoiser.network)
    return denoiser


def read_pickle(path: Path, spec: str) -> Any:
    """What a trusted file holds, whatever code that runs. Raises LoadError."""
    try:
        return _read(path)
    except Exception as error:  # a pickle raises whatever it likes
        raise LoadError(f"{spec}: can't be unpickled: {type(error).__name__}: {error}") from error


def _read(path: Path) -> Any:
    """torch.save's format, or a bare pickle whose tensors may be on any device."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception:  # torch.load refuses what was pickled without it
        import pickle

        with path.open("rb") as file:
            return pickle.load(file)
