"""`python:MODULE:FACTORY`: a function of yours that returns a Denoiser, and other things found by dotted name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ...errors import LoadError
from ..denoiser import Denoiser
from .spec import LOADERS


def resolve(name: str) -> Callable[..., Any]:
    """`MODULE:FUNCTION` -> the function. Raises LoadError naming the part that is missing."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise LoadError(f"python name: expected MODULE:FUNCTION, got {name!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise LoadError(
            f"python:{name}: no module {error.name!r}; is it installed, or its folder on PYTHONPATH?"
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        choices = ", ".join(sorted(n for n, value in vars(module).items() if callable(value) and n[0] != "_"))
        raise LoadError(
            f"python:{name}: expected a function {attribute!r} in {module_name}; it has: {choices or 'none'}"
        )
    return found  # type: ignore[no-any-return]


@LOADERS.register("python")
def load_python(location: str, *, device: torch.device, micro_batch: int) -> Denoiser:
    """Call the factory. The Denoiser it returns is used as it is, micro-batch and device included."""
    made = resolve(location)()
    if not isinstance(made, Denoiser):
        raise LoadError(f"python:{location}: expected the factory to return a Denoiser, got {type(made).__name__}")
    if made.traits.spec == "wrapped":
        made.traits = replace(made.traits, spec=f"python:{location}")
    return made
