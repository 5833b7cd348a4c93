"""Reference statistics: there and back, other tools' files, nothing runs, nothing changes unnoticed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError, LoadError
from sigmascope.metrics.frechet import Gaussian, frechet_distance
from sigmascope.metrics.one_pass import FeatureSet
from sigmascope.metrics.reference import (
    Provenance,
    Statistics,
    has_statistics,
    is_statistics,
    read_statistics,
    split_of,
    write_statistics,
)  # fmt: skip


@pytest.fixture
def features() -> FeatureSet:
    rng = np.random.default_rng(0)
    pooled, spatial = (Gaussian(torch.from_numpy(rng.standard_normal((50, d)))) for d in (6, 4))
    return FeatureSet(50, pooled, spatial)


PROVENANCE = Provenance("data/cifar10", "train", "32x32", 50, "TF1 bilinear", "0123456789ab")


def test_there_and_back(features: FeatureSet, tmp_path: Path) -> None:
    made = Statistics.of(features, PROVENANCE)
    write_statistics(tmp_path / "ref.npz", made)
    found = read_statistics(tmp_path / "ref.npz")
    assert found.provenance == PROVENANCE
    assert found.digest == made.digest
    again = found.features()
    assert again.n == 50
    assert again.gaussian is not None
    assert features.gaussian is not None
    assert frechet_distance(again.gaussian, features.gaussian) < 1e-9
    assert again.spatial is not None
    assert is_statistics(tmp_path / "ref.npz")


def test_edm_and_pytorch_fid_read_ours_and_we_theirs(features: FeatureSet, tmp_path: Path) -> None:
    """Both keep mu and sigma and nothing of where they are from."""
    made = Statistics.of(features, PROVENANCE)
    write_statistics(tmp_path / "ours.npz", made)
    with np.load(tmp_path / "ours.npz") as file:  # pytorch-fid: f["mu"][:]; EDM: dict(np.load(f)) without pickles
        np.testing.assert_array_equal(file["mu"][:], made.mean)
        np.testing.assert_array_equal(dict(file)["sigma"], made.covariance)
    np.savez(tmp_path / "theirs.npz", mu=made.mean, sigma=made.covariance)
    np.savez_compressed(tmp_path / "packed.npz", mu=made.mean, sigma=made.covariance)
    for name in ("theirs.npz", "packed.npz"):
        theirs = read_statistics(tmp_path / name)
        assert theirs.provenance == Provenance()
        assert theirs.features().n == 0
        assert theirs.features().spatial is None
        np.testing.assert_array_equal(theirs.covariance, made.covariance)


def test_guided_diffusion_reads_ours_and_we_theirs(features: FeatureSet, tmp_path: Path) -> None:
    """sFID's statistics as well; its reference batches hold images beside them."""
    made = Statistics.of(features, PROVENANCE)
    write_statistics(tmp_path / "ours.npz", made)
    with np.load(tmp_path / "ours.npz") as file:
        np.testing.assert_array_equal(file["mu_s"], made.spatial_mean)
        np.testing.assert_array_equal(file["sigma_s"], made.spatial_covariance)
    arrays = {"mu": made.mean, "sigma": made.covariance, "mu_s": made.spatial_mean, "sigma_s": made.spatial_covariance}
    np.savez(tmp_path / "alone.npz", **arrays)
    np.savez(tmp_path / "batch.npz", arr_0=np.zeros((2, 4, 4, 3), np.uint8), **arrays)
    for name, alone in (("alone.npz", True), ("batch.npz", False)):
        assert read_statistics(tmp_path / name).digest == made.digest
        assert has_statistics(tmp_path / name)
        assert is_statistics(tmp_path / name) is alone


def test_edm2_reads_ours(features: FeatureSet, tmp_path: Path) -> None:
    """By pickle.load, then stats[metric]["mu"]; of what it doesn't ask for it takes no notice."""
    made = Statistics.of(features, PROVENANCE)
    for network, metric in (("inception", "fid"), ("dinov2", "fd_dinov2")):
        path = tmp_path / f"{network}.pkl"
        write_statistics(path, made, network)
        content = pickle.loads(path.read_bytes())
        np.testing.assert_array_equal(content[metric]["mu"], made.mean)
        np.testing.assert_array_equal(content[metric]["sigma"], made.covariance)
        assert content["num_images"] == 50
        again = read_statistics(path, network)
        assert again.provenance == PROVENANCE
        assert again.digest == made.digest
        assert again.spatial_mean is not None
        assert is_statistics(path)
    with pytest.raises(ConfigError, match="EDM2 has statistics of inception, dinov2, not of 'digits'"):
        write_statistics(tmp_path / "digits.pkl", made, "digits")
    with pytest.raises(ConfigError, match=r"a file \.npz or \.pkl"):
        write_statistics(tmp_path / "stats.json", made)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_edm2_pickle_is_read_without_running_it(features: FeatureSet, tmp_path: Path, protocol: int) -> None:
    made = Statistics.of(features, PROVENANCE)
    entry = {"mu": made.mean, "sigma": made.covariance}
    path = tmp_path / "edm2.pkl"
    theirs = {"num_images": 50000, "fid": entry, "fd_dinov2": {"mu": np.zeros(2), "sigma": np.eye(2)}}
    path.write_bytes(pickle.dumps(theirs, protocol=protocol))
    found = read_statistics(path)
    np.testing.assert_array_equal(found.covariance, made.covariance)
    assert found.provenance == Provenance(n=50000)
    assert len(read_statistics(path, "dinov2").mean) == 2
    with pytest.raises(LoadError, match="statistics of 'clip', got"):
        read_statistics(path, "clip")


@pytest.mark.parametrize(
    ("source", "split"),
    [
        ("cifar10/train", "train"),
        ("data/cifar10-test.npz", "test"),
        ("data/val/n01440764", "val"),
        ("imagenet_validation.tar", "validation"),
        ("/home/me/training-runs/a/out", ""),
        ("train/experiments/seven/samples", ""),
        ("constrained.zip", ""),
        ("", ""),
    ],
)
def test_the_split_that_a_path_names(source: str, split: str) -> None:
    assert split_of(source) == split


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"fid": Evil()}))
    with pytest.raises(LoadError, match="which could run code"):
        read_statistics(path)
    assert not (tmp_path / "ran").exists()


def test_changed_or_unfit_files_are_refused(features: FeatureSet, tmp_path: Path) -> None:
    write_statistics(tmp_path / "ref.npz", Statistics.of(features, PROVENANCE))
    with np.load(tmp_path / "ref.npz") as file:
        arrays = dict(file)
    arrays["mu"][0] += 1e-9
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(LoadError, match="the file was changed"):
        read_statistics(tmp_path / "changed.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(LoadError, match="arrays mu and sigma"):
        read_statistics(tmp_path / "other.npz")
    with pytest.raises(DataError, match=r"covariance \(d, d\)"):
        Statistics(np.zeros(3), np.eye(2))
    with pytest.raises(DataError, match="finite"):
        Statistics(np.full(2, np.nan), np.eye(2))
