"""Did it get worse? A policy (TOML) and a comparison give one verdict with its evidence, and the exit code CI sees.

    fail          some check failed                                              exit code 1
    incomparable  something the policy asks for could not be compared            exit code 5
    inconclusive  the intervals neither show a regression nor rule it out        exit code 4
    pass          every check passed                                             exit code 0

Only the failing side is corrected for the number of levels: passing needs every level to pass, which corrects itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from ..metrics.intervals import verdict
from .compare import Comparison
from .findings import band_sentence
from .numbers import interval, number, percent, signed
from .policy import DENOISING_ERROR, Policy, Rule
from .tables import cell_title


class Outcome(StrEnum):
    """Worst first: a verdict is the first of its checks' outcomes."""

    FAIL = "fail"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"


EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 4, Outcome.INCOMPARABLE: 5}


@dataclass(frozen=True)
class Check:
    """One rule applied to one model, with what speaks for the outcome."""

    model: str
    metric: str
    rule: str
    outcome: Outcome
    evidence: str


@dataclass(frozen=True)
class Verdict:
    """The worst outcome of all checks."""

    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]


def judge(policy: Policy, comparisons: Sequence[Comparison]) -> Verdict:
    """Apply every rule to every comparison, made with `policy.settings()`. No comparison at all is not a pass."""
    checks = tuple(_check(rule, comparison) for comparison in comparisons for rule in policy.gate)
    if not checks:
        return incomparable("nothing was compared")
    return Verdict(min((check.outcome for check in checks), key=list(Outcome).index), checks)


def incomparable(reason: str) -> Verdict:
    """The verdict when an IncomparableError stopped the comparison."""
    return Verdict(Outcome.INCOMPARABLE, (Check("", "", "", Outcome.INCOMPARABLE, reason),))


def _check(rule: Rule, comparison: Comparison) -> Check:
    if rule.metric == DENOISING_ERROR:
        outcome, evidence = _denoising_error(comparison)
        return Check(comparison.candidate, rule.metric, rule.rule, outcome, evidence)
    cells = comparison.metrics[comparison.metrics["metric"] == rule.metric]
    judged = [(*_cell(rule, row), cell_title(row)) for _, row in cells.iterrows()]
    if not judged:
        judged = [(Outcome.INCOMPARABLE, "not scored", "no sampler")]
    worst = min((outcome for outcome, _, _ in judged), key=list(Outcome).index)
    decisive = [f"{title}: {evidence}" for outcome, evidence, title in judged if outcome is worst]
    more = f" (and {len(decisive) - 1} more like it)" if len(decisive) > 1 else ""
    return Check(comparison.candidate, rule.metric, rule.rule, worst, decisive[0] + more)


def _denoising_error(comparison: Comparison) -> tuple[Outcome, str]:
    verdicts = comparison.levels["verdict"]
    if verdicts.empty:
        return Outcome.INCOMPARABLE, "not measured: neither model was asked at any noise level"
    margin = percent(1 + comparison.settings.margin, signed=False)
    if (verdicts == "fail").any():
        return Outcome.FAIL, band_sentence(comparison, comparison.bands[0])
    if (verdicts == "pass").all():
        return Outcome.PASS, f"within {margin} of {comparison.baseline} at all {len(verdicts)} noise levels"
    unclear = comparison.levels[verdicts != "pass"]
    widest = unclear.nlargest(1, "high").iloc[0]
    return Outcome.INCONCLUSIVE, (
        f"{margin} can't be ruled out at {len(unclear)} of {len(verdicts)} noise levels, the widest at sigma "
        f"{number(widest['sigma'], 2)}: {percent(widest['ratio'])} "
        f"[{percent(widest['low'])}, {percent(widest['high'])}]"
    )


def _cell(rule: Rule, row: pd.Series[Any]) -> tuple[Outcome, str]:
    """One sampler setting under a ceiling or a non-inferiority rule."""
    if row["status"] == "incomparable" or (row["status"] == "not scored" and rule.max is None):
        return Outcome.INCOMPARABLE, f"their protocols differ: {row['reason']}" if row["reason"] else row["status"]
    if rule.max is not None:
        return _ceiling(rule.max, row)
    assert rule.margin is not None
    if not row["better"]:
        return Outcome.INCOMPARABLE, f"it is not known whether higher or lower {row['metric']} is better"
    margin = rule.margin.abs if rule.margin.abs is not None else (rule.margin.rel or 0.0) * abs(row["baseline"])
    low, high = (row["low"], row["high"]) if row["better"] == "lower" else (-row["high"], -row["low"])
    evidence = (
        f"{number(row['candidate'])} against {number(row['baseline'])}, difference {signed(row['difference'])} "
        f"{interval(row['low'], row['high']) or 'with no interval'} at a margin of {number(margin)} ({row['status']})"
    )
    return Outcome(verdict(low, high, margin)), evidence


def _ceiling(ceiling: float, row: pd.Series[Any]) -> tuple[Outcome, str]:
    """Fails beyond the ceiling for sure, passes below it for sure; a value without interval is taken as it stands."""
    value, low, high = row["candidate"], row["candidate_low"], row["candidate_high"]
    if math.isnan(value):
        return Outcome.INCOMPARABLE, "not scored"
    low, high = (value, value) if math.isnan(low) or math.isnan(high) else (low, high)
    outcome = Outcome.PASS if high <= ceiling else Outcome.FAIL if low > ceiling else Outcome.INCONCLUSIVE
    return outcome, f"{number(value)} {interval(low, high)} under a ceiling of {number(ceiling)}"
