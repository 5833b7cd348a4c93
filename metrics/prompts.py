"""Prompts that images were made from, out of a file: what a CLIP score compares the images with.

FILE.txt one prompt a line, FILE.jsonl or FILE.csv with a column of prompts and perhaps one of file names ->
read_prompts -> Prompts.of(images): one prompt per image, matched by name where names are given, else in order.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .images import Images

PROMPT_COLUMNS = ("prompt", "caption", "text")
NAME_COLUMNS = ("file_name", "filename", "file", "name", "image")


@dataclass(frozen=True)
class Prompts:
    """prompts in the order of the file; names of their images, where the file has them."""

    source: str
    prompts: tuple[str, ...]
    names: tuple[str, ...] | None = None

    def of(self, images: Images) -> list[str]:
        """One per image, in the images' order. A name is a path below the source, or the file's own name where that
        is unique. Raises DataError where counts differ, or an image has no prompt."""
        if self.names is None:
            if len(self.prompts) != images.count:
                raise DataError(
                    f"{self.source}: expected a prompt for each of {images.count} images, got {len(self.prompts)}"
                )
            return list(self.prompts)
        if images.names is None:
            raise DataError(f"{self.source}: expected images with file names for its names, got {images.source}")
        by_name = dict(zip(self.names, self.prompts, strict=True))
        alone = Counter(Path(name).name for name in images.names)
        found = [_looked_up(by_name, name, alone[Path(name).name] == 1) for name in images.names]
        missing = [name for name, prompt in zip(images.names, found, strict=True) if prompt is None]
        if missing:
            raise DataError(
                f"{self.source}: expected a prompt for each of {images.count} images, got none for {len(missing)} of "
                f"them, the first {missing[0]!r}"
            )
        return [prompt for prompt in found if prompt is not None]


def read_prompts(path: Path) -> Prompts:
    """Raises DataError for another kind of file, no prompts, empty ones, or a name that comes twice."""
    readers = {".txt": _lines, ".jsonl": _json_rows, ".csv": _csv_rows}
    if path.suffix not in readers:
        raise DataError(f"expected prompts in a file {', '.join(readers)}, got {str(path)!r}")
    try:
        rows = readers[path.suffix](path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected readable prompts, got: {error}") from error
    if not rows:
        raise DataError(f"{path}: expected prompts, found none")
    column = _column(path, rows[0], PROMPT_COLUMNS)
    if column is None:
        raise DataError(f"{path}: expected one of the columns {', '.join(PROMPT_COLUMNS)}, got {', '.join(rows[0])}")
    prompts = tuple(str(row.get(column) or "").strip() for row in rows)
    empty = [number for number, prompt in enumerate(prompts, 1) if not prompt]
    if empty:
        raise DataError(f"{path}: expected a prompt in every row, got none in row {empty[0]}")
    by = _column(path, rows[0], NAME_COLUMNS)
    if by is None:
        return Prompts(str(path), prompts)
    names = tuple(str(row.get(by)) for row in rows)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: expected each name once, got {twice!r} more than once")
    return Prompts(str(path), prompts, names)


def _looked_up(by_name: Mapping[str, str], name: str, alone: bool) -> str | None:
    """By the path, and by the file's own name if it is the only such file; each with and without its suffix."""
    path = Path(name)
    keys = [name, path.with_suffix("").as_posix(), *([path.name, path.stem] if alone else [])]
    return next((by_name[key] for key in keys if key in by_name), None)


def _column(path: Path, row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    found = [name for name in names if name in row]
    if len(found) > 1:
        raise DataError(f"{path}: expected one of the columns {', '.join(names)}, got {' and '.join(found)}")
    return found[0] if found else None


def _lines(path: Path) -> list[dict[str, Any]]:
    """A blank line is an empty prompt, which is refused, unless it ends the file."""
    return [{"prompt": line} for line in path.read_text(encoding="utf-8").rstrip("\n").splitlines()]


def _json_rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line that is no JSON object")
    return rows


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
