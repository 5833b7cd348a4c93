"""Runs on disk: immutable directories, the completion marker last.

    runs/
      NAME-HASH/              a finished run; it appears whole, by one rename
        run.json              RunRecord
        levels.parquet  evaluations.parquet  samples.parquet  metrics.parquet
        images/CELL.webp      contact sheet of a sampling cell
        log.txt               what its sessions said
      NAME-HASH.partial/      a run in progress, or what a killed one left
        run.json              status "partial" or "failed"
        cells/CELL/           one finished cell each: cell.json, its tables and its sheet; it appears by one rename too

      .index.parquet          what lists show of every run, derived: index.py

The id is a hash of everything that decides the result, so the same suite finds its own partial run and goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from pydantic import ValidationError

from ..errors import ConfigError, StoreError
from .index import Index, Told, refresh
from .journal import LOG
from .records import TABLES, CellRecord, RunRecord
from .run import PARTIAL, Run, read_record
from .sheets import save_sheet, sheet_holds

__all__ = ["CellResult", "Run", "Store", "Writer", "sheet_holds"]


@dataclass(frozen=True)
class CellResult:
    """What executing one cell gives: its record, its tables, and thumbnails by tile."""

    record: CellRecord
    tables: Mapping[str, pd.DataFrame]
    thumbnails: np.ndarray | None = None
    """`(tiles, H, W, C)` uint8."""


class Store:
    """The folder that holds runs."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def index(self, told: Told | None = None, patience: float = 0.0) -> Index:
        """What can be told of the runs without opening them. A folder without run.json is no run.

        told: is given how many of how many new runs are read, now and then. patience: seconds for which finished runs
        aren't asked again whether they were written; those that appear or go are noticed at once.
        """
        return refresh(self.root, told, patience)

    def runs(self) -> list[Run]:
        """Every readable run, newest first."""
        return [Run(self.root / folder) for folder in self.index().folders.values()]

    def find(self, reference: str) -> Run:
        """A run by "latest", id, unique id prefix, or path; RUN:MODEL narrows it to that model.

        Raises ConfigError listing what there is.
        """
        name, _, model = ("", "", "") if (Path(reference) / "run.json").is_file() else reference.rpartition(":")
        run = self._find(name or reference)
        return run.select(model) if name else run

    def pair(self, baseline: str, candidate: str) -> list[Run]:
        """The runs that hold a baseline and a candidate: one run, narrowed to the two, when both are in it. A model
        against itself is two runs of that model alone, so that it is compared and found unchanged.
        """
        base, other = self.find(baseline), self.find(candidate)
        if base.folder != other.folder:
            return [base, other]
        if ":" not in baseline or ":" not in candidate:
            known = ", ".join(model.name for model in base.record.models)
            raise ConfigError(f"both are run {base.id}: expected RUN:MODEL for each, of its models {known}")
        names = base.record.baseline, other.record.baseline
        return [base, other] if names[0] == names[1] else [base.select(*names)]

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
        folders = self.index().folders
        if reference == "latest" and folders:
            reference = next(iter(folders))
        matching = [reference] if reference in folders else [one for one in folders if one.startswith(reference)]
        if len(matching) == 1:
            return Run(self.root / folders[matching[0]])
        problem = f"{len(matching)} runs begin with" if matching else "no run is named"
        there = ", ".join(list(folders)[:8]) or "none yet"
        raise ConfigError(f"{problem} {reference!r} in {self.root}; there are: {there}")


class Writer:
    """Writes one run: cells as they finish, then the whole. Every appearance on disk is one rename.

    A context: one session at a time works on a run, and what a killed one left half-done is swept away.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self.root, self.final = root, root / run_id
        self.partial = root / (run_id + PARTIAL)
        self._lock = FileLock(root / f".{run_id}.lock", timeout=0.2)  # who asks whether it is held holds it as briefly

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
        return read_record(path).created if path.is_file() else None

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
            if (self.partial / LOG).exists():
                shutil.copyfile(self.partial / LOG, folder / LOG)
            (folder / "run.json").write_text(record.model_dump_json(indent=1))
        shutil.rmtree(self.partial)
        return Run(self.final)


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
