"""Data sets: by function, folder and .npz; what doesn't fit is refused with what was expected."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sigmascope.errors import DataError
from sigmascope.evals.data import DataSet, load_data


def save(path: Path, value: int, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).save(path)


def test_a_folder_is_read_in_order_of_name_and_scaled_to_minus_one_to_one(tmp_path: Path) -> None:
    for name, value in (("b", 255), ("a", 0)):
        save(tmp_path / f"{name}.png", value)
    data = load_data(str(tmp_path))
    assert data.images.shape == (2, 1, 4, 4)
    assert data.images[:, 0, 0, 0].tolist() == [-1.0, 1.0]
    assert data.labels is None


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name, value in (("cat/1", 1), ("cat/2", 2), ("dog/1", 3)):
        save(tmp_path / f"{name}.png", value)
    assert load_data(str(tmp_path)).labels.tolist() == [0, 0, 1]


def test_npz_in_both_layouts(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    np.savez(tmp_path / "last.npz", images=images, labels=np.array([4, 5]))
    np.savez(tmp_path / "first.npz", images=images.transpose(0, 3, 1, 2))
    last, first = load_data("last.npz", tmp_path), load_data("first.npz", tmp_path)
    torch.testing.assert_close(last.images, first.images, rtol=0, atol=0)
    assert last.labels.tolist() == [4, 5]
    assert last.digest != first.digest  # the labels count


def test_a_pickle_in_an_npz_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", images=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="without pickled objects"):
        load_data("evil.npz", tmp_path)


def test_mixed_sizes_empty_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected images"):
        load_data(str(tmp_path))
    save(tmp_path / "a.png", 1)
    save(tmp_path / "b.png", 1, (4, 5))
    with pytest.raises(DataError, match="one size"):
        load_data(str(tmp_path))
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="expected an image"):
        load_data(str(tmp_path))
    with pytest.raises(DataError, match="expected a folder of images"):
        load_data("nowhere", tmp_path)


def test_nan_and_label_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="finite"):
        DataSet(torch.full((2, 1), float("nan")), None, "s")
    with pytest.raises(DataError, match="2 labels, got 3"):
        DataSet(torch.zeros(2, 1), torch.zeros(3), "s")
