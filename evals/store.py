"""Runs on disk: immutable directories, the completion marker last.

    runs/
      NAME-HASH/              a finished run; it appears whole, by one rename
        run.json              RunRecord
        levels.parquet  evaluations.parquet  samples.parquet  metrics.parquet
        images/CELL.webp      contact sheet of a sampling cell
      NAME-HASH.partial/      a run in progress, or what a killed one left
        run.json              status "partial" or "failed"
        cells/CELL/           one finished cell each: cell.json, its tables and its sheet; it appears by one rename too

The id is a hash of everything that decides the result, so the same suite finds its own partial run and goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from PIL import Image
from pydantic import ValidationError

from ..errors import ConfigError, StoreError
from .records import ADDED, PICTURES, SCHEMA_VERSION, SETTING, TABLES, CellRecord, Kind, RunRecord

PARTIAL = ".partial"
_SHEET_COLUMNS = 16
TILE = 256
"""Pixels a side that a thumbnail has at most."""
_SHEET_SIDE = 16383  # WebP's


@dataclass(frozen=True)
class CellResult:
    """What executing one cell gives: its record, its tables, and thumbnails by tile."""

    record: CellRecord
    tables: Mapping[str, pd.DataFrame]
    thumbnails: np.ndarray | None = None
    """`(tiles, H, W, C)` uint8."""


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
        record = _read_record(self.folder / "run.json")
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
                "baseline": self._models[0],
            }
        )

    def select(self, *models: str) -> Run:
        """The same run, narrowed to these models, the first of them the baseline."""
        return Run(self.folder, models)

    @property
    def digest(self) -> str:
        """Changes whenever the run's content does: what a cache is keyed on."""
        written = (self.folder / "run.json").stat().st_mtime_ns
        return f"{self.folder.name}:{self._models}:{written}:{len(self._cell_folders())}"

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables of `records.TABLES`; empty, with its columns, where the run has no such rows."""
        if name not in TABLES:
            raise ConfigError(f"unknown table {name!r}; expected one of: {', '.join(TABLES)}")
        whole = self.folder / f"{name}.parquet"
        paths = [whole] if whole.exists() else [cell / f"{name}.parquet" for cell in self._cell_folders()]
        parts = [_read_table(path) for path in paths if path.exists()]
        if not parts:
            return pd.DataFrame(columns=list(TABLES[name]))
        table = pd.concat(parts, ignore_index=True)
        for column, value in ADDED.items():
            if column in TABLES[name] and column not in table:
                table[column] = value
        return table if self._models is None else table[table["model"].isin(self._models)].reset_index(drop=True)

    def images(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        """Thumbnails of one sampling cell: sample id -> `(H, W, C)` uint8."""
        setting = (model, sampler, steps, grid, guidance)
        rows = _of(self.table("samples"), setting)
        kept = rows[rows["tile"] >= 0]
        shown = self._pictures("sample", setting, kept["tile"])
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

    def _pictures(self, kind: Kind, setting: tuple[object, ...], tiles: pd.Series) -> list[np.ndarray]:
        """Tiles, by number, of the sheet of the cell of a setting; none where there is no such cell."""
        cells = (c for c in self.record.cells if c.kind == kind and _setting(c) == setting)
        cell = next(cells, None)
        if cell is None or tiles.empty:
            return []
        return list(_tiles(self._sheet(cell.key), self._image_size(str(setting[0])), tiles))

    def worst(self, model: str) -> dict[int, np.ndarray]:
        """The pictures of table `worst`: tile number -> `(H, W, C)` uint8, four in a row for each entry."""
        rows = self.table("worst")
        tiles = rows.loc[rows["model"] == model, "tile"]
        cell = next((c for c in self.record.cells if c.model == model and c.kind == "probe"), None)
        if cell is None or tiles.empty:
            return {}
        numbers = pd.Series([tile + picture for tile in tiles for picture in range(len(PICTURES))])
        shown = _tiles(self._sheet(cell.key), self._image_size(model), numbers)
        return dict(zip(numbers.tolist(), shown, strict=True))

    def _sheet(self, key: str) -> Path:
        whole = self.folder / "images" / f"{key}.webp"
        return whole if whole.exists() else self.folder / "cells" / key / "images.webp"

    def _image_size(self, model: str) -> tuple[int, int]:
        shape = next(m.image_shape or m.event_shape for m in self.record.models if m.name == model)
        return shape[-2], shape[-1]

    def _cell_folders(self) -> list[Path]:
        known = [self.folder / "cells" / cell.key for cell in self.record.cells]
        return [folder for folder in known if folder.is_dir()]


class Store:
    """The folder that holds runs."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def runs(self) -> list[Run]:
        """Every readable run, newest first."""
        return self.scan()[0]

    def scan(self) -> tuple[list[Run], list[str]]:
        """Every readable run, newest first, and what is wrong with the others. A folder without run.json is no run."""
        runs, problems = [], []
        for path in sorted(self.root.glob("[!.]*/run.json")):
            whole = path.parent.with_name(path.parent.name.removesuffix(PARTIAL))
            if whole != path.parent and (whole / "run.json").is_file():
                continue  # finished, and killed before the partial folder was dropped
            run = Run(path.parent)
            try:
                run.record  # noqa: B018
            except StoreError as error:
                problems.append(str(error))
            else:
                runs.append(run)
        return sorted(runs, key=lambda run: (run.record.created, run.id), reverse=True), problems

    def find(self, reference: str) -> Run:
        """A run by "latest", id, unique id prefix, or path; RUN:MODEL narrows it to that model.

        Raises ConfigError listing what there is.
        """
        name, _, model = ("", "", "") if (Path(reference) / "run.json").is_file() else reference.rpartition(":")
        run = self._find(name or reference)
        return run.select(model) if name else run

    def pair(self, baseline: str, candidate: str) -> list[Run]:
        """The runs that hold a baseline and a candidate: one run, narrowed to the two, when both are in it."""
        base, other = self.find(baseline), self.find(candidate)
        if base.folder != other.folder:
            return [base, other]
        if ":" not in baseline or ":" not in candidate:
            names = ", ".join(model.name for model in base.record.models)
            raise ConfigError(f"both are run {base.id}: expected RUN:MODEL for each, with two of its models {names}")
        return [base.select(base.record.baseline, other.record.baseline)]

    def together(self, baseline: str, *candidates: str) -> list[Run]:
        """The runs that hold a baseline and its candidates, each narrowed to the models that were named, the baseline's
        first. Raises ConfigError as `pair` does.
        """
        if len(candidates) == 1:
            return self.pair(baseline, *candidates)
        models: dict[Path, list[str]] = {}
        for candidate in candidates:
            for run in self.pair(baseline, candidate):
                named = models.setdefault(run.folder, [])
                known = [run.record.baseline, *(model.name for model in run.record.models)]
                named += [name for name in dict.fromkeys(known) if name not in named]
        return [Run(folder, tuple(names)) for folder, names in models.items()]

    def _find(self, reference: str) -> Run:
        if (Path(reference) / "run.json").is_file():
            return Run(Path(reference))
        runs = self.runs()
        if reference == "latest" and runs:
            return runs[0]
        exact = [run for run in runs if run.id == reference]
        matching = exact or [run for run in runs if run.id.startswith(reference)]
        if len(matching) == 1:
            return matching[0]
        problem = f"{len(matching)} runs begin with" if matching else "no run is named"
        there = ", ".join(run.id for run in runs[:8]) or "none yet"
        raise ConfigError(f"{problem} {reference!r} in {self.root}; there are: {there}")


