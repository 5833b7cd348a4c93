"""`python:MODULE:FACTORY` and `python:FILE.py:FACTORY`: a function of yours that returns a Denoiser or a network.

A file's folder is imported in isolation, and so is the suite's folder where the module is in it; see `isolation`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...errors import LoadError, SigmascopeError
from ..denoiser import Denoiser, Traits
from .isolation import SourceFolder
from .spec import LOADERS, Recipe, as_declared


def resolve(name: str, beside: Path | None = None) -> Callable[..., Any]:
    """`MODULE:FUNCTION` or `FILE.py:FUNCTION` -> the function. Raises LoadError naming the part that is missing.

    A module of the folder `beside` goes before an installed one.
    """
    function, folder = resolved(name, beside)
    return function if folder is None else folder.bound(function)


def resolved(name: str, beside: Path | None = None) -> tuple[Callable[..., Any], SourceFolder | None]:
    """The function, and the folder of source it must be run in."""
    module_name, _, attribute = name.rpartition(":")
    if not module_name or not attribute:
        raise LoadError(f"python name: expected MODULE:FUNCTION, got {name!r}")
    folder = None
    if module_name.endswith(".py"):
        file = Path(module_name).expanduser()
        file = beside / file if beside is not None and (beside / file).is_file() else file
        if not file.is_file():
            raise LoadError(f"python:{name}: there is no file {file}")
        folder, imported = SourceFolder(file.parent), file.stem
    else:
        neighbours, imported = None if beside is None else SourceFolder(beside), module_name
        folder = neighbours if neighbours and module_name.partition(".")[0] in neighbours.names else None
    with nullcontext() if folder is None else folder.entered():
        module = _imported(imported, name, beside)
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
    factory, folder = resolved(location, recipe.folder)
    make = factory if folder is None else folder.bound(factory)
    made = built(make, location)
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


def built(factory: Callable[..., Any], name: str) -> Any:
    """What the factory returns. Raises LoadError when it fails."""
    try:
        return factory()
    except SigmascopeError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise LoadError(f"python:{name}: the factory failed: {type(error).__name__}: {error}") from error


def _imported(module_name: str, name: str, beside: Path | None) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        place = "" if beside is None else f" in {beside.resolve()}"
        raise LoadError(
            f"python:{name}: no module {error.name!r}{place}; is it installed, or its folder on PYTHONPATH?"
        ) from error
    except Exception as error:  # importing runs the user's code
        raise LoadError(f"python:{name}: importing it failed: {type(error).__name__}: {error}") from error
