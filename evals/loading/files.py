"""Checks on files that may come from anywhere, made before anything in them is read as a model."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from ...errors import LoadError

_EXPANSION = 20
"""Weights hardly compress; an archive that declares more than this many times its own size is refused."""


def checked_file(location: str, scheme: str) -> Path:
    """The file, if it is one and no zip bomb. Raises LoadError."""
    path = Path(location).expanduser()
    if path.is_dir():
        raise LoadError(f"{scheme}:{location}: expected a file, got a folder; nothing in it was run")
    if not path.is_file():
        raise LoadError(f"{scheme}:{location}: there is no such file")
    size = path.stat().st_size
    if size == 0:
        raise LoadError(f"{scheme}:{location}: the file is empty")
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                declared = sum(entry.file_size for entry in archive.infolist())
        except (zipfile.BadZipFile, OSError) as error:
            raise LoadError(f"{scheme}:{location}: a broken archive: {error}") from error
        if declared > _EXPANSION * size:
            raise LoadError(f"{scheme}:{location}: {size} bytes that would unpack to {declared}: refused as a zip bomb")
    return path


def sha256(path: Path) -> str:
    """Of the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