class Writer:
    """Writes one run: cells as they finish, then the whole. Every appearance on disk is one rename.

    A context: one session at a time works on a run, and what a killed one left half-done is swept away.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self.root, self.final = root, root / run_id
        self.partial = root / (run_id + PARTIAL)
        self._lock = FileLock(root / f".{run_id}.lock", timeout=0)

    def __enter__(self) -> Writer:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            for left in self.root.glob(f".{self.final.name}.*/"):
                shutil.rmtree(left)
            if self.whole():
                shutil.rmtree(self.partial, ignore_errors=True)
            else:
                (self.partial / "cells").mkdir(parents=True, exist_ok=True)
        except Timeout as error:
            raise StoreError(f"{self.final.name}: another session is at work on this run in {self.root}") from error
        except OSError as error:
            raise StoreError(f"{self.root}: expected a folder that can be written, got: {error}") from error
        return self

    def __exit__(self, *raised: object) -> None:
        self._lock.release()
        self.root.joinpath(f".{self.final.name}.lock").unlink(missing_ok=True)

    def whole(self) -> Run | None:
        """The finished run, if an earlier session finished it."""
        return Run(self.final) if (self.final / "run.json").is_file() else None

    def created(self) -> str | None:
        """When an earlier session began the run."""
        path = self.partial / "run.json"
        return _read_record(path).created if path.is_file() else None

    def finished(self, key: str) -> CellRecord | None:
        """The record of a cell finished by an earlier session, or None."""
        path = self.partial / "cells" / key / "cell.json"
        try:
            return CellRecord.model_validate_json(path.read_text()) if path.is_file() else None
        except ValidationError:
            shutil.rmtree(path.parent)  # damaged, by a power cut say: measured again
            return None

    def write_cell(self, result: CellResult) -> None:
        with _appearing(self.partial / "cells" / result.record.key) as folder:
            for name, table in result.tables.items():
                more = [column for column in table if name == "evaluations" and column not in TABLES[name]]
                table[[*TABLES[name], *more]].to_parquet(folder / f"{name}.parquet", index=False)
            if result.thumbnails is not None:
                save_sheet(result.thumbnails, folder / "images.webp")
            (folder / "cell.json").write_text(result.record.model_dump_json(indent=1))

    def write_record(self, record: RunRecord) -> None:
        """The state of a run in progress."""
        with _writing(self.partial / "run.json"):
            fresh = self.partial / "run.json.new"
            fresh.write_text(record.model_dump_json(indent=1))
            fresh.replace(self.partial / "run.json")

    def finish(self, record: RunRecord) -> Run:
        """Gather the cells into one directory and let it appear; then drop the partial one."""
        gathered = Run(self.partial)
        with _appearing(self.final) as folder:
            for name in TABLES:
                table = gathered.table(name)
                if len(table):
                    table.to_parquet(folder / f"{name}.parquet", index=False)
            (folder / "images").mkdir()
            for cell in record.cells:
                sheet = self.partial / "cells" / cell.key / "images.webp"
                if sheet.exists():
                    shutil.copyfile(sheet, folder / "images" / f"{cell.key}.webp")
            (folder / "run.json").write_text(record.model_dump_json(indent=1))
        shutil.rmtree(self.partial)
        return Run(self.final)


def _setting(cell: CellRecord) -> tuple[object, ...]:
    return tuple(getattr(cell, name) for name in SETTING)


def _of(table: pd.DataFrame, setting: tuple[object, ...]) -> pd.DataFrame:
    """The rows of a setting."""
    same = [table[name] == value for name, value in zip(SETTING, setting, strict=True)]
    return table[np.logical_and.reduce(same)] if len(table) else table


def sheet_holds(height: int, width: int) -> int:
    """How many tiles of images of a size one sheet can hold."""
    return _SHEET_SIDE // -(-height // _reduction(height, width)) * _SHEET_COLUMNS


def save_sheet(tiles: np.ndarray, path: Path) -> None:
    """`(N, H, W, C)` uint8 -> one lossless WebP, sixteen tiles a row, each reduced to at most TILE pixels a side."""
    tiles = np.stack([_reduced(tile) for tile in tiles])
    count, height, width, channels = tiles.shape
    rows = -(-count // _SHEET_COLUMNS)
    sheet = np.zeros((rows * height, min(count, _SHEET_COLUMNS) * width, channels), np.uint8)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, _SHEET_COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet).save(path, lossless=True)


def _reduction(height: int, width: int) -> int:
    return -(-max(height, width) // TILE)


def _reduced(tile: np.ndarray) -> np.ndarray:
    """Averaged over squares of pixels until it is at most TILE a side."""
    factor = _reduction(*tile.shape[:2])
    if factor == 1:
        return tile
    image = Image.fromarray(tile.squeeze(-1) if tile.shape[-1] == 1 else tile).reduce(factor)
    return np.asarray(image).reshape(image.height, image.width, -1)


def _tiles(path: Path, shape: tuple[int, int], indices: pd.Series) -> Iterator[np.ndarray]:
    factor = _reduction(*shape)
    height, width = (-(-side // factor) for side in shape)
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    for index in indices:
        row, column = divmod(int(index), _SHEET_COLUMNS)
        yield sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error}") from error


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` that becomes it when the block ends well, and vanishes when it doesn't."""
    with _writing(path):
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield folder
            folder.chmod(0o755)
            os.replace(folder, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _read_record(path: Path) -> RunRecord:
    try:
        record = RunRecord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path}: expected a run's record, got: {error}") from error
    if record.schema_version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: expected schema_version {SCHEMA_VERSION} or older, got {record.schema_version}; "
            "upgrade Sigmascope to read it"
        )
    return record


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: expected a Parquet table, got: {error}") from error
