"""A baseline's per-image errors away from its run: one Parquet file on a disk or at a URL, believed by its hash alone.

`baseline accept --errors PLACE` -> write_errors -> Baseline.errors -> `gate --baseline FILE` -> fetch_errors -> pairs.
Places are those of fsspec: a path, or https://, s3://, gs:// ... with the package that the protocol needs.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ..errors import ConfigError, StoreError
from ..evals.records import TABLES

COLUMNS = list(TABLES["evaluations"])


class ErrorsFile(BaseModel):
    """Where a baseline's per-image errors lie, and by what they are known."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    place: str
    """A URL, an absolute path, or one relative to the baseline file's folder."""
    sha256: str
    bytes: int = Field(ge=1)


def write_errors(place: str, baseline: Path, run_id: str, evaluations: pd.DataFrame) -> ErrorsFile:
    """Write a run's evaluations to `place`: a name that ends in .parquet, or a folder to hold RUN-SHA256.parquet.

    baseline: the baseline's file, which a relative path is stored relative to. Raises ConfigError for a place of an
    unknown protocol, or one whose package is missing; StoreError where it can't be written.
    """
    if evaluations.empty:
        raise ConfigError(f"--errors: run {run_id} was asked at no noise level, so it has no per-image errors")
    content = _parquet(evaluations)
    digest = hashlib.sha256(content).hexdigest()
    target = place if place.endswith(".parquet") else f"{place.rstrip('/')}/{run_id}-{digest[:16]}.parquet"
    try:
        system, path = _located(target, Path())
        if "file" in _protocols(system):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with system.transaction, system.open(path, "wb") as file:
            file.write(content)
    except ConfigError:
        raise
    except Exception as error:  # every protocol raises its own
        raise StoreError(f"--errors: {target} can't be written: {_said(error)}") from error
    if "://" not in target and not os.path.isabs(target):
        target = Path(os.path.relpath(target, baseline.parent)).as_posix()
    return ErrorsFile(place=target, sha256=digest, bytes=len(content))


def fetch_errors(errors: ErrorsFile, folder: Path) -> tuple[pd.DataFrame | None, str]:
    """The evaluations, or None and why they can't be had. `folder` is the baseline file's.

    No more than the stated number of bytes is read, and nothing is parsed whose size or hash differs: that is another
    file, a StoreError. Raises ConfigError for a chain of protocols.
    """
    try:
        system, path = _located(errors.place, folder)
        content = system.cat_file(path, end=errors.bytes + 1)
    except ConfigError as error:
        if "::" in errors.place:
            raise
        return None, str(error)
    except Exception as error:  # every protocol raises its own
        return None, _said(error)
    digest = hashlib.sha256(content).hexdigest()
    if len(content) != errors.bytes or digest != errors.sha256:
        size = f"{len(content):,} bytes" if len(content) <= errors.bytes else f"more than {errors.bytes:,} bytes"
        raise StoreError(
            f"{errors.place}: expected the accepted errors, {errors.bytes:,} bytes with sha256 {errors.sha256[:16]}…, "
            f"got {size} with {digest[:16]}…"
        )
    try:
        return pd.read_parquet(io.BytesIO(content), columns=COLUMNS), ""
    except (ValueError, OSError) as error:
        raise StoreError(f"{errors.place}: expected a Parquet table of {', '.join(COLUMNS)}, got: {error}") from error


def _parquet(evaluations: pd.DataFrame) -> bytes:
    """The same bytes for the same errors, in whatever order they are stored."""
    buffer = io.BytesIO()
    ordered = evaluations[COLUMNS].sort_values(["model", "level", "image", "draw"], kind="stable")
    ordered.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _located(place: str, folder: Path) -> tuple[Any, str]:
    """The file system of a place and the path in it. Raises ConfigError."""
    import fsspec  # type: ignore[import-untyped]

    if "::" in place:
        raise ConfigError(f"{place}: expected one protocol, got a chain of them")
    try:
        system, path = fsspec.core.url_to_fs(place if "://" in place else str(folder / place))
    except ImportError as error:
        raise ConfigError(f"{place}: a package is missing: {_said(error)}; `pip install` it") from error
    except ValueError as error:
        raise ConfigError(f"{place}: expected a path or a URL that fsspec knows, got: {_said(error)}") from error
    return system, path


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _said(error: Exception) -> str:
    """An error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
