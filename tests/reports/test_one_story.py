"""What is called worse or fails is never shown with an interval that holds no change, at whatever alpha."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sigmascope.reports.compare import Band, Comparison, Settings, compare_levels, find_bands
from sigmascope.reports.compare_metrics import compare_metrics
from sigmascope.reports.findings import band_sentence
from sigmascope.reports.gate import judge
from sigmascope.reports.policy import checked_policy
from sigmascope.reports.unpaired import standard_errors, unpaired_levels
from sigmascope.reports.verdicts import Outcome

RELATIVE = {"metric": "denoising_error", "rule": "noninferior", "margin": {"rel": 0.001}}
ABSOLUTE = {"metric": "denoising_error", "rule": "noninferior", "margin": {"abs": 1e-9}}
CEILING = {"metric": "denoising_error", "rule": "ceiling", "max": 1.0}


def evaluations(seed: int, change: float, images: int = 40, levels: int = 3) -> pd.DataFrame:
    """Two models alike but for a change of some standard errors at one level: verdicts on the verge."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(4.0, 0.25, (images, levels))
    candidate = base * (1 + 0.1 * rng.standard_normal((images, levels)))
    candidate[:, 1] *= 1 + change
    index = np.indices(base.shape).reshape(2, -1)
    rows = {"image": index[0], "level": index[1], "sigma": 0.1 * 3.0 ** index[1], "label": -1, "draw": 0}
    frames = [pd.DataFrame({"model": name, **rows, "error": e.ravel()}) for name, e in (("a", base), ("b", candidate))]
    return pd.concat(frames, ignore_index=True)


def compared(table: pd.DataFrame, settings: Settings, pairs: bool = True) -> Comparison:
    if pairs:
        levels = compare_levels(table, "a", "b", settings)
    else:
        means = standard_errors(table)
        levels = unpaired_levels(*(means[means["model"] == name] for name in "ab"), settings)
    empty = pd.DataFrame(
        columns=["model", "sampler", "steps", "grid", "guidance", "metric", "value", "low", "high", "n"]
    )
    metrics = compare_metrics(empty.assign(fingerprint="", protocol=""), "a", "b")
    return Comparison("a", "b", settings, levels, find_bands(levels, "b"), metrics)


@pytest.mark.parametrize("pairs", [True, False])
def test_what_is_worse_or_better_has_an_interval_beyond_no_change(pairs: bool) -> None:
    kinds = []
    for seed in range(80):
        change = (-0.06, 0.06)[seed % 2] * (1 if pairs else 7)
        levels = compared(evaluations(seed, change), Settings(0.001, (0.95, 0.8)[seed % 3 == 0]), pairs).levels
        worse, better = (levels[levels["change"] == kind] for kind in ("worse", "better"))
        assert (worse["band_low"] > 1).all()
        assert (better["band_high"] < 1).all()
        assert (levels.loc[levels["verdict"] == "fail", "band_low"] > 1).all()
        kinds += levels["change"].tolist()
    assert min(kinds.count("worse"), kinds.count("better")) >= 10  # else the loop above has shown nothing


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("rule", [RELATIVE, ABSOLUTE, CEILING], ids=["relative", "absolute", "ceiling"])
def test_the_evidence_of_a_failure_does_not_hold_no_change(rule: dict[str, object], alpha: float) -> None:
    policy = checked_policy({"schema": 1, "alpha": alpha, "gate": [rule]}, "here")
    outcomes = []
    for seed in range(40):
        change = 0.2 if "max" in rule else 0.05
        verdict = judge(policy, [compared(evaluations(seed, change), policy.settings())])
        outcomes.append(verdict.outcome)
        if verdict.outcome is Outcome.FAIL:
            low, _ = re.findall(r"\[(.*?), (.*?)\]", verdict.checks[0].evidence)[0]
            assert float(low.replace("−", "-")) > (1.0 if "max" in rule else 0.0), verdict.checks[0].evidence
    assert outcomes.count(Outcome.FAIL) >= 10
    assert outcomes.count(Outcome.FAIL) < 40


def test_a_bound_that_is_barely_beyond_no_change_reads_so() -> None:
    comparison = compared(evaluations(0, 0.0), Settings())
    said = band_sentence(comparison, Band("b", 0.3, 0.3, 1.03, 1.0002, 1.06))
    assert "3.0% [0.02, 6.0] higher" in said
    assert "3.0% [0.03, 6.0] lower" in band_sentence(comparison, Band("b", 0.3, 0.3, 0.97, 0.94, 0.9997))
