"""`python:MODULE:FACTORY` and `python:FILE.py:FACTORY`: a function of yours that returns a Denoiser or a network.

A file's folder is imported in isolation; see `isolation`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import LoadError, SigmascopeError
from ..denoiser import Denoiser, Traits
from .isolation import SourceFolder
from .spec import LOADERS, Recipe, as_declared


def resolve(name: str) -> Callable[..., Any]:
    """`MODULE:FUNCTION` or `FILE.py:FUNCTION` -> the function. Raises LoadError naming the part that is missing."""
    function, folder = resolved(name)
    return function if folder is None else folder.bound(function)


def resolved(name: str) -> tuple[Callable[..., Any], SourceFolder | None]:
    """The function, and the folder of source it must be run in."""
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise LoadError(f"python name: expected MODULE:FUNCTION, got {name!r}")
    folder = None
    if module_name.endswith(".py"):
        file = Path(module_name).expanduser()
        if not file.is_file():
            raise LoadError(f"python:{name}: there is no file {file}")
        folder = SourceFolder(file.parent)
        with folder.entered():
            module = _imported(file.stem, name)
    else:
        module = _imported(module_name, name)
    found = getattr(module, attribute, None)
    if not callable(found):
        choices = ", ".join(sorted(n for n, value in vars(module).items() if callable(value) and n[0] != "_"))
        raise LoadError(
            f"python:{name}: expected a function {attribute!r} in {module_name}; it has: {choices or 'none'}"
        )
    return found, folder


@LOADERS.register("python")
def load_python(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """Call the factory. A Denoiser is used as it is, micro-batch and device included; a network as declared."""
    factory, folder = resolved(location)
    make = factory if folder is None else folder.bound(factory)
    try:
        made = make()
    except SigmascopeError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise LoadError(f"python:{location}: the factory failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Denoiser):
        if recipe.declaration.path is None and not recipe.preset:
            raise LoadError(
                f"python:{location}: expected the factory to return a Denoiser, got {type(made).__name__}; "
                "a network needs a declaration: path, output and event_shape"
            )
        traits = Traits(spec=f"python:{location}")
        made = as_declared(made, recipe, device=device, micro_batch=micro_batch, traits=traits)
    if made.traits.spec == "wrapped":
        made.traits = replace(made.traits, spec=f"python:{location}")
    if folder is not None:
        made.network = folder.bound(made.network)
    return made


def _imported(module_name: str, name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise LoadError(
            f"python:{name}: no module {error.name!r}; is it installed, or its folder on PYTHONPATH?"
        ) from error
    except Exception as error:  # importing runs the user's code
        raise LoadError(f"python:{name}: importing it failed: {type(error).__name__}: {error}") from error
