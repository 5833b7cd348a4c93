"""An adaptive suite from file to record: what it may take is told before, what it took is recorded, a resumed or
otherwise batched run is the same run to the bit, and its models are compared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sigmascope import cli
from sigmascope.errors import ConfigError
from sigmascope.evals.planning import Plan, prepare
from sigmascope.evals.records import TABLES
from sigmascope.evals.runner import execute
from sigmascope.evals.store import Run
from sigmascope.evals.suite import read_suite
from sigmascope.reports.compare import compare_levels

SUITE = """
schema = 1
name = "adaptive"
micro_batch = 16
[data]
source = "python:toy:data"
[[models]]
name = "toy"
spec = "python:toy:toy"
[[models]]
name = "gaussian"
spec = "python:toy:gaussian"
[probes]
levels = 5
draws = 4
precision = 0.09
use = ["calibration", "sure(images=3)"]
worst = 0
"""


pytestmark = pytest.mark.usefixtures("toy_on_path")


def plan_of(folder: Path, text: str = SUITE, **options: int) -> Plan:
    (folder / "suite.toml").write_text(text)
    return prepare(read_suite(folder / "suite.toml"), folder, **options)


class Stop(Exception):
    pass


class StopsAtTheSecondCell:
    def __init__(self) -> None:
        self.advanced = 0

    def cell(self, title: str, done: bool) -> None:
        if done:
            raise Stop

    def advance(self, evaluations: int) -> None:
        self.advanced += evaluations


def assert_same(one: Run, two: Run) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(one.table(name), two.table(name), check_exact=True)


def test_a_run_says_what_it_took_and_never_takes_more_than_it_said(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run = execute(plan, tmp_path / "runs")
    rows, levels = run.table("evaluations"), run.table("levels")
    for cell, planned in zip(run.record.cells, plan.cells, strict=True):
        own = rows[rows["model"] == cell.model]
        asked = own.filter(like="sure.").notna().any(axis=1).sum()
        spent = levels[levels["model"] == cell.model].eval("images * draws").sum()
        assert len(own) == spent
        assert cell.evaluations == spent + 2 * asked == plan.denoisers[cell.model].evaluations
        assert cell.evaluations <= planned.evaluations
    assert run.record.cells[1].evaluations < plan.cells[1].evaluations
    compared = compare_levels(rows, "toy", "gaussian")
    assert compared["images"].tolist() == [40] * 5, "START is more than there are"


def test_a_resumed_run_and_other_batches_are_the_same_run(tmp_path: Path) -> None:
    whole = execute(plan_of(tmp_path), tmp_path / "whole")
    watcher = StopsAtTheSecondCell()
    with pytest.raises(Stop):
        execute(plan_of(tmp_path), tmp_path / "killed", watcher)
    assert watcher.advanced == plan_of(tmp_path).cells[0].evaluations, "the bar gets to its end"
    assert_same(execute(plan_of(tmp_path, batch_size=7), tmp_path / "killed"), whole)


def test_the_dry_run_tells_the_upper_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace("precision = 0.09", "precision = 0.09\nbudget = 200"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["sigmascope", "run", "suite.toml", "--dry-run"])
    with pytest.raises(SystemExit):
        cli.main()
    # 200 of the pass, and SURE's two for 3 images, 4 draws and 5 levels
    assert f"up to {200 + 2 * 3 * 4 * 5}" in capsys.readouterr().out


def test_other_precisions_are_other_runs_that_compare(tmp_path: Path) -> None:
    fine, coarse = plan_of(tmp_path), plan_of(tmp_path, SUITE.replace("0.09", "0.2"))
    assert fine.run_id != coarse.run_id
    assert fine.fingerprint == coarse.fingerprint
    assert fine.fingerprint["draws"] == "adaptive"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("budget = 100", "expected a precision beside the budget of 100"),
        ("precision = 0.1\nbudget = 9", "at least 2 evaluations at each of 5 levels, got 9"),
        ("precision = 1.5", "less than 1"),
    ],
)
def test_impossible_targets_are_refused(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_of(tmp_path, SUITE.replace("precision = 0.09", line))
