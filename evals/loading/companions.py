"""A suite's words for an autoencoder or a text encoder: `diffusers:PATH`, `python:FILE.py:FACTORY` or `none`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ConfigError, LoadError, SigmascopeError
from ..companions import NONE
from ..declaration import Declaration
from .pipelines import load_autoencoder, load_text_encoder
from .python import resolve

COMPANIONS: dict[str, Callable[[Path], Any]] = {"autoencoder": load_autoencoder, "text": load_text_encoder}
"""Fields of a declaration, with what loads them from a folder of diffusers'."""


def checked(spec: str, field: str) -> str:
    """The spec, if it has the form of one. Raises ConfigError."""
    scheme, _, location = spec.partition(":")
    if spec != NONE and (scheme not in ("diffusers", "python") or not location):
        raise ConfigError(f'{field}: expected "diffusers:PATH", "python:FILE.py:FACTORY" or "{NONE}", got {spec!r}')
    return spec


def loaded(declaration: Declaration, folder: Path | None) -> Declaration:
    """The declaration with what its specs name; relative paths begin at `folder`. Raises ConfigError and LoadError."""
    given = {name: getattr(declaration, name) for name in COMPANIONS}
    specs = {name: spec for name, spec in given.items() if isinstance(spec, str) and spec != NONE}
    return replace(declaration, **{name: _load(name, spec, folder) for name, spec in specs.items()})


def _load(field: str, spec: str, folder: Path | None) -> Any:
    scheme, _, location = checked(spec, field).partition(":")
    if scheme == "diffusers":
        return COMPANIONS[field]((folder or Path()) / Path(location).expanduser())
    try:
        return resolve(location, folder)()
    except SigmascopeError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise LoadError(f"{field} {spec}: the factory failed: {type(error).__name__}: {error}") from error
