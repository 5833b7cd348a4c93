"""Sets of images from folders, archives, arrays and rows: the same images in the same order, and refusals."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sigmascope.errors import DataError
from sigmascope.metrics.images import open_images


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 10, 12, 3), dtype=np.uint8)


def png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def stored(kind: str, pictures: np.ndarray, root: Path) -> object:
    names = [f"{i:03d}.png" for i in range(len(pictures))]
    if kind == "tensor":
        return torch.from_numpy(pictures).permute(0, 3, 1, 2)
    if kind == "rows":
        return [{"image": Image.fromarray(picture), "label": i % 2} for i, picture in enumerate(pictures)]
    if kind == "folder":
        for name, picture in zip(names, pictures, strict=True):
            (root / name).write_bytes(png(picture))
        return root
    path = root / f"set.{kind}"
    if kind == "npz":
        np.savez_compressed(path, arr_0=pictures, arr_1=np.arange(len(pictures)) % 3)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for i in reversed(range(len(names))):  # the order inside an archive says nothing
                archive.writestr(names[i], png(pictures[i]))
            archive.writestr("readme.txt", "no image")
    else:
        with tarfile.open(path, "w") as archive:
            for i, name in enumerate(names):
                for member, content in (
                    (name, png(pictures[i])),
                    (name.replace("png", "json"), json.dumps(i).encode()),
                ):
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["tensor", "rows", "folder", "npz", "zip", "tar"])
def test_every_source_gives_the_same_images_twice(kind: str, pictures: np.ndarray, tmp_path: Path) -> None:
    images = open_images(stored(kind, pictures, tmp_path))  # type: ignore[arg-type]
    expected = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    assert images.count == 7
    for _ in range(2):
        batches = list(images.batches(3))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert torch.equal(torch.cat(batches), expected)
    assert torch.equal(torch.stack(list(images.first(4).read())), expected[:4])
    assert images.labels == {"rows": [0, 1, 0, 1, 0, 1, 0], "npz": [0, 1, 2, 0, 1, 2, 0]}.get(kind)


def test_classes_grey_alpha_and_mixed_sizes(tmp_path: Path) -> None:
    for name, mode, size in (("a/0.png", "L", (4, 4)), ("b/0.png", "RGBA", (4, 4)), ("b/1.jpg", "RGB", (8, 4))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new(mode, size).save(tmp_path / name)
    images = open_images(tmp_path)
    assert images.labels == [0, 1, 1]
    assert images.jpeg == pytest.approx(1 / 3)
    assert [tuple(batch.shape) for batch in images.batches()] == [(1, 1, 4, 4), (1, 3, 4, 4), (1, 3, 4, 8)]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        open_images(tmp_path)
    with pytest.raises(DataError, match="expected a folder of images or a file"):
        open_images(tmp_path / "absent.zip")
    with pytest.raises(DataError, match="uint8 images"):
        open_images(torch.zeros(2, 3, 4, 4))
    np.savez(tmp_path / "floats.npz", arr_0=np.zeros((2, 4, 4, 3)))
    with pytest.raises(DataError, match=r"of uint8 \(N, H, W, C\), got float64"):
        open_images(tmp_path / "floats.npz")
    np.savez(tmp_path / "objects.npz", arr_0=np.array([object()]), allow_pickle=True)
    with pytest.raises(DataError, match="got object"):
        open_images(tmp_path / "objects.npz")
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken.png: expected an image"):
        list(open_images(tmp_path).read())
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"readable \.zip"):
        open_images(tmp_path / "broken.zip")
