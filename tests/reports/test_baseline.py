"""Baseline files: what they hold, when they pair, what an unpaired comparison may claim, what is refused."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sigmascope.errors import ConfigError, IncomparableError
from sigmascope.evals.store import Store
from sigmascope.metrics.intervals import paired_log_ratio
from sigmascope.reports import html, machine
from sigmascope.reports.baseline import BaselineRun, accept, as_text, error_hashes, gate_pair, read_baseline
from sigmascope.reports.compare import Settings
from sigmascope.reports.decide import decide
from sigmascope.reports.policy import Policy
from sigmascope.reports.report import assemble
from sigmascope.reports.unpaired import standard_errors, unpaired_levels
from sigmascope.reports.verdicts import Outcome

from . import synthetic

ONE = {"m": "eps"}
POLICY = Policy.model_validate(
    {"gate": [{"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.02}}]}
)


def light(run_id: str) -> synthetic.SyntheticRun:
    """One model with one sampler setting."""
    run = synthetic.run(ONE, run_id)
    chosen = {name: run.tables[name].query("sampler == 'heun' and steps == 10") for name in ("metrics", "samples")}
    run.tables = {**run.tables, **chosen}
    run.record = run.record.model_copy(update={"cells": synthetic.cells(chosen["metrics"])})
    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A parent, its equal, and it with 0.1% more error in a band, and with eight times the error there."""
    root = tmp_path_factory.mktemp("runs")
    synthetic.write(light("digits-parent"), root)
    synthetic.write(light("digits-again"), root)
    for name, factor in (("digits-near", 1.001), ("digits-worse", 8.0)):
        run = light(name)
        errors = run.tables["evaluations"].copy()
        errors.loc[synthetic.planted_levels()[errors["level"]], "error"] *= factor
        run.tables = {**run.tables, "evaluations": errors, "levels": synthetic.levels(errors)}
        synthetic.write(run, root)
    return Store(root)


@pytest.fixture(scope="module")
def path(store: Store) -> Path:
    path = store.root / "main.json"
    path.write_text(as_text(accept(store.find("digits-parent"), "first")))
    return path


def test_a_file_holds_the_runs_numbers_in_kilobytes_a_line_each(store: Store, path: Path) -> None:
    run, kept = store.find("digits-parent"), read_baseline(path)
    assert path.stat().st_size < 40_000
    assert kept.reason == "first"
    assert kept.run.fingerprint == run.record.fingerprint
    levels = BaselineRun(path, kept).table("levels")
    pd.testing.assert_frame_equal(levels[run.table("levels").columns], run.table("levels"), check_dtype=False)
    lines = path.read_text().splitlines()
    assert sum('"sigma":' in line for line in lines) == len(levels)


def test_it_pairs_with_its_run_where_that_is_at_hand_unchanged(store: Store, path: Path, tmp_path: Path) -> None:
    runs = gate_pair(store, str(path), "digits-again")
    assert runs[0].images("m", "heun", 10, "karras").keys() == runs[1].images("m", "heun", 10, "karras").keys()
    decision = decide(runs, POLICY)
    assert decision.verdict.outcome is Outcome.PASS
    assert (decision.report.comparisons[0].levels["ratio"] == 1).all()
    assert "unpaired" not in decision.verdict.checks[0].evidence

    changed = json.loads(path.read_text()) | {"digests": {"m": "0" * 64}}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(changed))
    assert gate_pair(store, str(other), "digits-again")[0].table("evaluations").empty


def test_a_candidate_that_makes_the_very_same_errors_has_not_changed(store: Store, path: Path, tmp_path: Path) -> None:
    """In CI the accepted run is seldom at hand; a model that did not change still passes, its ratios exactly 1."""
    (tmp_path / "digits-again").symlink_to(store.root / "digits-again")
    decision = decide(gate_pair(Store(tmp_path), str(path), "digits-again"), POLICY)
    assert decision.verdict.outcome is Outcome.PASS
    assert (decision.report.comparisons[0].levels["ratio"] == 1).all()


