"""Sets of images from folders, archives, arrays and rows: the same images in the same order, and refusals."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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
    if kind in ("parquet", "saved"):
        return table(kind, pictures, root)
    if kind == "shards":
        for shard, rows in enumerate(np.array_split(np.arange(len(pictures)), 3)):
            tar(root / f"shard-{shard + 8:02d}.tar", [names[i] for i in rows], pictures[rows])
        return root / "shard-{08..10}.tar"
    path = root / f"set.{kind}"
    if kind == "npz":
        np.savez_compressed(path, arr_0=pictures, arr_1=np.arange(len(pictures)) % 3)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for i in reversed(range(len(names))):  # the order inside an archive says nothing
                archive.writestr(names[i], png(pictures[i]))
            archive.writestr("readme.txt", "no image")
    else:
        tar(path, names, pictures)
    return path


def tar(path: Path, names: list[str], pictures: np.ndarray) -> None:
    """A webdataset shard: of every sample an image and something else."""
    with tarfile.open(path, "w") as archive:
        for name, picture in zip(names, pictures, strict=True):
            for member, content in ((name, png(picture)), (name.replace("png", "json"), json.dumps(name).encode())):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def table(kind: str, pictures: np.ndarray, root: Path) -> Path:
    """What datasets 5.2 writes by to_parquet (several files make a folder), or by save_to_disk in two shards."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = pa.table(
        {
            "label": pa.array([i % 2 for i in range(len(pictures))], pa.int64()),
            "image": pa.array([{"bytes": png(picture), "path": None} for picture in pictures], image),
        }
    )
    parts = [rows.slice(0, 4), rows.slice(4)]
    for i, part in enumerate(parts):
        if kind == "parquet":
            pq.write_table(part, root / f"train-{i:05d}-of-00002.parquet")
        else:
            with pa.ipc.new_stream(root / f"data-{i:05d}-of-00002.arrow", rows.schema) as stream:
                stream.write_table(part)
    if kind == "saved":
        files = [{"filename": f"data-{i:05d}-of-00002.arrow"} for i in range(2)]
        (root / "state.json").write_text(json.dumps({"_data_files": files, "_split": None}))
    return root


@pytest.mark.parametrize("kind", ["tensor", "rows", "folder", "npz", "zip", "tar", "shards", "parquet", "saved"])
def test_every_source_gives_the_same_images_twice(kind: str, pictures: np.ndarray, tmp_path: Path) -> None:
    images = open_images(stored(kind, pictures, tmp_path))  # type: ignore[arg-type]
    expected = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    assert images.count == 7
    for _ in range(2):
        batches = list(images.batches(3))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert torch.equal(torch.cat(batches), expected)
    assert torch.equal(torch.stack(list(images.first(4).read())), expected[:4])
    twos, threes = [i % 2 for i in range(7)], [i % 3 for i in range(7)]
    assert images.labels == {"rows": twos, "parquet": twos, "saved": twos, "npz": threes}.get(kind)
    named = kind in ("folder", "zip", "tar", "shards")
    assert images.first(2).names == (["000.png", "001.png"] if named else None)


def test_classes_grey_alpha_and_mixed_sizes(tmp_path: Path) -> None:
    for name, mode, size in (("a/0.png", "L", (4, 4)), ("b/0.png", "RGBA", (4, 4)), ("b/1.jpg", "RGB", (8, 4))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new(mode, size).save(tmp_path / name)
    images = open_images(tmp_path)
    assert images.labels == [0, 1, 1]
    assert images.jpeg == pytest.approx(1 / 3)
    assert [tuple(batch.shape) for batch in images.batches()] == [(1, 1, 4, 4), (1, 3, 4, 4), (1, 3, 4, 8)]


def test_a_hugging_face_data_set_gives_its_labels_without_decoding(pictures: np.ndarray) -> None:
    class Dataset:
        """What of datasets.Dataset is used: columns by name, rows by number, each decoded when asked for."""

        column_names = ("image", "label")
        decoded = 0

        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, key: int | str) -> object:
            if key == "label":
                return list(range(7))
            self.decoded += 1
            return {"image": Image.fromarray(pictures[key]), "label": key}

    rows = Dataset()
    images = open_images(rows)  # type: ignore[arg-type]
    assert images.labels == list(range(7))
    assert rows.decoded == 0
    assert torch.equal(torch.stack(list(images.read())), torch.from_numpy(pictures).permute(0, 3, 1, 2))


def test_tables_that_hold_no_images(pictures: np.ndarray, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "words.parquet")
    with pytest.raises(DataError, match="a column `image` of encoded images, got text"):
        open_images(tmp_path / "words.parquet")
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(
        pa.table({"image": pa.array([{"bytes": None, "path": "/a.png"}], image)}), tmp_path / "paths.parquet"
    )
    with pytest.raises(DataError, match="expected images inside the file"):
        open_images(tmp_path / "paths.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"readable \.parquet"):
        open_images(tmp_path / "broken.parquet")
    (tmp_path / "dict").mkdir()
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=r"got the splits train, test: name .*train"):
        open_images(tmp_path / "dict")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        open_images(tmp_path)
    with pytest.raises(DataError, match="expected a folder of images or a file"):
        open_images(tmp_path / "absent.zip")
    with pytest.raises(DataError, match=r"expected a folder of images or a file .*shard-1\.tar'"):
        open_images(tmp_path / "shard-{1..2}.tar")
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
