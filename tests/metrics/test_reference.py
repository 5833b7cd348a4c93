"""Reference statistics: there and back, other tools' files, nothing runs, nothing changes unnoticed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError, LoadError
from sigmascope.metrics.frechet import Gaussian, frechet_distance
from sigmascope.metrics.one_pass import FeatureSet
from sigmascope.metrics.reference import Provenance, Statistics, is_statistics, read_statistics, write_statistics


@pytest.fixture
def features() -> FeatureSet:
    rng = np.random.default_rng(0)
    pooled, spatial = (Gaussian(torch.from_numpy(rng.standard_normal((50, d)))) for d in (6, 4))
    return FeatureSet(50, pooled, spatial)


PROVENANCE = Provenance("data/cifar10", "train", 50, "TF1 bilinear", "0123456789ab")


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


def test_other_tools_read_ours_and_we_theirs(features: FeatureSet, tmp_path: Path) -> None:
    made = Statistics.of(features, PROVENANCE)
    write_statistics(tmp_path / "ours.npz", made)
    with np.load(tmp_path / "ours.npz") as file:  # as EDM, pytorch-fid and guided-diffusion do
        np.testing.assert_array_equal(file["mu"], made.mean)
        np.testing.assert_array_equal(file["sigma_s"], made.spatial_covariance)
    np.savez(tmp_path / "edm.npz", mu=made.mean, sigma=made.covariance)
    theirs = read_statistics(tmp_path / "edm.npz")
    assert theirs.provenance == Provenance()
    assert theirs.features().n == 0
    assert theirs.features().spatial is None
    images = np.zeros((2, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "adm.npz", arr_0=images, mu=made.mean, sigma=made.covariance, mu_s=made.spatial_mean,
             sigma_s=made.spatial_covariance)  # fmt: skip
    assert read_statistics(tmp_path / "adm.npz").digest == made.digest


def test_edm2_pickle_is_read_without_running_it(features: FeatureSet, tmp_path: Path) -> None:
    made = Statistics.of(features, PROVENANCE)
    entry = {"mu": made.mean, "sigma": made.covariance}
    path = tmp_path / "edm2.pkl"
    path.write_bytes(pickle.dumps({"fid": entry, "fd_dinov2": {"mu": np.zeros(2), "sigma": np.eye(2)}}))
    np.testing.assert_array_equal(read_statistics(path).covariance, made.covariance)
    assert len(read_statistics(path, "fd_dinov2").mean) == 2
    with pytest.raises(LoadError, match="statistics of 'kid', got"):
        read_statistics(path, "kid")


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
