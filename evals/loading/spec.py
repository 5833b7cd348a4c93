"""A spec such as `diffusers:PATH` names how to load a model and from where; `load` turns it into a Denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

import torch

from ...errors import ConfigError, LoadError
from ...registry import Registry
from ..declaration import Declaration
from ..denoiser import Denoiser, Traits, declare


@dataclass(frozen=True)
class Recipe:
    """What a spec's location leaves open."""

    declaration: Declaration = field(default_factory=Declaration)
    """Fields that are set go before what the files say."""
    preset: str = ""
    """A family of `presets`, for the fields that are not declared."""
    factory: str = ""
    """MODULE:FUNCTION or FILE.py:FUNCTION that builds the network which a file of weights fills; for a pickle, the
    folder of source that its classes come from."""
    key: str = ""
    """The entry of a checkpoint that holds the weights, such as "ema"."""
    trust_pickle: bool = False
    """Whether a pickle may be loaded, which may run any code."""
    folder: Path | None = None
    """The suite's folder, whose modules a MODULE:FUNCTION is first looked for in."""


class Loader(Protocol):
    def __call__(self, location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
        """Load what `location` (the spec after its colon) names. Raises LoadError when it can't be used."""
        ...


LOADERS: Registry[Loader] = Registry("model loader")
_GROUP = "sigmascope.loaders"


def load(
    spec: str, *, device: torch.device | str = "cpu", micro_batch: int = 64, recipe: Recipe | None = None
) -> Denoiser:
    """A Denoiser from a spec.

    diffusers:PATH-or-hub-id        a folder or hub repository in diffusers' format
    python:MODULE:FACTORY           FACTORY() returns a Denoiser or a network; it runs code of your choosing
    python:FILE.py:FACTORY          the same from a folder of source, whose module names stay its own
    safetensors:FILE                weights for the network that the recipe's factory builds
    state_dict:FILE                 the same from torch.save, tensors only
    torchscript:FILE                a scripted or traced network
    exported:FILE.pt2               a network saved by torch.export
    pickle:FILE                     only with trust_pickle: it may run any code

    Raises ConfigError for a spec of another form and LoadError for a model that can't be loaded.
    """
    scheme, location = parsed(spec)
    return _loader(scheme)(location, device=torch.device(device), micro_batch=micro_batch, recipe=recipe or Recipe())


def known_loaders() -> list[str]:
    """Names of the loaders, those of other packages' `sigmascope.loaders` entry points included."""
    return sorted({*LOADERS, *(point.name for point in entry_points(group=_GROUP))})


def parsed(spec: str) -> tuple[str, str]:
    """The scheme and the location of a spec. Raises ConfigError unless there is such a loader; imports none."""
    scheme, _, location = spec.partition(":")
    if not location:
        known = ", ".join(known_loaders())
        raise ConfigError(f"model: expected SCHEME:LOCATION with a scheme of {known}, got {spec!r}")
    if scheme not in known_loaders():
        raise ConfigError(f"unknown model loader {scheme!r}; expected one of: {', '.join(known_loaders())}")
    return scheme, location


def _loader(scheme: str) -> Loader:
    """The loader of that name; another package's is imported when it is asked for, and no other is."""
    if scheme not in LOADERS:
        (point, *_) = entry_points(group=_GROUP, name=scheme)
        try:
            LOADERS.register(scheme)(point.load())
        except Exception as error:  # importing runs the package's code
            raise LoadError(f"{scheme}: its loader {point.value} failed: {type(error).__name__}: {error}") from error
    return LOADERS[scheme]


def as_declared(
    network: Any,
    recipe: Recipe,
    *,
    device: torch.device,
    micro_batch: int,
    traits: Traits,
    base: Declaration | None = None,
) -> Denoiser:
    """The Denoiser of a loaded network: the recipe's fields, then its preset's, then `base`.

    network: or (network, process), as guided-diffusion's create_model_and_diffusion has it; a preset reads the process.
    """
    from .companions import loaded
    from .presets import PRESETS

    declaration = loaded(recipe.declaration, recipe.folder)
    network, process = network if isinstance(network, tuple) and len(network) == 2 else (network, network)
    if recipe.preset:
        try:
            declaration = declaration.over(PRESETS[recipe.preset](process))
        except AttributeError as error:
            raise ConfigError(
                f"{traits.spec}: preset {recipe.preset}: can't be read off a {type(process).__name__}: {error}"
            ) from error
    if base is not None:
        declaration = declaration.over(base)
    if not traits.parameters and hasattr(network, "parameters"):
        traits = replace(traits, parameters=sum(parameter.numel() for parameter in network.parameters()))
    try:
        return declare(network, declaration, micro_batch=micro_batch, device=device, traits=traits)
    except ConfigError as error:
        raise ConfigError(f"{traits.spec}: {error}") from error


Preset = Callable[[Any], Declaration]
