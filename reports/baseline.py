"""Baselines: a run's numbers per level and metric as a small JSON file, committed and reviewed like code.

run -> accept -> baselines/main.json -> `gate --baseline baselines/main.json` -> paired where its per-image errors
are at hand: in a run with the same ones by hash, or in the file that baseline_errors.py has written and fetches; else
unpaired from the means and standard errors in the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import ConfigError, StoreError
from ..evals.records import TABLES, RunRecord
from ..evals.store import Run, Store
from .baseline_errors import ErrorsFile, fetch_errors
from .machine import finite
from .unpaired import NOT_AT_HAND, standard_errors

Write = Callable[[pd.DataFrame], ErrorsFile]


class Baseline(BaseModel):
    """What a baseline file holds. Readers pass over fields that they do not know, and refuse a newer version."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = 1
    kind: Literal["sigmascope baseline"] = "sigmascope baseline"
    reason: str
    """Why it was accepted."""
    accepted: str
    """ISO 8601, UTC."""
    digests: dict[str, str]
    """sha256 of each model's `evaluations`; none for a model that was asked at no noise level."""
    run: RunRecord
    """The run it came from, without its suite and cells: models, fingerprint, environment."""
    levels: list[dict[str, Any]]
    """The run's `levels`, with the standard error over images."""
    metrics: list[dict[str, Any]]
    """The run's `metrics`."""
    errors: ErrorsFile | None = None
    """Where its per-image errors lie, if they were written; by `digests` they are the run's."""


class BaselineRun(Run):
    """A baseline read like a run: its `levels` (with a column standard_error) and `metrics` are always the file's.

    source: a run that makes the very same errors, which are then at hand to pair with. Where that is the run which was
    accepted, by its id, it lends its images and other tables too. errors: the same ones without a run. lacking: why
    there is neither.
    """

    def __init__(
        self,
        path: Path,
        baseline: Baseline,
        source: Run | None = None,
        errors: pd.DataFrame | None = None,
        lacking: str = "",
    ) -> None:
        super().__init__(path)
        self._baseline, self._source, self._errors, self.lacking = baseline, source, errors, lacking
        self._accepted = source if source is not None and source.id == baseline.run.id else None

    @property
    def id(self) -> str:
        return self._baseline.run.id

    @cached_property
    def record(self) -> RunRecord:
        return self._baseline.run

    @property
    def digest(self) -> str:
        return f"{self.folder}:{self._baseline.accepted}:{sorted(self._baseline.digests.items())}"

    def table(self, name: str) -> pd.DataFrame:
        if name in ("levels", "metrics"):
            rows = getattr(self._baseline, name)
            return pd.DataFrame(rows).replace({None: np.nan}) if rows else pd.DataFrame(columns=list(TABLES[name]))
        lender = self._source if name == "evaluations" else self._accepted
        if name == "evaluations" and self._errors is not None:
            table = self._errors
        elif lender is not None:
            table = lender.table(name)
        else:
            return pd.DataFrame(columns=list(TABLES[name]))
        names = [model.name for model in self.record.models]
        return table[table["model"].isin(names)].reset_index(drop=True)

    def images(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        return self._accepted.images(model, sampler, steps, grid, guidance) if self._accepted else {}

    def neighbours(self, model: str, sampler: str, steps: int, grid: str, guidance: str = "") -> dict[int, np.ndarray]:
        return self._accepted.neighbours(model, sampler, steps, grid, guidance) if self._accepted else {}

    def worst(self, model: str) -> dict[int, np.ndarray]:
        return self._accepted.worst(model) if self._accepted else {}


def accept(run: Run, reason: str, now: datetime | None = None, write: Write | None = None) -> Baseline:
    """A run's numbers as a baseline. Raises ConfigError without a reason, and for an incomplete or empty run.

    write: takes the run's evaluations, once all else is checked, and says where it put them.
    """
    if not reason.strip():
        raise ConfigError("--reason: expected why this is accepted, got nothing")
    record = run.record
    if record.status != "complete":
        raise ConfigError(f"run {run.id}: expected a complete run to accept, got one that is {record.status}")
    levels, metrics, evaluations = (run.table(name) for name in ("levels", "metrics", "evaluations"))
    if levels.empty and metrics.empty:
        raise ConfigError(f"run {run.id}: expected noise levels or metrics to accept, got neither")
    errors = standard_errors(evaluations)[["model", "level", "standard_error"]]
    levels = levels.merge(errors.astype({"model": levels["model"].dtype}), on=["model", "level"], how="left")
    return Baseline(
        reason=reason.strip(),
        accepted=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        digests=error_hashes(evaluations),
        run=record.model_copy(update={"suite": {}, "cells": []}),
        levels=finite(levels.to_dict("records")),
        metrics=finite(metrics.to_dict("records")),
        errors=write(evaluations) if write else None,
    )


def as_text(baseline: Baseline) -> str:
    """JSON with a line for each level and metric, so that a change to one is one line of a diff."""
    content = baseline.model_dump(mode="json")
    tables = {name: content.pop(name) for name in ("levels", "metrics")}
    head = json.dumps(content, indent=1, ensure_ascii=False).removesuffix("\n}")
    listed = (
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in rows) + "\n ]"
        for name, rows in tables.items()
    )
    return ",\n".join([head, *listed]) + "\n}\n"


