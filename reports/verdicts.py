"""What a gate answers: outcomes, checks with their evidence, and the exit code of the worst. gate.py makes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    where: str = ""
    """The part a rule is about: "sigma 0.10–1.0", "each class"; empty for all."""


@dataclass(frozen=True)
class Verdict:
    """The worst outcome of all checks."""

    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]


def worst(outcomes: list[Outcome]) -> Outcome:
    """The worst of one or more."""
    return min(outcomes, key=list(Outcome).index)
