"""Stores on disk for the dashboard: a complete run, a partial one, a failed one, one of an earlier version."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ..reports import synthetic


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
