"""Clean images to noise and to compare with: from a Python function, a folder of images or an .npz file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import DataError
from .conditioning import numbered
from .denoiser import Denoiser
from .loading.python import resolve

METADATA = "metadata.jsonl"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclass(frozen=True)
class DataSet:
    """Clean data, one row per image; the row number is the image's id."""

    images: Tensor
    """`(N, *event_shape)` float32, in the models' data range."""
    labels: Tensor | None
    """`(N,)` int64, or None."""
    source: str
    captions: tuple[str, ...] | None = None
    """What each image shows, for models of text; or None."""

    def __post_init__(self) -> None:
        if self.images.ndim < 2 or len(self.images) < 2:
            raise DataError(f"{self.source}: expected at least two images (N, ...), got {tuple(self.images.shape)}")
        if not bool(torch.isfinite(self.images).all()):
            raise DataError(f"{self.source}: expected finite values, got NaN or infinity")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise DataError(f"{self.source}: expected {len(self.images)} labels, got {len(self.labels)}")
        if self.captions is not None and len(self.captions) != len(self.images):
            raise DataError(f"{self.source}: expected {len(self.images)} captions, got {len(self.captions)}")

    @property
    def digest(self) -> str:
        """Hash of images, labels and captions."""
        digest = hashlib.blake2b(digest_size=16)
        for tensor in (self.images, self.labels):
            if tensor is not None:
                digest.update(f"{tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
        for caption in self.captions or ():
            digest.update(caption.encode() + b"\0")
        return digest.hexdigest()

    def first(self, limit: int | None) -> DataSet:
        """The first `limit` images."""
        labels = None if self.labels is None else self.labels[:limit]
        captions = None if self.captions is None else self.captions[:limit]
        return DataSet(self.images[:limit], labels, self.source, captions)


def seen_by(denoiser: Denoiser, data: DataSet) -> DataSet:
    """The data as the model sees it: latents where it has an autoencoder, numbers of captions where it takes text."""
    if denoiser.autoencoder is not None:
        data = replace(data, images=denoiser.autoencoder.latents(data.images))
    if denoiser.text is not None and data.captions is not None:
        data = replace(data, labels=numbered(data.captions)[1])
    return data


def load_data(source: str, folder: Path = Path()) -> DataSet:
    """A data set by where it is.

    python:MODULE:FUNCTION   returns images, (images, labels) or (images, labels, captions): tensors in the models' data
                             range, and a list of strings; labels may be None
    FOLDER                   images of one size, sorted by name; subfolders are classes in order of name; captions in
                             metadata.jsonl, a line {"file_name": "a/1.png", "text": "..."} per image
    FILE.npz                 arrays `images` (N, H, W, C) or (N, C, H, W) uint8, and optionally `labels` and `captions`

    8-bit images are mapped to [-1, 1]. Paths are relative to `folder`. Raises DataError saying what was expected.
    """
    scheme, _, name = source.partition(":")
    if scheme == "python":
        made = resolve(name, folder)()
        if isinstance(made, tuple) and len(made) not in (2, 3):
            raise DataError(f"{source}: expected (images, labels) or (images, labels, captions), got {len(made)} parts")
        images, labels, captions = (*made, None)[:3] if isinstance(made, tuple) else (made, None, None)
        if not isinstance(images, Tensor):
            raise DataError(f"{source}: expected a tensor of images, got {type(images).__name__}")
        labels = None if labels is None else labels.long()
        return DataSet(images.float(), labels, source, _checked(captions, source))
    path = folder / source
    if path.is_dir():
        return _from_folder(path, source)
    if path.suffix == ".npz" and path.is_file():
        return _from_npz(path, source)
    raise DataError(f"data: expected a folder of images, an .npz file or python:MODULE:FUNCTION, got {source!r}")


def _from_folder(root: Path, source: str) -> DataSet:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise DataError(f"{source}: expected images ({', '.join(sorted(_SUFFIXES))}), found none")
    images = []
    for path in paths:
        try:
            with Image.open(path) as image:
                images.append(np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")))
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(f"{path}: expected an image, got: {error}") from error
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise DataError(f"{source}: expected images of one size and mode, got {sorted(shapes)[:4]}")
    classes = sorted({path.parent for path in paths})
    labels = torch.tensor([classes.index(path.parent) for path in paths]) if len(classes) > 1 else None
    stacked = np.stack(images)
    pixels = _scaled(stacked if stacked.ndim == 4 else stacked[..., None])
    return DataSet(pixels, labels, source, _captions(root, paths))


def _captions(root: Path, paths: Sequence[Path]) -> tuple[str, ...] | None:
    """The captions of these images from metadata.jsonl, the convention of Hugging Face's imagefolder; None without."""
    file = root / METADATA
    if not file.is_file():
        return None
    captions: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            captions[str(entry["file_name"])] = str(entry["text"])
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f'{file}:{number}: expected {{"file_name": ..., "text": ...}}, got {line[:80]!r}'
            ) from error
    names = [path.relative_to(root).as_posix() for path in paths]
    missing = [name for name in names if name not in captions]
    if missing:
        raise DataError(f"{file}: expected a caption for every image, none for {missing[:3]} ({len(missing)} in all)")
    return tuple(captions[name] for name in names)


def _checked(captions: Sequence[str] | None, source: str) -> tuple[str, ...] | None:
    if captions is not None and (isinstance(captions, str) or not all(isinstance(text, str) for text in captions)):
        raise DataError(f"{source}: expected a list of strings as captions, got {type(captions).__name__}")
    return None if captions is None else tuple(captions)


def _from_npz(path: Path, source: str) -> DataSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: expected an .npz file without pickled objects, got: {error}") from error
    images = arrays.get("images", arrays.get("arr_0"))
    if images is None or images.dtype != np.uint8 or images.ndim != 4:
        got = sorted(arrays) if images is None else f"{images.dtype} {images.shape}"
        raise DataError(f"{source}: expected an array `images` of uint8 (N, H, W, C), got {got}")
    if images.shape[-1] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    labels = arrays.get("labels", arrays.get("arr_1"))
    if labels is not None and labels.dtype.kind not in "iu":
        raise DataError(f"{source}: expected integer labels, got {labels.dtype}")
    labels = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    captions = arrays.get("captions")
    return DataSet(_scaled(images), labels, source, _checked(None if captions is None else captions.tolist(), source))


def _scaled(images: np.ndarray) -> Tensor:
    """NHWC uint8 => NCHW float32 in [-1, 1]"""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1.0
