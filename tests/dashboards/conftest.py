"""Stores on disk for the dashboard: a complete run, a partial one, nothing."""

from __future__ import annotations

from pathlib import Path

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
