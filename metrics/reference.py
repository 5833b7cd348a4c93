"""Reference statistics: mean and covariance of a set's features, kept in a file so that nobody computes them again.

A FeatureSet -> write_statistics; a file -> read_statistics -> FeatureSet. Ours is an .npz with a JSON note of what it
is (source, split, size, preprocessing, network) and a hash of its content; EDM's, pytorch-fid's and guided-diffusion's
.npz are read and written too, and EDM2's .pkl is read without running any code of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, LoadError
from .frechet import Gaussian
from .one_pass import FeatureSet

Floats = NDArray[np.float64]

_NOTE = "sigmascope"


@dataclass(frozen=True)
class Provenance:
    """What statistics are of. Foreign files say nothing of it, so their fields are empty and n is 0, unknown."""

    source: str = ""
    split: str = ""
    n: int = 0
    preprocessing: str = ""
    network: str = ""
    """Fingerprint of the feature network; empty: not recorded, so nothing vouches for a match."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """mean (d,), covariance (d, d), float64; spatial ones for sFID where there are any. digest: hash of the content."""

    mean: Floats
    covariance: Floats
    spatial_mean: Floats | None = None
    spatial_covariance: Floats | None = None
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        for mean, covariance in (
            (self.mean, self.covariance),
            (self.spatial_mean, self.spatial_covariance),
        ):
            if mean is None or covariance is None:
                continue
            if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
                raise DataError(f"expected a mean (d,) and covariance (d, d), got {mean.shape} and {covariance.shape}")
            if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
                raise DataError("expected finite statistics, got values that aren't")

    @property
    def digest(self) -> str:
        """SHA-256 over the arrays, 16 hex digits: the same numbers have the same digest whatever file they were in."""
        found = hashlib.sha256()
        for array in (self.mean, self.covariance, self.spatial_mean, self.spatial_covariance):
            if array is not None:
                found.update(np.ascontiguousarray(array, np.float64).tobytes())
        return found.hexdigest()[:16]

    @classmethod
    def of(cls, features: FeatureSet, provenance: Provenance) -> Statistics:
        """Raises DataError where the set has no moments."""
        if features.gaussian is None:
            raise DataError("expected features with moments, got none")
        spatial = features.spatial
        return cls(
            features.gaussian.mean,
            features.gaussian.covariance,
            None if spatial is None else spatial.mean,
            None if spatial is None else spatial.covariance,
            provenance,
        )

    def features(self) -> FeatureSet:
        """What the metrics take; n = 0 where it isn't known."""
        n = self.provenance.n or None
        spatial = None
        if self.spatial_mean is not None and self.spatial_covariance is not None:
            spatial = Gaussian.of_statistics(self.spatial_mean, self.spatial_covariance, n)
        return FeatureSet(n or 0, Gaussian.of_statistics(self.mean, self.covariance, n), spatial)


def write_statistics(path: Path, statistics: Statistics) -> None:
    """An .npz that EDM (mu, sigma), pytorch-fid (mu, sigma) and guided-diffusion (and mu_s, sigma_s) read as theirs;
    what it is of, and the hash, stand beside in a note they ignore."""
    arrays: dict[str, Any] = {"mu": statistics.mean, "sigma": statistics.covariance}
    if statistics.spatial_mean is not None and statistics.spatial_covariance is not None:
        arrays |= {"mu_s": statistics.spatial_mean, "sigma_s": statistics.spatial_covariance}
    arrays[_NOTE] = np.array(json.dumps({**vars(statistics.provenance), "digest": statistics.digest}))
    np.savez(path, allow_pickle=False, **arrays)


def read_statistics(path: Path, network: str = "fid") -> Statistics:
    """From .npz or EDM2's .pkl, of which `network` is the entry ("fid", "fd_dinov2").

    Raises LoadError for anything else: other content, pickled objects, or a hash that doesn't match.
    """
    try:
        arrays = _from_pickle(path, network) if path.suffix == ".pkl" else _from_npz(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise LoadError(f"{path}: expected reference statistics, got: {error}") from error
    if not {"mu", "sigma"} <= arrays.keys():
        raise LoadError(f"{path}: expected arrays mu and sigma, got {sorted(arrays)}")
    note = json.loads(str(arrays.pop(_NOTE))) if _NOTE in arrays else {}
    digest = note.pop("digest", None)
    mean, covariance, spatial, spatial_covariance = (
        np.asarray(arrays[name], np.float64) if name in arrays else None for name in ("mu", "sigma", "mu_s", "sigma_s")
    )
    assert mean is not None
    assert covariance is not None
    found = Statistics(mean, covariance, spatial, spatial_covariance, Provenance(**note))
    if digest not in (None, found.digest):
        raise LoadError(f"{path}: expected content of hash {digest}, got {found.digest}; the file was changed")
    return found


def is_statistics(path: Path) -> bool:
    """Whether a file holds statistics instead of images."""
    if path.suffix == ".pkl":
        return True
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    names = zipfile.ZipFile(path).namelist()
    return "mu.npy" in names and "arr_0.npy" not in names


def _from_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name in ("mu", "sigma", "mu_s", "sigma_s", _NOTE)}


def _from_pickle(path: Path, network: str) -> dict[str, Any]:
    content = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    if not isinstance(content, dict) or not isinstance(content.get(network), dict):
        there = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise LoadError(f"{path}: expected statistics of {network!r}, got {there}")
    return dict(content[network])


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays and plain containers; any other name in the file is refused before it is called."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
            *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"expected NumPy arrays alone, got {module}.{name}, which could run code")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)
