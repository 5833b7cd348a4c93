"""Verdicts on planted differences, the order of outcomes, exit codes, and policies that must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sigmascope.errors import ConfigError
from sigmascope.reports.gate import Outcome, Verdict, incomparable, judge
from sigmascope.reports.policy import Policy, read_policy
from sigmascope.reports.report import assemble

from . import synthetic

FRECHET = "Fréchet distance (digits)"
DENOISING = {"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.05}}


def policy(*rules: dict[str, object]) -> Policy:
    return Policy.model_validate({"schema": 1, "gate": rules})


def verdict(run: synthetic.SyntheticRun, candidate: str, *rules: dict[str, object]) -> Verdict:
    asked = policy(*rules)
    report = assemble([run], settings=asked.settings())
    return judge(asked, [one for one in report.comparisons if one.candidate == candidate])


def test_the_planted_regression_fails_and_is_named(run: synthetic.SyntheticRun) -> None:
    found = verdict(run, "digits-regressed", DENOISING)
    assert (found.outcome, found.exit_code) == (Outcome.FAIL, 1)
    assert "digits-regressed: denoising error 34%" in found.checks[0].evidence
    assert "sigma 0.28–1.1" in found.checks[0].evidence


def test_a_sound_model_passes(run: synthetic.SyntheticRun) -> None:
    found = verdict(run, "digits-v", DENOISING)
    assert (found.outcome, found.exit_code) == (Outcome.PASS, 0)


def test_too_few_images_are_inconclusive() -> None:
    run = synthetic.run({"a": "eps", "b": "eps"})
    kept = run.tables["evaluations"]
    run.tables["evaluations"] = kept[kept["image"] < 3]
    found = verdict(run, "b", {**DENOISING, "margin": {"rel": 0.002}})
    assert (found.outcome, found.exit_code) == (Outcome.INCONCLUSIVE, 4)
    assert "can't be ruled out" in found.checks[0].evidence


def test_nothing_compared_is_no_pass() -> None:
    assert judge(policy(DENOISING), []).exit_code == 5
    assert incomparable("data differ").checks[0].evidence == "data differ"


@pytest.mark.parametrize(
    ("candidate", "ceiling", "outcome"),
    [("digits-v", 1e6, Outcome.PASS), ("digits-v", 1e-6, Outcome.FAIL), ("digits-v", 2.8, Outcome.INCONCLUSIVE)],
)
def test_ceilings(run: synthetic.SyntheticRun, candidate: str, ceiling: float, outcome: Outcome) -> None:
    assert verdict(run, candidate, {"metric": FRECHET, "rule": "ceiling", "max": ceiling}).outcome is outcome


@pytest.mark.parametrize(("margin", "outcome"), [(5.0, Outcome.PASS), (1e-6, Outcome.FAIL)])
def test_noninferior_metrics_know_their_direction(run: synthetic.SyntheticRun, margin: float, outcome: Outcome) -> None:
    for metric in (FRECHET, "class agreement"):
        rule = {"metric": metric, "rule": "noninferior", "margin": {"abs": margin}}
        assert verdict(run, "digits-regressed", rule).outcome is outcome


def test_a_metric_that_is_missing_is_incomparable(run: synthetic.SyntheticRun) -> None:
    found = verdict(run, "digits-v", DENOISING, {"metric": "FID", "rule": "ceiling", "max": 6.0})
    assert (found.outcome, found.exit_code) == (Outcome.INCOMPARABLE, 5)
    assert "not scored" in found.checks[1].evidence


def test_a_failure_outweighs_what_could_not_be_compared(run: synthetic.SyntheticRun) -> None:
    found = verdict(run, "digits-regressed", DENOISING, {"metric": "FID", "rule": "ceiling", "max": 6.0})
    assert found.outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('schema = 2\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0', "schema"),
        ("schema = 1", "gate"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0\nmaximum=2.0', "maximum"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"', "expected max"),
        ('[[gate]]\nmetric="FID"\nrule="noninferior"', "expected margin"),
        ('[[gate]]\nmetric="FID"\nrule="noninferior"\nmargin={abs=1.0, rel=1.0}', "exactly one"),
        ('[[gate]]\nmetric="denoising_error"\nrule="noninferior"\nmargin={abs=1.0}', "relative margin"),
        ('[[gate]]\nmetric="denoising_error"\nrule="noninferior"\nmargin={rel=-1.0}', "margin.rel"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=2.0', "twice"),
        ("gate = [", "policy"),
    ],
)
def test_wrong_policies_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        read_policy(path)


def test_a_policy_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('schema = 1\n[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = { rel = 0.02 }')
    assert read_policy(path).settings().margin == 0.02
    with pytest.raises(ConfigError, match="nowhere"):
        read_policy(tmp_path / "nowhere.toml")
