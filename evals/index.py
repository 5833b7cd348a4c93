"""The index of a store: what lists, filters and leaderboards show of every run, without opening one.

    run directories -> refresh -> Index (in memory, and as ROOT/.index.parquet) -> Store.find, list runs, dashboards

The run directories are the truth and this is derived from them. **When is a row believed?** A row is made from one
`run.json` and keeps that file's time of writing and its size. It holds as long as the folder's `run.json` has both, and
it goes with the folder: a finished run never changes, and one in progress writes `run.json` anew after every cell. Two
kinds are made again at each look: of a file written less than SETTLED before it was read, as it may be written again
within the same tick of the clock, and of one that the system would not let be read. Nothing else is ever asked. The
file appears by one rename, so of two processes that write it the last one stands, and both hold the same; where it is
missing, damaged or of another VERSION it is made anew, and where it can't be written the index lives in memory.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import StoreError
from .headlines import WORST_LEVEL, headlines
from .records import SCHEMA_VERSION
from .run import PARTIAL, Run

NAME = ".index.parquet"
VERSION = f"1 of schema {SCHEMA_VERSION}"
"""Of the columns and of what they mean, and of the newest run that could be read."""
SETTLED = 2_000_000_000
"""Nanoseconds: longer than the tick of any file system's clock."""
AT_ONCE = 500
"""Runs read between two words on how far it is; what is read by then is not lost when the reading is broken off."""
THREADS = 4
"""Reading small files is mostly Arrow's and the system's work, which other threads of Python need not wait for."""

_SCORE = pa.struct(
    [
        ("model", pa.string()), ("measure", pa.string()), ("better", pa.string()), ("value", pa.float64()),
        ("low", pa.float64()), ("high", pa.float64()), ("where", pa.string()),
    ]
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("folder", pa.string()), ("written", pa.int64()), ("size", pa.int64()), ("problem", pa.string()),
        ("id", pa.string()), ("name", pa.string()), ("status", pa.string()), ("created", pa.string()),
        ("seconds", pa.float64()), ("schema_version", pa.int64()), ("models", pa.list_(pa.string())),
        ("baseline", pa.string()), ("cells", pa.int64()), ("commit", pa.string()), ("data", pa.string()),
        ("protocol", pa.string()), ("worst", pa.float64()), ("worst_model", pa.string()), ("scores", pa.list_(_SCORE)),
    ],
    metadata={"version": VERSION},
)  # fmt: skip
"""A row per folder with a run.json, newest first. `problem` says why it can't be read, and all that follows is null.

`written` (ns; -1: not settled) and `size` are the file's. `data` is the suite's data source, `protocol` a hash of the
fingerprint: runs that share it can be compared. `worst` is the largest WORST_LEVEL of the run's models, `worst_model`
which one's. `scores`: headlines.py: model, measure (of the denoising error, or a metric of samples), better
("lower", "higher" or ""), value, low, high (NaN: no interval), where (which level or setting).
"""

Stamp = tuple[int, int]
Told = Callable[[int, int], None]
"""How many of how many new runs are read; it may raise to break off."""


@dataclass(frozen=True, eq=False)
class Index:
    """One look at a store. The same object is given back until something changes."""

    table: pa.Table

    @cached_property
    def stamps(self) -> dict[str, Stamp]:
        """When and at what size each folder's run.json was read."""
        columns = (self.table[name].to_pylist() for name in ("folder", "written", "size"))
        return {folder: (written, size) for folder, written, size in zip(*columns, strict=True)}

    @cached_property
    def changing(self) -> dict[str, Stamp]:
        """The stamps of runs in progress, and of those that were written as late as they were read."""
        return {name: stamp for name, stamp in self.stamps.items() if name.endswith(PARTIAL) or stamp[0] == -1}

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The readable runs, newest first: every column of SCHEMA but scores. Shared: not to be written to."""
        readable = self.table.filter(pc.is_null(self.table["problem"]))
        runs: pd.DataFrame = readable.drop_columns(["written", "size", "problem", "scores"]).to_pandas()
        return runs

    @cached_property
    def folders(self) -> dict[str, str]:
        """The readable runs' folders by id, newest first."""
        return dict(zip(self.runs["id"].tolist(), self.runs["folder"].tolist(), strict=True))

    @cached_property
    def problems(self) -> list[str]:
        """What is wrong with the folders that can't be read, in the order of their names."""
        broken = self.table.filter(pc.is_valid(self.table["problem"])).sort_by("folder")
        return [str(problem) for problem in broken["problem"].to_pylist()]

    def scores(self, protocol: str, measure: str | None = None) -> pd.DataFrame:
        """Scores of the runs that share a protocol, a row per run x model x measure: id and the fields of a score."""
        runs = self.table.filter(pc.equal(self.table["protocol"], protocol))
        ids = runs["id"].combine_chunks().take(pc.list_parent_indices(runs["scores"].combine_chunks()))
        table = pa.Table.from_struct_array(pc.list_flatten(runs["scores"].combine_chunks())).append_column("id", ids)
        chosen = table if measure is None else table.filter(pc.equal(table["measure"], measure))
        scores: pd.DataFrame = chosen.to_pandas()
        return scores


