"""What `gate` and `attribute` keep beside the runs: the same document as their JSON, read back, never in the way."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sigmascope.errors import StoreError
from sigmascope.evals import kept
from sigmascope.evals.store import Store
from sigmascope.reports.attribution import as_json, sentences
from sigmascope.reports.attribution_document import AttributionDocument, Subject, stored
from sigmascope.reports.figures.attribution import attribution
from sigmascope.reports.kept import KeptAttribution, read_gate

from .reports import synthetic
from .reports.test_attribution import made

Invoke = Callable[..., Any]
POLICY = '[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = { rel = 0.02 }\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of runs with a run of a model, one as good, and one 34% worse in a band; a policy beside it."""
    run = synthetic.run({"sound": "eps", "again": "eps", "regressed": "eps"}, "digits-first")
    run.tables = {**run.tables, **{name: run.tables[name].head(0) for name in ("metrics", "samples")}}
    run.record = run.record.model_copy(update={"cells": []})
    synthetic.write(run, tmp_path / "runs")
    (tmp_path / "gate.toml").write_text(POLICY)
    return tmp_path / "runs"


def gate(invoke: Invoke, candidate: str, *more: str, baseline: str = "digits-first:sound") -> Any:
    return invoke("gate", candidate, "--baseline", baseline, "--policy", "gate.toml", *more)


def test_a_gate_is_kept_as_its_json_says_it(invoke: Invoke, root: Path) -> None:
    done = gate(invoke, "digits-first:regressed", "-o", "report.json")
    assert done.code == 1
    (entry,) = kept.entries(root, kept.GATES)
    assert str(entry.path.name) in done.err.replace("\n", "")
    assert (entry.outcome, entry.run) == ("fail", "digits-first")
    found = read_gate(entry)
    assert json.loads(entry.path.read_text())["report"] == json.loads(Path("report.json").read_text())
    assert (found.candidate.models, found.baseline.models, found.policy) == (("regressed",), ("sound",), "gate.toml")
    assert found.headline.startswith("Regression (1 of 1 checks)")
    assert found.rules["gate"][0]["margin"] == {"rel": 0.02}
    assert found.when[:19] == entry.when[:19]
    assert [run.id for run in Store(root).runs()] == ["digits-first"], "a folder of gates is no run"
    assert gate(invoke, "digits-first:again", "--no-keep").code == 0
    assert len(kept.entries(root, kept.GATES)) == 1


def test_the_last_verdict_is_the_worst_of_the_last_answers(invoke: Invoke, root: Path) -> None:
    """Of each question the last answer; passing with one model does not hide another that fails."""
    gate(invoke, "digits-first:again")
    assert kept.last_verdicts(root) == {"digits-first": "pass"}
    gate(invoke, "digits-first:regressed")
    gate(invoke, "digits-first:again")
    assert kept.last_verdicts(root) == {"digits-first": "fail"}
    Path("gate.toml").write_text(POLICY.replace("0.02", "2.0"))
    gate(invoke, "digits-first:regressed")
    assert kept.last_verdicts(root) == {"digits-first": "pass"}, "the same question, answered anew"
    assert kept.last_verdicts(root / "nowhere") == {}


def test_what_can_not_be_kept_is_told_and_changes_nothing(invoke: Invoke, root: Path) -> None:
    (root / "gates").write_text("a file where the folder would be")
    done = gate(invoke, "digits-first:again")
    assert done.code == 0
    assert "not kept:" in done.err
    assert gate(invoke, "digits-first:regressed").code == 1
    assert kept.entries(root, kept.GATES) == []


def test_jobs_at_one_moment_do_not_meet(tmp_path: Path) -> None:
    now, about = datetime(2026, 1, 31, 9, 30, tzinfo=UTC), kept.hashed("question")

    def file() -> None:
        for _ in range(20):
            kept.keep(tmp_path, kept.GATES, "pass", about, "run_with_an_underscore", "{}", now)

    jobs = [threading.Thread(target=file) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    found = kept.entries(tmp_path, kept.GATES)
    assert len(found) == 80
    assert {(one.run, one.outcome, one.about, one.when) for one in found} == {
        ("run_with_an_underscore", "pass", about, "2026-01-31T09:30:00Z")
    }
    assert len({one.id for one in found}) == 80
    assert not [name for name in os.listdir(tmp_path / "gates") if name.startswith(".")]


def test_a_file_that_grew_too_large_is_not_read(tmp_path: Path) -> None:
    path = kept.keep(tmp_path, kept.GATES, "pass", kept.hashed("x"), "run", "{}")
    os.truncate(path, kept.MOST_BYTES + 1)
    with pytest.raises(StoreError, match="at most"):
        read_gate(kept.entries(tmp_path, kept.GATES)[0])


def test_an_attribution_is_read_as_it_was() -> None:
    """Tables to the last bit, and so the sentences and the figure."""
    found, subject = made((0.1 / 3, 0.81, 0.18), 0.02), Subject("a", "b", {"sampler": "heun"})
    again, told = stored(AttributionDocument.model_validate_json(as_json(found, subject)))
    assert told == subject
    assert sentences(again, told) == sentences(found, subject)
    for name, table in found.tables.items():
        pd.testing.assert_frame_equal(
            again.tables[name][table.columns], table.reset_index(drop=True), check_exact=True, check_dtype=False
        )
    metric = found.metrics[0]
    assert attribution(again, metric).to_json() == attribution(found, metric).to_json()


def test_an_attribution_that_lacks_a_row_is_refused() -> None:
    content = json.loads(as_json(made((0.1, 0.2, 0.3), 0.02), Subject("a", "b", {})))
    content["tables"]["bands"].pop()
    with pytest.raises(ValueError, match="expected a total, 3 bands and 8 points of curves, got 1, 2, 8"):
        AttributionDocument.model_validate(content)


def test_attribute_keeps_what_its_json_says(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    few = ["--data", "python:toy:data", "--features", "none", "--steps", "4", "--seeds", "0-19", "-m", "drift"]
    pair = ["attribute", "python:toy:toy", "python:toy:other", *few]
    done = invoke(*pair, "--screen", "-o", "a.json")
    assert done.code == 0, done.err
    (entry,) = kept.entries(tmp_path / "runs", kept.ATTRIBUTIONS)
    found = KeptAttribution.model_validate_json(kept.read(entry))
    assert (found.base.spec, found.candidate.spec, found.base.run) == ("python:toy:toy", "python:toy:other", "")
    whole = json.loads(entry.path.read_text())["attribution"]
    written = json.loads(Path("a.json").read_text())
    assert {**whole, "tables": 0} == {**written, "tables": 0}
    assert all(whole["tables"][name] == rows for name, rows in written["tables"].items())
    assert invoke(*pair, "--screen", "--no-keep").code == 0
    assert len(kept.entries(tmp_path / "runs", kept.ATTRIBUTIONS)) == 1
