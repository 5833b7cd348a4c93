"""`safetensors:FILE` and `state_dict:FILE`: weights for the network that a factory builds. Nothing in them can run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import LoadError
from ..denoiser import Denoiser, Traits
from .files import checked_file, sha256
from .pickles import read_pickle
from .python import built, resolved
from .spec import LOADERS, Recipe, as_declared


@LOADERS.register("safetensors")
def load_safetensors(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """Tensors by name, for the recipe's factory."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    spec = f"safetensors:{location}"
    path = checked_file(location, "safetensors")
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise LoadError(f"{spec}: expected a safetensors file, got a broken or truncated one: {error}") from error
    return _filled(weights, path, spec, device=device, micro_batch=micro_batch, recipe=recipe)


@LOADERS.register("state_dict")
def load_state_dict(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """A checkpoint by torch.save, for the recipe's factory; with trust_pickle it may hold other objects besides."""
    spec = f"state_dict:{location}"
    path = checked_file(location, "state_dict")
    trusted = False
    try:
        content = read_tensors(path, spec)
    except LoadError:
        if not recipe.trust_pickle:
            raise
        content, trusted = read_pickle(path, spec), True
    weights = _entry(content, recipe.key, spec)
    return _filled(weights, path, spec, device=device, micro_batch=micro_batch, recipe=recipe, trusted=trusted)


def read_tensors(path: Path, spec: str) -> Any:
    """What torch.save wrote, if it holds tensors and plain values only. Raises LoadError; runs nothing."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise LoadError(
            f"{spec}: expected tensors and plain values, got something else, such as pickled objects, which may run "
            "code; nothing was run. If you trust the file, say --trust-pickle"
        ) from error
    except Exception as error:  # a broken archive raises whatever it made torch meet
        raise LoadError(f"{spec}: not a readable checkpoint: {type(error).__name__}: {error}") from error


def _entry(content: Any, key: str, spec: str) -> dict[str, Tensor]:
    """The state dict in a checkpoint: under `key` (dots descend), or the only one there is."""
    found = content
    for part in key.split(".") if key else []:
        if not isinstance(found, Mapping) or part not in found:
            raise LoadError(f"{spec}: no entry {key!r}; it has {_choices(found)}")
        found = found[part]
    if _is_state(found):
        return dict(found)
    inner = [name for name, value in found.items() if _is_state(value)] if isinstance(found, Mapping) else []
    if len(inner) == 1:
        return dict(found[inner[0]])
    raise LoadError(f"{spec}: expected one state dict, say which with key; it has {_choices(found)}")


def _filled(
    weights: dict[str, Tensor],
    path: Path,
    spec: str,
    *,
    device: torch.device,
    micro_batch: int,
    recipe: Recipe,
    trusted: bool = False,
) -> Denoiser:
    if not recipe.factory:
        raise LoadError(f"{spec}: expected factory, MODULE:FUNCTION that builds the network these weights are for")
    factory, folder = resolved(recipe.factory, recipe.folder)
    made = built(factory if folder is None else folder.bound(factory), recipe.factory)
    network = made[0] if isinstance(made, tuple) and made else made
    if not isinstance(network, nn.Module):
        raise LoadError(f"{spec}: expected {recipe.factory} to return a module, got {type(network).__name__}")
    expected = set(network.state_dict())
    weights = _without_prefix(weights, expected)
    missing, unknown = sorted(expected - set(weights)), sorted(set(weights) - expected)
    if missing or unknown:
        raise LoadError(
            f"{spec}: expected the weights of {recipe.factory}; missing {missing[:3]} ({len(missing)}), "
            f"unknown {unknown[:3]} ({len(unknown)})"
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:  # sizes that differ
        raise LoadError(f"{spec}: {error}") from error
    traits = Traits(spec=spec, fingerprint=sha256(path), trusted=trusted)
    denoiser = as_declared(made, recipe, device=device, micro_batch=micro_batch, traits=traits)
    if folder is not None:
        denoiser.network = folder.bound(denoiser.network)
    return denoiser


def _without_prefix(weights: dict[str, Tensor], expected: set[str]) -> dict[str, Tensor]:
    """Names as the network has them: "module.", "_orig_mod." or "ema_model." before every one is taken off."""
    if set(weights) == expected or not expected:
        return weights
    anchor = min(expected)
    for name in weights:
        prefix = name.removesuffix(anchor)
        if prefix != name and {prefix + wanted for wanted in expected} <= set(weights):
            return {wanted: weights[prefix + wanted] for wanted in expected}
    return weights


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) > 0 and all(isinstance(part, Tensor) for part in value.values())


def _choices(value: Any) -> str:
    return ", ".join(map(str, list(value)[:12])) if isinstance(value, Mapping) else f"a {type(value).__name__}"
