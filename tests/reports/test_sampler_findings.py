"""From a suite's run to what is wrong with a sampler: the fault's cell and its interval alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.evals.planning import prepare
from sigmascope.evals.runner import execute
from sigmascope.evals.suite import checked_suite
from sigmascope.reports.sampler_findings import RULES, looked_for, sampler_findings

TORN = "sigmas(20, 14, 10, 7, 5, 3.5, 2.5, 0.05, 0.035, 0.02)"
"""A regular grid without the levels between 2.5 and 0.05."""


def test_a_runs_only_fault_is_told_with_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "evals"))
    sampling = {
        "samplers": ["heun", "ddpm"],
        "steps": [10],
        "grids": ["log_snr", TORN],
        "seeds": "0-7",
        "metrics": [],
        "thumbnails": 0,
        "probes": ["local_error", "dry_run"],
    }
    content = {
        "schema": 1,
        "name": "torn",
        "data": {"source": "python:toy:data"},
        "models": [{"name": "gaussian", "spec": "python:toy:gaussian"}],
        "sampling": sampling,
    }
    plan = prepare(checked_suite(content, "test"), tmp_path)
    run = execute(plan, tmp_path)
    assert [cell.evaluations for cell in run.record.cells] == [cell.evaluations for cell in plan.cells]
    (found,) = sampler_findings(run)
    assert found.intervals == (6,)
    assert found.text.startswith(f"gaussian · heun, 10 steps, {TORN} makes one step much longer than its neighbours")
    assert "step 7, from sigma 2.5 to 0.050, local error share 0.99" in found.text
    said = looked_for(run.table("steps"))
    assert all(rule.meaning in said for rule in RULES), "both probes ran: every fault was looked for"
    assert "Not looked for" not in said
    steps = run.table("steps")
    half = looked_for(steps[steps["probe"] == "local_error"])
    assert half.endswith("Not looked for, as not measured: the faults that dry_run shows.")
    assert (
        looked_for(steps.iloc[:0]) == "Not looked for, as not measured: the faults that dry_run and local_error show."
    )
