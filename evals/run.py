"""One run on disk, read lazily: its record, its tables, its pictures. store.py finds and writes them.

run.json -> Run.record        TABLE.parquet -> Run.table        images/CELL.webp -> Run.images, Run.worst, Run.film
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ..errors import ConfigError, StoreError
from .records import ADDED, PICTURES, SCHEMA_VERSION, SETTING, TABLES, CellRecord, Kind, RunRecord
from .sheets import tiles

PARTIAL = ".partial"
"""How the name of an unfinished run's folder ends."""


class Run:
    """One run, read lazily. A partial run reads the same way: its tables hold the finished cells."""

    def __init__(self, folder: Path, models: tuple[str, ...] | None = None) -> None:
        """`models` narrows the run to some of its models, the first of them the baseline; see `select`."""
        self.folder, self._models = folder, models

    @property
    def id(self) -> str:
        return self.folder.name.removesuffix(PARTIAL)

    @cached_property
    def record(self) -> RunRecord:
        record = read_record(self.folder / "run.json")
        if self._models is None:
            return record
        models = {model.name: model for model in record.models}
        missing = [name for name in self._models if name not in models]
        if missing:
            raise ConfigError(f"run {self.id}: expected one of its models {', '.join(models)}, got {missing[0]!r}")
        return record.model_copy(
            update={
                "models": [models[name] for name in self._models],
                "cells": [cell for cell in record.cells if cell.model in self._models],
                "pending": [cell for cell in record.pending if cell.model in self._models],
                "baseline": self._models[0],
            }
        )

    def select(self, *models: str) -> Run:
        """The same run, narrowed to these models, the first of them the baseline."""
        return Run(self.folder, models)

    @property
    def digest(self) -> str:
        """Changes whenever the run's content does: what a cache is keyed on. A finished cell is told in run.json."""
        found = (self.folder / "run.json").stat()
        return f"{self.folder.name}:{self._models}:{found.st_mtime_ns}:{found.st_size}"

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `records.TABLES`; empty, with its columns, where the run has no such rows."""
        parts: list[pd.DataFrame] = [part.to_pandas() for part in self.parts(name)]
        if not parts:
            return pd.DataFrame(columns=list(TABLES[name]))
        table = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        for column, value in ADDED.items():
            if column in TABLES[name] and column not in table:
                table[column] = value
        if self._models is not None:
            table = table[table["model"].isin(self._models)].reset_index(drop=True)
        return table

    def parts(self, name: str, columns: Sequence[str] | None = None) -> list[pa.Table]:
        """A table as it lies on disk: whole, or a part for each finished cell of a partial run; of all its models."""
        if name not in TABLES:
            raise ConfigError(f"unknown table {name!r}; expected one of: {', '.join(TABLES)}")
        whole = self.folder / f"{name}.parquet"
        paths = [whole] if whole.exists() else [cell / f"{name}.parquet" for cell in self._cell_folders()]
        return [_read_table(path, columns) for path in paths if path.exists()]

    def images(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        """Thumbnails of one sampling cell: sample id -> `(H, W, C)` uint8."""
        return self._beside_samples((model, sampler, steps, grid, guidance), "tile")

    def neighbours(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        """Their nearest training images: sample id -> `(H, W, C)` uint8; none where no training set was named."""
        return self._beside_samples((model, sampler, steps, grid, guidance), "nearest_tile")

    def _beside_samples(self, setting: tuple[object, ...], column: str) -> dict[int, np.ndarray]:
        rows = _of(self.table("samples"), setting)
        kept = rows[rows[column] >= 0]
        shown = self._pictures("sample", setting, kept[column])
        return dict(zip(kept["sample"].astype(int), shown, strict=True)) if shown else {}

    def film(
        self, model: str, sampler: str, steps: int, grid: str, guidance: str = ""
    ) -> dict[tuple[int, int, str], np.ndarray]:
        """The pictures of table `film`: (sample id, index, "state" or "prediction") -> `(H, W, C)` uint8."""
        setting = (model, sampler, steps, grid, guidance)
        rows = _of(self.table("film"), setting)
        keys = zip(rows["sample"].astype(int), rows["index"].astype(int), rows["picture"], strict=True)
        shown = self._pictures("trajectory", setting, rows["tile"])
        return dict(zip(keys, shown, strict=True)) if shown else {}

    def _pictures(self, kind: Kind, setting: tuple[object, ...], numbers: Iterable[int]) -> list[np.ndarray]:
        """Tiles, by number, of the sheet of the cell of a setting; none where there is no such cell."""
        cells = (c for c in self.record.cells if c.kind == kind and _setting(c) == setting)
        cell = next(cells, None)
        numbers = list(numbers)
        return (
            list(tiles(self._sheet(cell.key), self._image_size(str(setting[0])), numbers)) if cell and numbers else []
        )

    def worst(self, model: str) -> dict[int, np.ndarray]:
        """The pictures of table `worst`: tile number -> `(H, W, C)` uint8, four in a row for each entry."""
        rows = self.table("worst")
        first = rows.loc[rows["model"] == model, "tile"]
        cell = next((c for c in self.record.cells if c.model == model and c.kind == "probe"), None)
        if cell is None or first.empty:
            return {}
        numbers = [int(tile) + picture for tile in first for picture in range(len(PICTURES))]
        shown = tiles(self._sheet(cell.key), self._image_size(model), numbers)
        return dict(zip(numbers, shown, strict=True))

    def losses(self, candidate: str) -> dict[int, np.ndarray]:
        """The pictures of a candidate's rows of table `losses`: tile number -> `(H, W, C)` uint8, as in `worst`."""
        rows = self.table("losses")
        first = rows.loc[rows["candidate"] == candidate, "tile"]
        numbers = [int(tile) + picture for tile in first for picture in range(len(PICTURES))]
        shown = self._pictures("losses", (candidate, None, None, None, ""), numbers)
        return dict(zip(numbers, shown, strict=True)) if shown else {}

    def _sheet(self, key: str) -> Path:
        whole = self.folder / "images" / f"{key}.webp"
        return whole if whole.exists() else self.folder / "cells" / key / "images.webp"

    def _image_size(self, model: str) -> tuple[int, int]:
        shape = next(m.image_shape or m.event_shape for m in self.record.models if m.name == model)
        return shape[-2], shape[-1]

    def _cell_folders(self) -> list[Path]:
        known = [self.folder / "cells" / cell.key for cell in self.record.cells]
        return [folder for folder in known if folder.is_dir()]


def _setting(cell: CellRecord) -> tuple[object, ...]:
    return tuple(getattr(cell, name) for name in SETTING)


def _of(table: pd.DataFrame, setting: tuple[object, ...]) -> pd.DataFrame:
    """The rows of a setting."""
    same = [table[name] == value for name, value in zip(SETTING, setting, strict=True)]
    return table[np.logical_and.reduce(same)] if len(table) else table


def read_record(path: Path) -> RunRecord:
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path}: expected a run's record, got: {error}") from error
    if not 0 <= record.schema_version <= SCHEMA_VERSION:
        raise StoreError(
            f"{path}: expected schema_version {SCHEMA_VERSION} or older, got {record.schema_version}; "
            "upgrade Sigmascope to read it"
        )
    return record


def _read_table(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """Columns that the file lacks are left out."""
    try:
        file = pq.ParquetFile(path)
        present = file.schema_arrow.names
        return file.read(None if columns is None else [name for name in dict.fromkeys(columns) if name in present])
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: expected a Parquet table, got: {error}") from error
