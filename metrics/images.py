"""Sets of images from where people keep them, one uint8 (C, H, W) after the other, in an order that never varies.

open_images(source) -> Images -> batches -> one_pass.py. Nothing is resized, rescaled or padded here: what a file holds
is what a network's preprocessing gets.
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
JPEG = frozenset({".jpg", ".jpeg"})
_READERS = 4


@dataclass(frozen=True, eq=False)
class Images:
    """source, in words; count; read() starts a fresh pass, image by image; labels (count,) where the source has them;
    jpeg: the share that is stored as JPEG; names (count,) of the files, below the source, where it has files."""

    source: str
    count: int
    read: Callable[[], Iterator[Tensor]]
    labels: Sequence[int] | None = None
    jpeg: float = 0.0
    names: Sequence[str] | None = None

    def first(self, limit: int | None) -> Images:
        """The first `limit` of them."""
        if limit is None or limit >= self.count:
            return self
        labels = None if self.labels is None else self.labels[:limit]
        names = None if self.names is None else self.names[:limit]
        return Images(self.source, limit, lambda: itertools.islice(self.read(), limit), labels, self.jpeg, names)

    def batches(self, size: int = 64) -> Iterator[Tensor]:
        """(n, C, H, W) with n <= size: consecutive images of one shape, in order."""
        for _, group in itertools.groupby(self.read(), lambda image: image.shape):
            while held := list(itertools.islice(group, size)):
                yield torch.stack(held)


def open_images(source: str | Path | Tensor | Sequence[Any]) -> Images:
    """A set of images by what holds it.

    FOLDER               image files below it, by path; subfolders are classes
    FILE.zip             image files in it, by name
    FILE.tar             a webdataset shard: image files in the order stored; shard-{000..003}.tar, one after the other
    FILE.parquet         a table with a column of images, as Hugging Face has them; a folder of such files
    a saved data set     the folder that `datasets.Dataset.save_to_disk` made
    FILE.npz             guided-diffusion's: arr_0 (N, H, W, C) uint8, read as a stream, and labels in arr_1
    a tensor             uint8 (N, C, H, W)
    a data set           of Hugging Face or any sequence: rows that are images, or have an `image` and perhaps a `label`

    Raises DataError saying what was expected, before anything is read twice.
    """
    if isinstance(source, Tensor):
        return _of_tensor(source)
    if not isinstance(source, str | Path):
        return _of_sequence(source)
    path = Path(source)
    openers = {".zip": _of_zip, ".tar": _of_tars, ".npz": _of_npz, ".parquet": _of_tables}
    shards = numbered(path)
    if not path.is_dir() and (path.suffix not in openers or not all(shard.is_file() for shard in shards)):
        missing = next((str(shard) for shard in shards if not shard.is_file()), str(source))
        raise DataError(f"expected a folder of images or a file {', '.join(openers)}, got {missing!r}")
    try:
        return _of_folder(path) if path.is_dir() else openers[path.suffix](path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"{path}: expected a readable {path.suffix} of images, got: {error}") from error


def decode(content: bytes, name: str) -> Tensor:
    """(C, H, W) uint8: greyscale as one channel, everything else as RGB. Raises DataError for what is no image."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return as_tensor(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{name}: expected an image, got: {error}") from error


def as_tensor(image: Image.Image) -> Tensor:
    if image.mode.startswith(("I", "F")):
        raise DataError(f"expected images of 8 bits a channel, got mode {image.mode!r}")
    array = np.array(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1).copy())


def _of_tensor(images: Tensor) -> Images:
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"expected a tensor of uint8 images (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    return Images("tensor", len(images), lambda: iter(images))


def _of_sequence(rows: Sequence[Any]) -> Images:
    """A `datasets.Dataset` gives its labels as a column; asked row by row it would decode every image for them."""

    def one(row: Any) -> Tensor:
        found = row["image"] if isinstance(row, dict) else row
        if isinstance(found, Image.Image):
            return as_tensor(found)
        raise DataError(f"expected rows with an image of Pillow's, got {type(found).__name__}")

    columns = getattr(rows, "column_names", None)
    labels: list[int] | None = None
    if columns is not None:
        labels = list(rows["label"]) if "label" in columns else None  # type: ignore[call-overload]
    elif len(rows) and isinstance(rows[0], dict) and "label" in rows[0]:
        labels = [row["label"] for row in rows]
    return Images(type(rows).__name__, len(rows), lambda: (one(rows[i]) for i in range(len(rows))), labels)


