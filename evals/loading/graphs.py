"""`torchscript:FILE` and `exported:FILE.pt2`: networks that bring their own graph and need no source.

A .pt2 archive may hold compiled libraries, pickled objects and formulas that torch evaluates; they are looked for
before it is opened (see `programs`), and refused unless the file is trusted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from ...errors import LoadError
from ..denoiser import Denoiser, Traits
from .files import checked_file, sha256
from .programs import refuse_code
from .spec import LOADERS, Recipe, as_declared


@LOADERS.register("torchscript")
def load_torchscript(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """A scripted or traced network."""
    spec = f"torchscript:{location}"
    path = checked_file(location, "torchscript")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch deprecates the format; people have the files
            network = torch.jit.load(str(path), map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        raise LoadError(f"{spec}: not a TorchScript archive: {str(error).strip().splitlines()[0]}") from error
    traits = Traits(spec=spec, fingerprint=sha256(path))
    return as_declared(network, recipe, device=device, micro_batch=micro_batch, traits=traits)


@LOADERS.register("exported")
def load_exported(location: str, *, device: torch.device, micro_batch: int, recipe: Recipe) -> Denoiser:
    """A program saved by torch.export; declare `batch` if it was exported for one batch size."""
    spec = f"exported:{location}"
    path = checked_file(location, "exported")
    if not recipe.trust_pickle:
        refuse_code(path, spec)
    try:
        with _tensors_only(recipe.trust_pickle):
            program = torch.export.load(path)
    except Exception as error:  # a broken archive raises whatever it made torch meet
        raise LoadError(f"{spec}: not a program of torch.export: {type(error).__name__}: {error}") from error
    traits = Traits(spec=spec, fingerprint=sha256(path), trusted=recipe.trust_pickle)
    return as_declared(program.module(), recipe, device=device, micro_batch=micro_batch, traits=traits)


@contextmanager
def _tensors_only(trusted: bool) -> Iterator[None]:
    """torch.load reads tensors and plain values only, also where torch.export asks for more."""
    with mock.patch.dict("os.environ", {} if trusted else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}):
        yield
