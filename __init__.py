"""Sigmascope: evaluation and diagnostics for denoisers, the networks inside diffusion and flow-matching models.

The names below are the public face. They load on first use (PEP 562), so that `import sigmascope` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import figures, metrics
    from .evals import loggers, parameterization, samplers, schedules
    from .evals.companions import Autoencoder, TextEncoder
    from .evals.conditioning import Guidance, guided
    from .evals.declaration import Declaration
    from .evals.denoiser import Denoiser, Traits, wrap
    from .evals.inspect import inspect
    from .evals.loading import Recipe, load, presets
    from .evals.loggers import lightning_callback
    from .evals.noise import Noise
    from .evals.store import Run, Store
    from .evals.training import probe

_HOMES = {
    "Autoencoder": "evals.companions:Autoencoder",
    "Declaration": "evals.declaration:Declaration",
    "Denoiser": "evals.denoiser:Denoiser",
    "Guidance": "evals.conditioning:Guidance",
    "Noise": "evals.noise:Noise",
    "Recipe": "evals.loading:Recipe",
    "Run": "evals.store:Run",
    "Store": "evals.store:Store",
    "TextEncoder": "evals.companions:TextEncoder",
    "Traits": "evals.denoiser:Traits",
    "figures": "figures",
    "guided": "evals.conditioning:guided",
    "inspect": "evals.inspect:inspect",
    "lightning_callback": "evals.loggers:lightning_callback",
    "load": "evals.loading:load",
    "loggers": "evals.loggers",
    "metrics": "metrics",
    "parameterization": "evals.parameterization",
    "presets": "evals.loading.presets",
    "probe": "evals.training:probe",
    "samplers": "evals.samplers",
    "schedules": "evals.schedules",
    "wrap": "evals.denoiser:wrap",
}

__all__ = [
    "Autoencoder",
    "Declaration",
    "Denoiser",
    "Guidance",
    "Noise",
    "Recipe",
    "Run",
    "Store",
    "TextEncoder",
    "Traits",
    "__version__",
    "figures",
    "guided",
    "inspect",
    "lightning_callback",
    "load",
    "loggers",
    "metrics",
    "parameterization",
    "presets",
    "probe",
    "samplers",
    "schedules",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    found = import_module(f".{module}", __name__)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return __all__
