"""`torchscript:FILE` and `exported:FILE.pt2`: networks that bring their own graph and need no source.

A .pt2 archive may hold pickled objects and formulas that torch evaluates; both are looked for before it is opened, and
refused unless the file is trusted.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ...errors import LoadError
from ..denoiser import Denoiser, Traits
from .files import checked_file, sha256
from .spec import LOADERS, Recipe, as_declared

_FORMULA = re.compile(r"[A-Za-z0-9_.+\-*/%(), <>=!&|~]*")


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
        _refuse_code(path, spec)
    try:
        with _tensors_only(recipe.trust_pickle):
            program = torch.export.load(path)
    except Exception as error:  # a broken archive raises whatever it made torch meet
        raise LoadError(f"{spec}: not a program of torch.export: {type(error).__name__}: {error}") from error
    traits = Traits(spec=spec, fingerprint=sha256(path), trusted=recipe.trust_pickle)
    return as_declared(program.module(), recipe, device=device, micro_batch=micro_batch, traits=traits)


def _refuse_code(path: Path, spec: str) -> None:
    """Raises LoadError for an archive in which torch would unpickle objects or evaluate more than a formula."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            texts = {name: archive.read(name) for name in names if name.endswith(".json")}
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:
        raise LoadError(f"{spec}: not an archive of torch.export: {error}") from error
    if any(name.endswith("serialized_exported_program.json") for name in names):
        raise LoadError(f"{spec}: an older format that may hold pickled objects; save it again with this torch")
    for name, content in texts.items():
        try:
            for key, value in _walk(json.loads(content)):
                unpickled = key == "path_name" and ("custom_obj" in str(value) or "opaque_obj" in str(value))
                formula = key == "expr_str" and ("__" in str(value) or not _FORMULA.fullmatch(str(value)))
                if unpickled or formula:
                    raise LoadError(f"{spec}: {name} holds objects that may run code; nothing was run")
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{spec}: {name} is no JSON: {error}") from error


@contextmanager
def _tensors_only(trusted: bool) -> Iterator[None]:
    """torch.load reads tensors and plain values only, also where torch.export asks for more."""
    with mock.patch.dict("os.environ", {} if trusted else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}):
        yield


def _walk(content: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key, value
            yield from _walk(value)
    elif isinstance(content, list):
        for part in content:
            yield from _walk(part)
