"""`gate`, `baseline` and `history` from the command line, and the gate inside a test suite, on stored runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sigmascope.errors import ConfigError, IncomparableError
from sigmascope.evals.commit import current_commit
from sigmascope.evals.store import Store
from sigmascope.testing import assert_not_worse

from .reports import synthetic

pytest_plugins = ["pytester"]
Invoke = Callable[..., Any]
POLICY = '[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = {{ rel = {} }}\n'
MODELS = {"sound": "eps", "again": "eps", "regressed": "eps"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model, another like it, and one 34% worse in a band; a second run with other data."""
    folder = tmp_path_factory.mktemp("gate")
    for name, data in (("digits-first", "digits"), ("digits-other", "other digits")):
        run = synthetic.run(MODELS, name)
        run.tables = {**run.tables, "metrics": run.tables["metrics"].head(0), "samples": run.tables["samples"].head(0)}
        run.record = run.record.model_copy(
            update={"cells": [], "fingerprint": {"data": data}, "created": f"2026-01-01T00:00:0{len(data) % 9}Z"}
        )
        synthetic.write(run, folder / "runs")
    (folder / "gate.toml").write_text("schema = 1\n" + POLICY.format(0.02))
    (folder / "strict.toml").write_text("schema = 1\n" + POLICY.format(0.0001))
    return folder


def gate(invoke: Invoke, folder: Path, candidate: str, *more: str, policy: str = "gate.toml") -> Any:
    given = ["--runs", str(folder / "runs"), "--policy", str(folder / policy)]
    baseline = [] if "--baseline" in more else ["--baseline", "digits-first:sound"]
    return invoke("gate", candidate, *baseline, *given, *more)


