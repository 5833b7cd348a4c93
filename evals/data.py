"""Clean images to noise and to compare with: from a Python function, a folder of images or an .npz file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import DataError
from .loading.python import resolve

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclass(frozen=True)
class DataSet:
    """Clean data, one row per image; the row number is the image's id."""

    images: Tensor
    """`(N, *event_shape)` float32, in the models' data range."""
    labels: Tensor | None
    """`(N,)` int64, or None."""
    source: str

    def __post_init__(self) -> None:
        if self.images.ndim < 2 or len(self.images) < 2:
            raise DataError(f"{self.source}: expected at least two images (N, ...), got {tuple(self.images.shape)}")
        if not bool(torch.isfinite(self.images).all()):
            raise DataError(f"{self.source}: expected finite values, got NaN or infinity")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise DataError(f"{self.source}: expected {len(self.images)} labels, got {len(self.labels)}")

    @property
    def digest(self) -> str:
        """Hash of images and labels."""
        digest = hashlib.blake2b(digest_size=16)
        for tensor in (self.images, self.labels):
            if tensor is not None:
                digest.update(f"{tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def first(self, limit: int | None) -> DataSet:
        """The first `limit` images."""
        rows = slice(limit)
        return DataSet(self.images[rows], None if self.labels is None else self.labels[rows], self.source)


def load_data(source: str, folder: Path = Path()) -> DataSet:
    """A data set by where it is.

    python:MODULE:FUNCTION   returns images, or (images, labels), as tensors in the models' data range
    FOLDER                   images of one size, sorted by name; subfolders are classes in order of name
    FILE.npz                 arrays `images` (N, H, W, C) or (N, C, H, W) uint8, and optionally `labels`

    8-bit images are mapped to [-1, 1]. Paths are relative to `folder`. Raises DataError saying what was expected.
    """
    scheme, _, name = source.partition(":")
    if scheme == "python":
        made = resolve(name)()
        images, labels = made if isinstance(made, tuple) else (made, None)
        if not isinstance(images, Tensor):
            raise DataError(f"{source}: expected a tensor of images, got {type(images).__name__}")
        return DataSet(images.float(), None if labels is None else labels.long(), source)
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
    return DataSet(_scaled(stacked if stacked.ndim == 4 else stacked[..., None]), labels, source)


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
    return DataSet(_scaled(images), None if labels is None else torch.from_numpy(labels.astype(np.int64)), source)


def _scaled(images: np.ndarray) -> Tensor:
    """NHWC uint8 => NCHW float32 in [-1, 1]"""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1.0
