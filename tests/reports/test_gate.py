"""Verdicts on planted differences, the order of outcomes, exit codes, and policies that must be refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sigmascope.errors import ConfigError
from sigmascope.reports.gate import Outcome, Verdict, incomparable, judge, unequal
from sigmascope.reports.policy import Policy, checked_policy, read_policy
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


@pytest.mark.parametrize(("ceiling", "named"), [(1e-6, "highest"), (1e6, "highest"), (2.8, "most samples")])
def test_of_many_sampler_settings_the_decisive_is_named(ceiling: float, named: str) -> None:
    """The highest is named that fails or passes, and the one which takes the most samples of those undecided."""
    made = synthetic.run({"a": "eps", "b": "eps"})
    rows = made.tables["metrics"]
    chosen = rows[(rows["metric"] == FRECHET) & (rows["model"] == "b")].index
    by = np.linspace(0.9, 1.1, len(chosen))  # the last is the highest, whatever their order was
    for name in ("value", "low", "high"):
        rows.loc[chosen, name] = by * {"value": 2.8, "low": 2.0, "high": 3.6}[name]
    (check,) = verdict(made, "b", {"metric": FRECHET, "rule": "ceiling", "max": ceiling}).checks
    shown = float(check.evidence.split(": ")[1].split()[0])
    assert f"and {len(chosen) - 1} more like it" in check.evidence
    values, step = rows.loc[chosen, "value"], 2.8 * 0.2 / (len(chosen) - 1)
    if named == "highest":
        assert shown == pytest.approx(values.max(), rel=0.005)  # three digits
    else:
        assert (
            abs(shown - ceiling) <= step + 0.005
        )  # a neighbour of the ceiling, on either side; the first is 0.28 away


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
        ('[[gate]]\nmetric="denoising_error"\nrule="ceiling"\nmax=1.0\nslices="class"', "relative margin"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0\nbands=[[0.1,1.0]]', "expected metric 'denoising_error'"),
        (
            '[[gate]]\nmetric="denoising_error"\nrule="ceiling"\nmax=1.0\nbands=[[1.0,0.1]]',
            r"low < high.*got \[1, 0.1\]",
        ),
        ('[[gate]]\nmetric="FID"\nrule="noninferior"\nmargin={absolute=1.0}', "unknown key, expected one of rel, abs"),
        ('[[gate]]\nmetric="FID"\nrule="inferior"\nmax=1.0', "'noninferior' or 'ceiling', got 'inferior'"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"\nmax="low"', "gate.0.max: expected a number, got 'low'"),
        ('[[gate]]\nrule="ceiling"\nmax=1.0', "gate.0.metric: expected a value, got none"),
        ("gate = []", r"gate: expected at least 1 of them, got \[\]"),
        ("gate = [1]", "gate.0: expected a table, got 1"),
        ('alpha=0.05\nconfidence=0.95\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0', "one of alpha and confidence"),
        ('alpha=0.7\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0', "alpha: expected less than 0.5, got 0.7"),
        ('budget=0\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0', "budget: expected 1 or more, got 0"),
        ('[[gate]]\nmetric="denoising_error"\nrule="noninferior"\nmargin={rel=-1.0}', "margin.rel"),
        ('[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=1.0\n[[gate]]\nmetric="FID"\nrule="ceiling"\nmax=2.0', "twice"),
        ("gate = [", "policy"),
    ],
)
def test_wrong_policies_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        read_policy(path)
    assert not any(words in str(caught.value) for words in ("Input should", "Extra inputs", "Value error", "Field req"))
    assert "gate.0" not in named or "at least 1" not in str(caught.value)  # of rules: there is one


def test_a_rule_may_be_about_bands_each_with_its_own_margin(run: synthetic.SyntheticRun) -> None:
    """The planted 34% at 0.28-1.2: refused there at 5%, let pass by a rule of 50%, and not seen by other bands."""
    low, high = synthetic.PLANTED_BAND
    elsewhere = {**DENOISING, "bands": [[0.02, 0.2], [2.0, 40.0]]}
    lenient = {**DENOISING, "bands": [[low, high]], "margin": {"rel": 0.5}}
    found = verdict(run, "digits-regressed", elsewhere, lenient)
    assert [one.outcome for one in found.checks] == [Outcome.PASS] * 3
    assert [one.where for one in found.checks] == ["sigma 0.020–0.20", "sigma 2.0–40", "sigma 0.28–1.2"]
    strict = verdict(run, "digits-regressed", elsewhere, {**DENOISING, "bands": [[low, high]]})
    assert [one.outcome for one in strict.checks] == [Outcome.PASS] * 2 + [Outcome.FAIL]
    assert "sigma 0.28–1.1" in strict.checks[2].evidence
    nowhere = verdict(run, "digits-regressed", {**DENOISING, "bands": [[100.0, 200.0]]})
    assert nowhere.outcome is Outcome.INCOMPARABLE
    assert "those measured are 0.020–40" in nowhere.checks[0].evidence


def test_one_class_that_is_worse_fails_a_rule_about_classes() -> None:
    """A tenth of the images 30% worse is 3% overall, within a margin of 10%; its class is named all the same."""
    run = synthetic.run({"a": "eps", "b": "eps"})
    errors = run.tables["evaluations"]
    errors.loc[(errors["model"] == "b") & (errors["label"] == 3), "error"] *= 1.3
    wide = {**DENOISING, "margin": {"rel": 0.10}}
    assert verdict(run, "b", wide).outcome is Outcome.PASS
    found = verdict(run, "b", wide, {**wide, "slices": "class"})
    assert [one.outcome for one in found.checks] == [Outcome.PASS, Outcome.FAIL]
    assert "worse in 1 of 10 classes (3), most in class 3" in found.checks[1].evidence


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"rule": "ceiling", "max": 0.5}, Outcome.PASS),
        ({"rule": "ceiling", "max": 0.15}, Outcome.FAIL),
        ({"rule": "noninferior", "margin": {"abs": 0.1}}, Outcome.PASS),
        ({"rule": "noninferior", "margin": {"abs": 0.02}}, Outcome.FAIL),
    ],
)
def test_the_denoising_error_may_have_absolute_limits(
    run: synthetic.SyntheticRun, rule: dict[str, object], outcome: Outcome
) -> None:
    """At sigma 1.1 the error is 0.144 on purpose, times exp((0.5^2 + 0.3^2) / 2) = 1.19 by spread: 0.17. The plant
    makes that 0.23, 0.058 more."""
    band = {"bands": [list(synthetic.PLANTED_BAND)]}
    assert verdict(run, "digits-regressed", {"metric": "denoising_error", **rule, **band}).outcome is outcome


def test_the_images_that_an_inconclusive_verdict_asks_for_settle_it() -> None:
    """With 12 images 0.2% can't be ruled out; with as many more as it says it is, of the same world."""
    few, many = (synthetic.run({"a": "eps", "b": "eps"}, seed=5) for _ in range(2))
    errors = few.tables["evaluations"]
    few.tables["evaluations"] = errors[errors["image"] < 12]
    rule = {**DENOISING, "margin": {"rel": 0.02}}
    unclear = verdict(few, "b", rule)
    assert unclear.outcome is Outcome.INCONCLUSIVE
    said = re.search(r"about ([\d,]+) more images would settle it", unclear.checks[0].evidence)
    assert said
    more = int(said[1].replace(",", ""))
    many.tables["evaluations"] = synthetic.evaluations(12 + more, models={"a": "eps", "b": "eps"}, seed=6)
    assert verdict(many, "b", rule).outcome is Outcome.PASS


