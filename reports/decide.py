"""From runs and a policy to the one result that every output is written from: terminal, files, GitHub, pytest.

runs -> report.assemble -> comparisons -> gate.judge -> Decision -> files.write_report, github.publish, testing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .gate import incomparable, judge, unequal
from .policy import DENOISING_ERROR, Policy
from .report import Report, assemble
from .unpaired import lacking, marked
from .verdicts import Verdict

if TYPE_CHECKING:
    from ..evals.store import Run


@dataclass(frozen=True)
class Decision:
    """What was compared and what came of it."""

    report: Report
    verdict: Verdict


def decide(runs: Sequence[Run], policy: Policy) -> Decision:
    """Compare the last run's models with their baselines in the first, and judge them.

    What can't be compared, an unfinished run among it, gives an incomparable verdict, not an error.
    """
    report = assemble(runs, settings=policy.settings())
    unfinished = [run for run in runs if run.record.status != "complete"]
    differing = unequal(policy, runs)
    if unfinished:
        reason = f"run {unfinished[0].id} is {unfinished[0].record.status}: expected complete runs"
        return Decision(report, incomparable(reason))
    if differing:
        return Decision(report, incomparable(differing))
    if report.refused:
        return Decision(report, incomparable(report.refused[0].reason))
    source = report.tables.models.set_index("label")["source"]
    chosen = [one for one in report.comparisons if source[one.candidate] == len(runs) - 1]
    return Decision(report, marked(judge(policy, chosen), chosen, DENOISING_ERROR, lacking(runs)))