_EMPTY = Index(SCHEMA.empty_table())
_known: dict[Path, Index] = {}
_looked: dict[Path, tuple[float, int]] = {}
"""When every run was asked last, and when its folder had been written then."""
_turn = threading.Lock()


def refresh(root: Path, told: Told | None = None, patience: float = 0.0) -> Index:
    """The index of the store as it is now, its file written anew where that changed. A missing folder has no runs.

    patience: seconds for which only runs in progress are asked again, while none appears or goes. A finished run never
    changes; to ask 10,000 of them takes as long as to draw a figure.
    """
    root = root.resolve()
    with _turn:
        began, written = time.monotonic(), _written(root)
        looked, last = _looked.get(root, (-math.inf, 0))
        known = _known.get(root)
        unchanged = known and began - looked < patience and written == last
        if known and unchanged and all(_stamp(root, folder) == stamp for folder, stamp in known.changing.items()):
            return known
        index = known or _read(root / NAME)
        found = dict(_run_files(root))
        stale = [folder for folder, stamp in found.items() if index.stamps.get(folder) != stamp]
        if stale or len(found) != len(index.stamps):
            for first in range(0, len(stale) or 1, AT_ONCE):
                if told:
                    told(first, len(stale))
                index = _known[root] = _renewed(root, index, found, stale[first : first + AT_ONCE])
            _write(index.table, root / NAME)
        _known[root], _looked[root] = index, (began, written)
        return index


def _renewed(root: Path, index: Index, found: Mapping[str, Stamp], stale: Sequence[str]) -> Index:
    """With the rows that still hold, and those of `stale` made anew."""
    believed = [stamp == found.get(folder) for folder, stamp in index.stamps.items()]
    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(lambda folder: _row(root / folder, found[folder]), stale))
    table = pa.concat_tables([index.table.filter(pa.array(believed, pa.bool_())), pa.Table.from_pylist(rows, SCHEMA)])
    return Index(table.sort_by([("created", "descending"), ("id", "descending")]).combine_chunks())


def _written(root: Path) -> int:
    """When the folder was: each time a run appears or goes. 0 where there is none."""
    try:
        return root.stat().st_mtime_ns
    except OSError:
        return 0


def _run_files(root: Path) -> Iterator[tuple[str, Stamp]]:
    """Every folder that is a run, with its run.json's stamp; of a finished run not what was left of its partial one."""
    try:
        names = {name for name in os.listdir(root) if not name.startswith(".") and _is_text(name)}
    except OSError:
        return
    for name in names:
        stamp = _stamp(root, name)
        whole = name.removesuffix(PARTIAL)
        if stamp and (whole == name or whole not in names or not (root / whole / "run.json").is_file()):
            yield name, stamp


def _stamp(root: Path, name: str) -> Stamp | None:
    try:
        file = os.stat(f"{root}/{name}/run.json")
    except OSError:
        return None
    return file.st_mtime_ns, file.st_size


def _is_text(name: str) -> bool:
    """Not bytes of another encoding, which no column of text can hold."""
    return name.isascii() or name.encode(errors="ignore").decode() == name


def _row(folder: Path, stamp: Stamp) -> dict[str, Any]:
    written, size = stamp
    run = Run(folder)
    row: dict[str, Any] = {
        "folder": folder.name, "written": written if time.time_ns() - written > SETTLED else -1, "size": size,
    }  # fmt: skip
    try:
        record = run.record
    except StoreError as error:
        refused = isinstance(error.__cause__, OSError)  # which may pass without the file being written
        return row | {"problem": str(error), "written": -1 if refused else row["written"]}
    scores = headlines(run)
    worst = max((one for one in scores if one["measure"] == WORST_LEVEL), key=lambda one: one["value"], default=None)
    data = record.suite.get("data")
    return row | {
        "id": run.id, "name": record.name, "status": record.status, "created": record.created,
        "seconds": record.seconds, "schema_version": record.schema_version, "baseline": record.baseline,
        "models": [model.name for model in record.models], "cells": len(record.cells),
        "commit": record.environment.get("commit", ""),
        "data": str(data.get("source", "")) if isinstance(data, Mapping) else "",
        "protocol": hashlib.sha256(json.dumps(record.fingerprint, sort_keys=True).encode()).hexdigest()[:16],
        "worst": worst and worst["value"], "worst_model": worst and worst["model"], "scores": scores,
    }  # fmt: skip


def _read(path: Path) -> Index:
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, ValueError):  # not there, or damaged
        return _EMPTY
    version, index = (table.schema.metadata or {}).get(b"version"), Index(table)
    sound = version == VERSION.encode() and table.schema.equals(SCHEMA) and len(index.stamps) == len(table)
    return index if sound else _EMPTY


def _write(table: pa.Table, path: Path) -> None:
    """By one rename; a store that can't be written is no error."""
    with suppress(OSError):
        handle, fresh = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file)
            os.chmod(fresh, 0o644)
            os.replace(fresh, path)
        finally:
            Path(fresh).unlink(missing_ok=True)