def test_a_file_holds_its_metrics_whatever_run_lends_its_errors(store: Store, path: Path, tmp_path: Path) -> None:
    """A candidate with the baseline's denoising errors but other samples is not taken for its own baseline."""
    content = json.loads(path.read_text())
    for row in content["metrics"]:
        row.update(value=row["value"] / 2, low=row["low"] / 2, high=row["high"] / 2)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    rule = {"metric": "Fréchet distance (digits)", "rule": "noninferior", "margin": {"rel": 0.1}}
    runs = gate_pair(store, str(other), "digits-again")
    assert len(runs[0].table("evaluations"))
    assert decide(runs, Policy.model_validate({"gate": [rule]})).verdict.outcome is Outcome.FAIL


def test_only_the_candidates_own_models_are_judged(store: Store, tmp_path: Path) -> None:
    """A file of several models, gated by the run it came from: none of its own models is a candidate."""
    run = synthetic.run({"sound": "eps", "regressed": "eps"}, "digits-two")
    run.tables = {**run.tables, "metrics": run.tables["metrics"].head(0), "samples": run.tables["samples"].head(0)}
    run.record = run.record.model_copy(update={"cells": []})
    synthetic.write(run, tmp_path)
    two = Store(tmp_path)
    path = tmp_path / "two.json"
    path.write_text(as_text(accept(two.find("digits-two"), "as they are")))
    verdict = decide(gate_pair(two, str(path), "digits-two"), POLICY).verdict
    assert [check.outcome for check in verdict.checks] == [Outcome.PASS, Outcome.PASS]


def test_errors_are_hashed_to_the_last_bit_and_in_any_order() -> None:
    errors = synthetic.evaluations(images=3, models=ONE)
    assert error_hashes(errors.sample(frac=1, random_state=0)) == error_hashes(errors)
    nudged = errors.assign(error=np.nextafter(errors["error"], np.inf).where(errors.index == 5, errors["error"]))
    assert error_hashes(nudged) != error_hashes(errors)


