"""Published weight files: found, checked by hash and read without running code from them.

Searched in this order: the path given, the folder in SIGMASCOPE_WEIGHTS, the cache of torch hub (where pytorch-fid and
torch-fidelity leave theirs) or of the Hugging Face hub, a download if allowed. A single file's name ends in the first 8
hex digits of its SHA-256; a model folder has no such promise, so the hash found is told and goes into the fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
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


@dataclass(frozen=True)
class HubModel:
    """A model folder of the Hugging Face hub, in transformers' layout: config.json and model.safetensors."""

    repository: str

    @property
    def folder_name(self) -> str:
        return self.repository.rpartition("/")[2]


KNOWN_WEIGHTS: dict[str, PublishedWeights | HubModel] = {
    "inception": PublishedWeights(
        names=("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"),
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    ),
    "dinov2": HubModel("facebook/dinov2-large"),
    "clip": HubModel("openai/clip-vit-base-patch32"),
    "clip-l": HubModel("openai/clip-vit-large-patch14"),
    "clip-l-336": HubModel("openai/clip-vit-large-patch14-336"),
    "lpips-alex": PublishedWeights(
        names=("alexnet-owt-7be5be79.pth",), url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    ),
    "lpips-vgg": PublishedWeights(
        names=("vgg16-397923af.pth",), url="https://download.pytorch.org/models/vgg16-397923af.pth"
    ),
}
"""What each feature network needs, by its name."""


@dataclass(frozen=True)
class Holding:
    """One line of the inventory. state: "verified", "present" (its publisher names no hash), "damaged" or "missing"."""

    network: str
    file: str
    state: str
    sha256: str
    where: str


def inventory() -> list[Holding]:
    """Every file the feature networks need: where it is and whether it is what it should be, or how to get it."""
    rows = []
    for network, wanted in KNOWN_WEIGHTS.items():
        name = wanted.names[0] if isinstance(wanted, PublishedWeights) else wanted.repository
        try:
            if isinstance(wanted, PublishedWeights):
                path = find_weights(wanted)
                digest = sha256(path)
                state = "verified" if digest.startswith(wanted.hash_prefix) else "damaged"
            else:
                path = find_model(wanted)
                digest, state = sha256(path / "model.safetensors"), "present"
            rows.append(Holding(network, name, state, digest, str(path)))
        except LoadError as error:
            rows.append(Holding(network, name, "missing", "", str(error)))
    return rows


def import_weights(path: Path) -> Path:
    """Copy a file or model folder to where it is found without being named: the folder in SIGMASCOPE_WEIGHTS, else
    torch hub's cache. Raises LoadError unless it is one of KNOWN_WEIGHTS, by hash where it is a single file."""
    target = Path(os.environ.get(FOLDER_VARIABLE) or Path(torch.hub.get_dir()) / "checkpoints")
    for wanted in KNOWN_WEIGHTS.values():
        if isinstance(wanted, HubModel):
            if path.is_dir() and path.name == wanted.folder_name and (path / "model.safetensors").is_file():
                return Path(shutil.copytree(path, target / wanted.folder_name, dirs_exist_ok=True))
        elif path.is_file() and sha256(path).startswith(wanted.hash_prefix):
            target.mkdir(parents=True, exist_ok=True)
            return Path(shutil.copyfile(path, target / wanted.names[0]))
    known = ", ".join(
        wanted.folder_name if isinstance(wanted, HubModel) else wanted.names[0] for wanted in KNOWN_WEIGHTS.values()
    )
    raise LoadError(f"{path}: expected one of {known}, by hash or folder name, got another file or nothing")


def find_model(model: HubModel, path: Path | None = None, download: bool = False) -> Path:
    """The model's folder. Raises LoadError that says how to get it and where to put it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    named = os.environ.get(FOLDER_VARIABLE)
    places = [Path(torch.hub.get_dir()) / "checkpoints", *([Path(named)] if named else [])]
    for folder in [path] if path else [place / model.folder_name for place in reversed(places)]:
        if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
            return folder
    how = (
        f"Get https://huggingface.co/{model.repository} (config.json, model.safetensors and, for text, the tokenizer), "
        "name the folder by path (--weights-file) or import it (sigmascope weights --import FOLDER), put it into the "
        f"folder named by {FOLDER_VARIABLE}, or allow the download (--download)."
    )
    if path is not None:
        raise LoadError(f"expected config.json and model.safetensors in {path}, got no such files. {how}")
    try:
        patterns = ["*.json", "model.safetensors", "*.txt"]
        found = Path(snapshot_download(model.repository, local_files_only=not download, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise LoadError(f"expected {model.repository} in the Hugging Face cache, got none. {how}") from error
    if not (found / "model.safetensors").is_file():
        raise LoadError(f"expected {model.repository} in the Hugging Face cache, got a part of it. {how}")
    return found


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
        f"Download {weights.url} and name it by path (--weights-file) or import it (sigmascope weights --import FILE), "
        f"put it into a folder and set {FOLDER_VARIABLE} to that, or allow the download (--download)."
    )
