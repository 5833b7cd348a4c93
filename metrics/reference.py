"""Reference statistics: mean and covariance of a set's features, kept in a file so that nobody computes them again.

A FeatureSet -> write_statistics; a file -> read_statistics -> FeatureSet. Ours is the .npz of EDM, pytorch-fid and
guided-diffusion, or EDM2's .pkl, with a JSON note of what it is (source, split, size, preprocessing, network) and a
hash of its content, which they ignore. Theirs are read as they are, a .pkl without running any code of it.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, LoadError
from .frechet import Gaussian
from .one_pass import FeatureSet

Floats = NDArray[np.float64]

_NOTE = "sigmascope"
_EDM2 = {"inception": "fid", "dinov2": "fd_dinov2"}
SPLITS = ("train", "training", "val", "valid", "validation", "test")
"""Names of folders and files that say which part of a data set they hold."""


@dataclass(frozen=True)
class Provenance:
    """What statistics are of. Foreign files say nothing of it, so their fields are empty and n is 0, unknown."""

    source: str = ""
    split: str = ""
    """train, val, test ... of the data set."""
    size: str = ""
    """Of the images, width x height, before they were resized."""
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


def write_statistics(path: Path, statistics: Statistics, network: str = "inception") -> None:
    """.npz: EDM and pytorch-fid (mu, sigma) and guided-diffusion (mu_s, sigma_s as well) read it as theirs. .pkl: EDM2
    does, for `network`. What it is of, and the hash, stand beside in a note they ignore. Raises ConfigError for another
    suffix or a network EDM2 has no name for."""
    check_target(path, network)
    arrays: dict[str, Any] = {"mu": statistics.mean, "sigma": statistics.covariance}
    if statistics.spatial_mean is not None and statistics.spatial_covariance is not None:
        arrays |= {"mu_s": statistics.spatial_mean, "sigma_s": statistics.spatial_covariance}
    note = json.dumps({**vars(statistics.provenance), "digest": statistics.digest})
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **arrays, **{_NOTE: np.array(note)})
        return
    content = {"num_images": statistics.provenance.n, _EDM2[network]: {**arrays, _NOTE: note}}
    path.write_bytes(pickle.dumps(content))


def check_target(path: Path, network: str) -> None:
    """What write_statistics refuses, told before the work."""
    if path.suffix not in (".npz", ".pkl"):
        raise ConfigError(f"expected a file .npz or .pkl for statistics, got {str(path)!r}")
    if path.suffix == ".pkl" and network not in _EDM2:
        raise ConfigError(f"{path}: EDM2 has statistics of {', '.join(_EDM2)}, not of {network!r}: name an .npz")


def split_of(source: str) -> str:
    """The part of a data set that a path names: in a word of its last name, or as the whole name of one of the two
    folders above. Empty where it doesn't say."""
    *folders, last = Path(source.lower()).parts or ("",)
    words = [*re.split(r"[^a-z]+", last), *reversed(folders[-2:])]
    return next((word for word in words if word in SPLITS), "")


def read_statistics(path: Path, network: str = "inception") -> Statistics:
    """From .npz or EDM2's .pkl, of which the entry of `network` is taken.

    Raises LoadError for anything else: other content, pickled objects, or a hash that doesn't match.
    """
    try:
        arrays = _from_pickle(path, _EDM2.get(network, network)) if path.suffix == ".pkl" else _from_npz(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise LoadError(f"{path}: expected reference statistics, got: {error}") from error
    if not {"mu", "sigma"} <= arrays.keys():
        raise LoadError(f"{path}: expected arrays mu and sigma, got {sorted(arrays)}")
    note = json.loads(str(arrays.pop(_NOTE))) if _NOTE in arrays else {"n": int(arrays.get("num_images", 0))}
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
    return path.suffix == ".pkl" or (has_statistics(path) and "arr_0.npy" not in _members(path))


def has_statistics(path: Path) -> bool:
    """Whether a file holds statistics: guided-diffusion's reference batches hold images beside those of many more."""
    return "mu.npy" in _members(path)


def _members(path: Path) -> list[str]:
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _from_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name in ("mu", "sigma", "mu_s", "sigma_s", _NOTE)}


def _from_pickle(path: Path, entry: str) -> dict[str, Any]:
    content = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    if not isinstance(content, dict) or not isinstance(content.get(entry), dict):
        there = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise LoadError(f"{path}: expected statistics of {entry!r}, got {there}")
    return {"num_images": content.get("num_images", 0), **content[entry]}


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