def test_without_its_run_the_verdict_says_unpaired(store: Store, path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("digits-near", "digits-worse"):
        (elsewhere / name).parent.mkdir(exist_ok=True)
        (elsewhere / name).symlink_to(store.root / name)
    near = decide(gate_pair(Store(elsewhere), str(path), "digits-near"), POLICY)
    assert near.verdict.outcome is Outcome.INCONCLUSIVE
    assert "(unpaired: the baseline's run is not at hand)" in near.verdict.checks[0].evidence
    assert any("unpaired" in condition for condition in near.report.conditions)
    worse = decide(gate_pair(Store(elsewhere), str(path), "digits-worse"), POLICY)
    assert worse.verdict.outcome is Outcome.FAIL
    (band,) = worse.report.comparisons[0].bands
    inside = synthetic.SIGMAS[synthetic.planted_levels()]
    assert (band.sigma_low, band.sigma_high) == (inside[0], inside[-1])
    assert band.low < 8 < band.high
    page = html.page(worse.report, worse.verdict)
    assert worse.verdict.checks[0].evidence in unescape(page)
    assert worse.report.conditions[0] in unescape(page)
    machine.as_json(worse.report, worse.verdict)


def test_another_fingerprint_is_refused_by_name(store: Store, path: Path, tmp_path: Path) -> None:
    content = json.loads(path.read_text()) | {"digests": {}}
    content["run"]["fingerprint"]["data"] = "other digits"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    verdict = decide(gate_pair(store, str(other), "digits-again"), POLICY).verdict
    assert verdict.exit_code == 5
    assert "data: 'other digits' against 'digits'" in verdict.checks[0].evidence


def test_what_is_no_baseline_is_a_usage_error(store: Store, path: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    told = {"{": "expected JSON", '{"schema_version": 2}': "schema_version 1, got 2", "[]": "got None"}
    for text, message in told.items():
        broken.write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_baseline(broken)
    with pytest.raises(ConfigError, match="--reason: expected why"):
        accept(store.find("digits-parent"), " ")
    partial = synthetic.write_partial(synthetic.run(ONE, "digits-half"), tmp_path)
    with pytest.raises(ConfigError, match="one that is partial"):
        accept(Store(tmp_path).find(str(partial)), "because")


def test_unpaired_bounds_are_those_of_two_independent_samples() -> None:
    """No narrower than closed forms of Student's t, and wider than pairs give where errors share their images."""
    frame = synthetic.evaluations(models={"a": "eps", "b": "eps"})
    errors = standard_errors(frame)
    ours, theirs = (errors[errors["model"] == name] for name in "ab")
    found = unpaired_levels(ours, theirs, Settings(margin=0.05))
    image = frame[frame["level"] == 3].groupby(["model", "image"])["error"].mean()
    a, b = image["a"].to_numpy(), image["b"].to_numpy()
    error = np.hypot(a.std(ddof=1) / a.mean(), b.std(ddof=1) / b.mean()) / np.sqrt(64)
    row = found.iloc[3]
    assert row["ratio"] == pytest.approx(b.mean() / a.mean(), rel=1e-12)
    # Heavier tails are assumed than a normal's: no narrower than Student's t at 63 degrees of freedom, which is
    # 1.9983 at 97.5% and 1.6694 at 95%
    assert 1.9983 * error <= np.log(row["high"] / row["ratio"])
    assert 1.6694 * error <= row["upper"] - np.log(row["ratio"])
    assert (found["band_high"] > found["high"]).all()
    paired = paired_log_ratio(a[:, None], b[:, None])
    assert row["high"] / row["ratio"] > 5 * (paired.high / paired.ratio)[0] - 4


def test_unpaired_false_alarms_and_misses_are_at_most_alpha() -> None:
    """60 pairs of independent samples of one distribution, 6 levels each: the familywise FAIL rate is at most 5%, and
    a model worse by exactly the margin passes in at most 5%. Binomial(60, .05) exceeds 9 with probability 0.1%."""
    rng = np.random.default_rng(0)
    fails = passes = 0
    settings = Settings(margin=0.05)
    for _ in range(60):
        values = rng.lognormal(0.0, 0.5, (2, 40, 6))
        frames = [
            pd.DataFrame(
                {
                    "model": "m", "level": range(6), "sigma": np.arange(1.0, 7.0), "error": part.mean(axis=0),
                    "standard_error": part.std(axis=0, ddof=1) / np.sqrt(40), "images": 40,
                }
            )
            for part in values
        ]  # fmt: skip
        found = unpaired_levels(*frames, settings)
        fails += bool((found["verdict"] == "fail").any())
        worse = frames[1].assign(error=frames[1]["error"] * 1.05, standard_error=frames[1]["standard_error"] * 1.05)
        passes += unpaired_levels(frames[0], worse, settings)["verdict"].iloc[0] == "pass"
    assert fails <= 9
    assert passes <= 9


def test_other_levels_and_single_images_are_incomparable() -> None:
    errors = standard_errors(synthetic.evaluations(models=ONE))
    with pytest.raises(IncomparableError, match="24 levels"):
        unpaired_levels(errors, errors.iloc[:-1], Settings())
    with pytest.raises(IncomparableError, match="two images"):
        unpaired_levels(errors.assign(standard_error=np.nan), errors, Settings())


def test_metrics_of_a_baseline_file_are_compared_as_those_of_its_run(store: Store, path: Path) -> None:
    run, again = store.find("digits-parent"), store.find("digits-again")
    kept = BaselineRun(path, read_baseline(path))
    paired, kept_only = (assemble([base, again]).comparisons[0].metrics for base in (run, kept))
    pd.testing.assert_frame_equal(paired, kept_only, check_dtype=False)
