"""One synthetic run for all tests of the reports; nobody writes to it."""

from __future__ import annotations

import pytest
from sigmascope.reports.report import Report, assemble

from . import synthetic


@pytest.fixture(scope="session")
def run() -> synthetic.SyntheticRun:
    return synthetic.run()


@pytest.fixture(scope="session")
def report(run: synthetic.SyntheticRun) -> Report:
    return assemble([run])
