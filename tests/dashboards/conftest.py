"""Stores on disk for the dashboard: a complete run, a partial one, a failed one, one of an earlier version."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sigmascope.evals.store import Store
from sigmascope.reports.decide import decide
from sigmascope.reports.kept import Question, keep_gate
from sigmascope.reports.policy import Policy

from ..reports import synthetic

RULE = {"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.02}}
POLICY = Policy.model_validate({"gate": [RULE]})


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One complete run of four models, one of them regressed."""
    root = tmp_path_factory.mktemp("runs")
    synthetic.write(synthetic.run(), root)
    return root


@pytest.fixture(scope="session")
def partial_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that stopped after the noise levels of one model, one of its cells having failed."""
    root = tmp_path_factory.mktemp("partial")
    synthetic.write_partial(synthetic.run({"alone": "eps"}), root)
    return root


@pytest.fixture(scope="session")
def failed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of two models whose only cell has failed: there is not a single table."""
    root = tmp_path_factory.mktemp("failed")
    synthetic.write_failed(synthetic.run({"first": "eps", "second": "v"}), root)
    return root


@pytest.fixture(scope="session")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from before there were probes' curves, worst images and guidance."""
    root = tmp_path_factory.mktemp("old")
    folder = synthetic.write(synthetic.run({"digits-eps": "eps", "digits-regressed": "eps"}), root)
    for name in ("curves", "worst"):
        (folder / f"{name}.parquet").unlink()
    for name in ("samples", "metrics"):
        path = folder / f"{name}.parquet"
        pd.read_parquet(path).drop(columns="guidance").to_parquet(path, index=False)
    return root


def light(
    run_id: str, day: int = 1, factor: float = 1.0, models: tuple[str, ...] = ("model",)
) -> synthetic.SyntheticRun:
    """A run without samples, made on a day of January 2026, its errors times a factor."""
    run = synthetic.run(dict.fromkeys(models, "eps"), run_id)
    errors = run.tables["evaluations"].copy()
    errors["error"] *= factor
    own = {"evaluations": errors, "levels": synthetic.levels(errors)}
    none = {name: run.tables[name].head(0) for name in ("metrics", "samples")}
    run.tables = {**run.tables, **none, **own}
    environment = {"commit": f"{day:07d}{'0' * 33}"}
    changed = {"cells": [], "created": f"2026-01-{day:02d}T00:00:00Z", "environment": environment}
    run.record = run.record.model_copy(update=changed)
    return run


def gate(root: Path, baseline: str, candidate: str, policy: str = "gate.toml") -> Path:
    decision = decide(Store(root).pair(baseline, candidate), POLICY)
    found = keep_gate(root, decision, Question(baseline, candidate, policy, POLICY), f"sigmascope gate {candidate}")
    assert found is not None
    return found


@pytest.fixture(scope="session")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve runs, 50% worse from the eighth on; the last of them and the second gated against the first."""
    root = tmp_path_factory.mktemp("nightly")
    for day in range(1, 13):
        factor = (1.5 if day >= 8 else 1.0) * 1.002 ** (day % 3)
        synthetic.write(light(f"nightly-{day:02d}", day, factor), root)
    gate(root, "nightly-01", "nightly-02")
    gate(root, "nightly-01", "nightly-12")
    return root