def test_every_output_of_a_gate_has_the_same_numbers(
    invoke: Invoke, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    names = ["report.html", "comment.md", "report.json", "junit.xml"]
    flags = [flag for name in names for flag in ("-o", name)]
    result = gate(invoke, folder, "digits-first:regressed", "--github", *flags)
    assert result.code == 1
    (evidence,) = re.findall(r"denoising error (\d+% \[\d+, \d+\] higher)", result.out.split("::error")[0])
    page, comment, machine, xml = (Path(name).read_text() for name in names)
    (failure,) = ElementTree.fromstring(xml).iter("failure")
    assert evidence in (failure.get("message") or "")
    assert evidence in json.loads(machine)["verdict"]["checks"][0]["evidence"]
    assert evidence in page
    assert evidence in comment.replace("\\", "")
    assert evidence in (tmp_path / "summary.md").read_text().replace("\\", "")
    opening, *_, closing, annotation = result.out.strip().splitlines()
    assert opening.removeprefix("::stop-commands") == closing.removesuffix("::")
    assert annotation.startswith("::error title=regressed denoising_error noninferior fail::")
    assert evidence in annotation.replace("%25", "%")


def test_exit_codes(invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gate(invoke, folder, "digits-first:again").code == 0
    itself = gate(invoke, folder, "digits-first:sound", policy="strict.toml")
    assert (itself.code, "within 0.0% of sound" in itself.out) == (0, True)
    assert gate(invoke, folder, "digits-first:again", policy="strict.toml").code in (1, 4)
    refused = gate(invoke, folder, "digits-other:again", "-o", "junit.xml")
    assert refused.code == 5
    assert "data: 'digits' against 'other digits'" in refused.out
    assert next(ElementTree.parse("junit.xml").iter("error")).get("message") in refused.out
    assert gate(invoke, folder, "digits-first:again", "-o", "report.pdf").code == 2
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert gate(invoke, folder, "digits-first:again", "--github").code == 2
    assert invoke("compare", "a", "b", "-o", "junit.xml").code == 2


def test_a_baseline_is_accepted_with_a_reason_and_held(invoke: Invoke, folder: Path, tmp_path: Path) -> None:
    runs = ["--runs", str(folder / "runs")]
    assert invoke("baseline", "accept", "digits-first:sound", *runs, "--reason", " ").code == 2
    done = invoke("baseline", "accept", "digits-first:sound", *runs, "--reason", "release 1")
    assert done.code == 0
    assert "baselines/digits.json: sound of digits-first" in done.out
    again = invoke("baseline", "accept", "digits-first:again", *runs, "--reason", "faster, as good")
    assert "in place of digits-first" in again.out
    assert json.loads(Path("baselines/digits.json").read_text())["reason"] == "faster, as good"
    kept = ["--baseline", "baselines/digits.json"]
    assert gate(invoke, folder, "digits-first:again", *kept).code == 0
    assert gate(invoke, folder, "digits-first:regressed", *kept).code == 1
    other = gate(invoke, folder, "digits-other:again", *kept)
    assert other.code == 5
    assert "data: 'digits' against 'other digits'" in other.out


def test_history_shows_each_run_and_says_what_there_is(invoke: Invoke, folder: Path) -> None:
    runs = ["--runs", str(folder / "runs")]
    shown = invoke("history", "denoising_error", "--model", "again", *runs)
    assert shown.code == 0
    assert "digits-first" in shown.out
    listed = json.loads(invoke("history", "denoising_error", "--sigma", "0.1-1", "--json", *runs).out)
    assert len(listed) == 2 * len(MODELS)
    unknown = invoke("history", "FID", *runs)
    assert unknown.code == 2
    assert "there are: denoising_error; models: sound, again, regressed" in " ".join(unknown.err.split())
    assert invoke("history", "denoising_error", "--sigma", "1-0.1", *runs).code == 2


def test_a_test_suite_can_hold_the_gate(folder: Path) -> None:
    runs, policy = folder / "runs", folder / "gate.toml"
    assert assert_not_worse("digits-first:again", "digits-first:sound", policy, runs).verdict.exit_code == 0
    first = Store(runs).find("digits-first")
    with pytest.raises(AssertionError, match=r"Regression \(1 of 1 checks\).*\n +fail  regressed denoising_error"):
        assert_not_worse(first.select("regressed"), first.select("sound"), policy)
    with pytest.raises(IncomparableError, match="data: 'digits' against 'other digits'"):
        assert_not_worse("digits-other:again", "digits-first:again", policy, runs)
    with pytest.raises(ConfigError, match="inconclusive: expected one of"):
        assert_not_worse("a", "b", policy, runs, inconclusive="ignore")  # type: ignore[arg-type]


def test_what_an_inconclusive_verdict_is_can_be_chosen(folder: Path) -> None:
    """A ceiling at the error itself is never settled: its bounds lie on either side."""
    runs = Store(folder / "runs")
    errors = runs.find("digits-first").table("levels").query("model == 'again'")["error"]
    policy = {"schema": 1, "gate": [{"metric": "denoising_error", "rule": "ceiling", "max": float(errors.max())}]}
    pair = ("digits-first:again", "digits-first:sound", policy, folder / "runs")
    with pytest.raises(AssertionError, match="Inconclusive"):
        assert_not_worse(*pair)
    with pytest.raises(pytest.skip.Exception, match="Inconclusive"):
        assert_not_worse(*pair, inconclusive="skip")
    with pytest.raises(pytest.xfail.Exception, match="Inconclusive"):
        assert_not_worse(*pair, inconclusive="xfail")
    assert assert_not_worse(*pair, inconclusive="pass").verdict.exit_code == 4


def test_the_fixture_takes_its_settings_from_pytests_configuration(folder: Path, pytester: pytest.Pytester) -> None:
    pytester.makeini(f"[pytest]\nsigmascope_runs = {folder / 'runs'}\nsigmascope_inconclusive = skip\n")
    pytester.makepyfile(
        f"""
        def test_good(assert_not_worse):
            assert_not_worse("digits-first:again", "digits-first:sound", {str(folder / "gate.toml")!r})

        def test_bad(assert_not_worse):
            assert_not_worse("digits-first:regressed", "digits-first:sound", {str(folder / "gate.toml")!r})
        """
    )
    installed = any(point.value == "sigmascope.testing" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "sigmascope.testing"]
    result = pytester.runpytest_inprocess(*plugin, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Regression (1 of 1 checks)*"])


def test_the_commit_of_a_working_tree(tmp_path: Path) -> None:
    assert current_commit(tmp_path) == ""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    clean = current_commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "file").write_text("2")
    assert current_commit(tmp_path) == f"{clean}+"
