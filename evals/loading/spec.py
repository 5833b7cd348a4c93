"""A spec such as `diffusers:PATH` names how to load a model and from where; `load` turns it into a Denoiser."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Protocol

import torch

from ...errors import ConfigError
from ...registry import Registry
from ..denoiser import Denoiser


class Loader(Protocol):
    def __call__(self, location: str, *, device: torch.device, micro_batch: int) -> Denoiser:
        """Load what `location` (the spec after its colon) names. Raises LoadError when it can't be used."""
        ...


LOADERS: Registry[Loader] = Registry("model loader")


def load(spec: str, *, device: torch.device | str = "cpu", micro_batch: int = 64) -> Denoiser:
    """A Denoiser from a spec.

    diffusers:PATH-or-hub-id        a folder or hub repository in diffusers' format
    python:MODULE:FACTORY           FACTORY() returns a Denoiser; it runs code of your choosing

    Raises ConfigError for a spec of another form and LoadError for a model that can't be loaded.
    """
    scheme, _, location = spec.partition(":")
    if not location:
        raise ConfigError(
            f"model: expected SCHEME:LOCATION with a scheme of {', '.join(known_loaders())}, got {spec!r}"
        )
    known_loaders()
    return LOADERS[scheme](location, device=torch.device(device), micro_batch=micro_batch)


def known_loaders() -> list[str]:
    """Names of the loaders, those of other packages' `sigmascope.loaders` entry points included."""
    for point in entry_points(group="sigmascope.loaders"):
        if point.name not in LOADERS:
            LOADERS.register(point.name)(point.load())
    return sorted(LOADERS)
