"""Did it get worse? A policy (TOML) and a comparison give one verdict with its evidence, and the exit code CI sees.

    fail          some check failed                                              exit code 1
    incomparable  something the policy asks for could not be compared            exit code 5
    inconclusive  the intervals neither show a regression nor rule it out        exit code 4
    pass          every check passed                                             exit code 0

Only the failing side is corrected, for the number of levels, classes, sampler settings and rules: passing needs every
check to pass, which corrects itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .checks import check
from .compare import Comparison
from .policy import Policy
from .verdicts import EXIT_CODES, Check, Outcome, Verdict, worst

if TYPE_CHECKING:
    from ..evals.store import Run

__all__ = ["EXIT_CODES", "Check", "Outcome", "Verdict", "incomparable", "judge", "unequal"]


def judge(policy: Policy, comparisons: Sequence[Comparison]) -> Verdict:
    """Apply every rule to every comparison, made with `policy.settings()`. No comparison at all is not a pass."""
    checks = tuple(one for comparison in comparisons for rule in policy.gate for one in check(rule, comparison))
    if not checks:
        return incomparable("nothing was compared")
    return Verdict(worst([one.outcome for one in checks]), checks)


def incomparable(reason: str) -> Verdict:
    """The verdict when an IncomparableError stopped the comparison."""
    return Verdict(Outcome.INCOMPARABLE, (Check("", "", "", Outcome.INCOMPARABLE, reason),))


def unequal(policy: Policy, runs: Sequence[Run]) -> str:
    """What the policy requires to be equal in the runs' environments and isn't, in words; empty where all is."""
    for name in policy.require:
        found = [run.record.environment.get(name) for run in runs]
        if len(set(found)) > 1:
            return f"environment: expected equal {name}, got {' against '.join(map(repr, found))}"
        if found and found[0] is None:
            known = ", ".join(runs[0].record.environment)
            return f"environment: expected one of {known} to be required, got {name!r}"
    return ""
