"""Published weight files: found, checked by hash and read without running code from them.

Searched in this order: the path given, the folder in SIGMASCOPE_WEIGHTS, torch hub's cache (where pytorch-fid and
torch-fidelity leave theirs), a download if allowed. A name ends in the first 8 hex digits of the file's SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from ...errors import LoadError

FOLDER_VARIABLE = "SIGMASCOPE_WEIGHTS"


@dataclass(frozen=True)
class PublishedWeights:
    """One file, the names it goes by (NAME-<first hex digits of SHA-256>.EXT), and where its authors keep it."""

    names: tuple[str, ...]
    url: str

    @property
    def hash_prefix(self) -> str:
        return Path(self.names[0]).stem.rpartition("-")[2]


def find_weights(weights: PublishedWeights, path: Path | None = None, download: bool = False) -> Path:
    """The file's path, its hash not yet checked. Raises LoadError that says how to get it and where to put it."""
    if path is not None:
        if not path.is_file():
            raise LoadError(f"expected weights at {path}, got no such file. {_instructions(weights)}")
        return path
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    folder = os.environ.get(FOLDER_VARIABLE)
    folders = [Path(folder), cache] if folder else [cache]
    for candidate in (place / name for place in folders for name in weights.names):
        if candidate.is_file():
            return candidate
    if not download:
        looked = " and ".join(str(place) for place in folders)
        raise LoadError(f"expected {' or '.join(weights.names)} in {looked}, got neither. {_instructions(weights)}")
    target = folders[0] / weights.names[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(weights.url, str(target), weights.hash_prefix, progress=False)
    except (URLError, RuntimeError, OSError) as error:
        raise LoadError(f"download of {weights.url} failed: {error}. {_instructions(weights)}") from error
    return target


def load_weights(
    weights: PublishedWeights, path: Path | None = None, download: bool = False
) -> tuple[dict[str, Tensor], str]:
    """State dict and SHA-256. Raises LoadError for a missing file, another hash, or what isn't a plain state dict."""
    found = find_weights(weights, path, download)
    digest = sha256(found)
    if not digest.startswith(weights.hash_prefix):
        raise LoadError(
            f"{found}: expected a SHA-256 that begins with {weights.hash_prefix}, got {digest[:16]}...; the file is "
            f"damaged or another one. {_instructions(weights)}"
        )
    try:
        state = torch.load(found, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise LoadError(
            f"{found}: expected a state dict of tensors, got what torch can't read safely: {error}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise LoadError(f"{found}: expected a state dict of tensors, got {type(state).__name__}")
    return dict(state), digest


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _instructions(weights: PublishedWeights) -> str:
    return (
        f"Download {weights.url} and name it by path, put it into a folder and set {FOLDER_VARIABLE} to that, or allow "
        "the download."
    )