def read_baseline(path: Path) -> Baseline:
    """Raises ConfigError where there is no such file, or it holds no baseline of a version this code knows."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"baseline {path}: expected JSON that `baseline accept` wrote, got: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != 1:
        raise ConfigError(f"baseline {path}: expected schema_version 1, got {version!r}")
    try:
        return Baseline.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"baseline {path}: {problems}") from error


def gate_pair(store: Store, baseline: str, candidate: str) -> list[Run]:
    """The runs of a baseline and a candidate, as `Store.pair`, where the baseline may be a baseline file too.

    A file pairs with the errors of the run it came from, where the store has that with the very same ones; or else with
    those of the candidate's run, where a model of the same name makes them and so has not changed; or else with those
    it says where to fetch; or else with none. Raises StoreError where what is fetched isn't what was accepted.
    """
    if not baseline.endswith(".json"):
        return store.pair(baseline, candidate)
    kept, other = read_baseline(Path(baseline)), store.find(candidate)
    origin = store.root / kept.run.id
    at_hand = [Run(origin)] if (origin / "run.json").is_file() else []
    for run in (*at_hand, Run(other.folder)):
        if kept.digests and kept.digests.items() <= error_hashes(run.table("evaluations")).items():
            return [BaselineRun(Path(baseline), kept, run), other]
    errors, lacking = _fetched(Path(baseline), kept)
    return [BaselineRun(Path(baseline), kept, None, errors, lacking), other]


def _fetched(path: Path, kept: Baseline) -> tuple[pd.DataFrame | None, str]:
    """The per-image errors that a baseline says where to find, or why there are none."""
    if kept.errors is None:
        return None, NOT_AT_HAND
    errors, why = fetch_errors(kept.errors, path.parent)
    if errors is None:
        return None, f"{NOT_AT_HAND}, and its per-image errors can't be fetched from {kept.errors.place}: {why}"
    if not kept.digests.items() <= error_hashes(errors).items():
        raise StoreError(f"{kept.errors.place}: expected the errors that baseline {path} was made from, got others")
    return errors, ""


def error_hashes(evaluations: pd.DataFrame) -> dict[str, str]:
    """sha256 of what each model was asked and of its errors, to the last bit, in whatever order they are stored."""
    keys = ["level", "image", "draw"]
    hashes = {}
    for model, rows in evaluations.groupby("model"):
        ordered = rows.sort_values(keys)
        content = ordered[keys].to_numpy(np.int64).tobytes() + ordered["error"].to_numpy(np.float64).tobytes()
        hashes[str(model)] = hashlib.sha256(content).hexdigest()
    return hashes