def test_rules_share_alpha() -> None:
    """Levels have one table of tests, however many rules are about it; classes have another, each metric its own."""
    limit = {"metric": FRECHET, "rule": "ceiling", "max": 1.0}
    assert policy(DENOISING, {**DENOISING, "bands": [[0.1, 1.0]]}).families == 1
    assert policy(DENOISING, {**DENOISING, "slices": "class"}, limit).families == 3
    assert policy(DENOISING, {**DENOISING, "slices": "class"}, limit).settings().slices


def test_alpha_is_one_less_confidence() -> None:
    asked = Policy.model_validate({"alpha": 0.01, "gate": [DENOISING]})
    assert asked.settings().confidence == 0.99


def test_a_policy_may_require_the_same_environment(run: synthetic.SyntheticRun) -> None:
    other = synthetic.run(run_id="other")
    other.record = other.record.model_copy(update={"environment": {"torch": "2.13.0", "device": "cuda"}})
    asked = Policy.model_validate({"require": ["torch", "device"], "gate": [DENOISING]})
    assert unequal(asked, [run, run]) == ""
    assert unequal(asked, [run, other]) == "environment: expected equal device, got 'cpu' against 'cuda'"
    assert "expected one of torch, device" in unequal(asked.model_copy(update={"require": ("gpu",)}), [run, run])


def test_a_policy_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('schema = 1\n[[gate]]\nmetric = "denoising_error"\nrule = "noninferior"\nmargin = { rel = 0.02 }')
    assert read_policy(path).settings().margin == 0.02
    with pytest.raises(ConfigError, match="nowhere"):
        read_policy(tmp_path / "nowhere.toml")


def test_the_policy_of_the_docs_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert len(checked_policy(tomllib.loads(block), "docs").gate) == 6