def numbered(path: Path) -> list[Path]:
    """shard-{000..003}.tar -> the four of them, with as many digits; any other name -> itself."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", path.name)
    if found is None:
        return [path]
    first, last = found.groups()
    start, end = found.span()
    names = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    return [path.with_name(f"{path.name[:start]}{name}{path.name[end:]}") for name in names]


def _of_folder(root: Path) -> Images:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        return _of_tables(root)
    classes = sorted({path.parent for path in paths})
    labels = [classes.index(path.parent) for path in paths] if len(classes) > 1 else None
    names = [path.relative_to(root).as_posix() for path in paths]
    return _of_files(str(root), names, lambda name: (root / name).read_bytes(), labels)


def _of_tables(path: Path) -> Images:
    from .image_tables import open_tables

    return open_tables(path)


def _of_zip(path: Path) -> Images:
    archive = zipfile.ZipFile(path)
    return _of_files(str(path), sorted(_images(archive.namelist())), archive.read, None)


def _of_tars(path: Path) -> Images:
    shards = numbered(path)
    names = []
    for shard in shards:
        with tarfile.open(shard) as archive:
            names += _images(archive.getnames())

    def read() -> Iterator[Tensor]:
        for shard in shards:
            with tarfile.open(shard) as stream:
                for member in stream:
                    if _images([member.name]) and (file := stream.extractfile(member)):
                        yield decode(file.read(), f"{shard}: {member.name}")

    return Images(str(path), _some(str(path), names), read, None, _share_of_jpeg(names), names)


def _of_npz(path: Path) -> Images:
    """The archive holds arr_0.npy, whose rows follow its header: read one after the other, never all at once."""
    with np.load(path, allow_pickle=False) as arrays:
        names = arrays.files
        labels = arrays["arr_1"].tolist() if "arr_1" in names and arrays["arr_1"].ndim == 1 else None
    member = next((name for name in ("arr_0", "images") if name in names), None)
    if member is None:
        raise DataError(f"{path}: expected an array arr_0 of images, got {names}")
    with zipfile.ZipFile(path).open(f"{member}.npy") as file:
        shape, fortran, dtype = _header(file)
    if dtype != np.uint8 or len(shape) != 4 or fortran:
        raise DataError(f"{path}: expected {member} of uint8 (N, H, W, C), got {dtype} {shape}")
    one = int(np.prod(shape[1:]))

    def read() -> Iterator[Tensor]:
        with zipfile.ZipFile(path).open(f"{member}.npy") as file:
            _header(file)
            for _ in range(shape[0]):
                row = np.frombuffer(file.read(one), np.uint8).reshape(shape[1:])
                yield torch.from_numpy(row if row.shape[0] in (1, 3) else row.transpose(2, 0, 1).copy())

    return Images(str(path), shape[0], read, labels)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype[Any]] = reader(file)
    return found


def _of_files(source: str, names: list[str], content: Callable[[str], bytes], labels: list[int] | None) -> Images:
    def read() -> Iterator[Tensor]:
        """A few files are read and decoded ahead, in threads: Pillow lets go of the interpreter's lock."""

        def one(name: str) -> Tensor:
            return decode(content(name), f"{source}: {name}")

        with ThreadPoolExecutor(_READERS) as pool:
            ahead: deque[Future[Tensor]] = deque()
            for name in names:
                ahead.append(pool.submit(one, name))
                if len(ahead) > 8 * _READERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    return Images(source, _some(source, names), read, labels, _share_of_jpeg(names), names)


def _images(names: list[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in SUFFIXES]


def _some(source: str, names: list[str]) -> int:
    if not names:
        raise DataError(f"{source}: expected images ({', '.join(sorted(SUFFIXES))}), found none")
    return len(names)


def _share_of_jpeg(names: list[str]) -> float:
    return sum(Path(name).suffix.lower() in JPEG for name in names) / max(1, len(names))
