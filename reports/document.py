"""What `-o report.json` holds, as a schema: machine.py writes it, `schemas/report.json` publishes it.

Version 1. Fields are only ever added: a reader must pass over those it does not know. A number not known is null.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .findings import Kind
from .verdicts import Outcome


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class CheckDocument(_Open):
    """One rule of the policy applied to one model."""

    model: str
    metric: str
    rule: str
    outcome: Outcome
    evidence: str
    where: str
    """The part a rule is about, such as a band; empty for all."""


class VerdictDocument(_Open):
    """The worst outcome of all checks, and the exit code that stands for it."""

    outcome: Outcome
    exit_code: int
    checks: list[CheckDocument]


class FindingDocument(_Open):
    """What was found, in words, the worst first."""

    kind: Kind
    text: str


class RefusedDocument(_Open):
    """A pair that could not be compared, and why."""

    baseline: str
    candidate: str
    reason: str


class BandDocument(_Open):
    """Adjacent noise levels at which a model is surely worse (ratio > 1) or better than its baseline."""

    model: str
    sigma_low: float
    sigma_high: float
    ratio: float
    low: float
    high: float


class LevelDocument(_Open):
    """One noise level: the candidate's denoising error over the baseline's; low and high for it, band_ for all."""

    level: int
    sigma: float
    ratio: float | None
    low: float | None
    high: float | None
    band_low: float | None
    band_high: float | None
    images: int
    verdict: Literal["pass", "fail", "inconclusive"]
    change: Literal["worse", "better", "same"]


class MetricDocument(_Open):
    """One metric at one sampler setting: candidate minus baseline with its interval, where there is one."""

    sampler: str
    steps: int
    grid: str
    guidance: str
    metric: str
    better: Literal["lower", "higher", ""]
    baseline: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    status: str


class ComparisonDocument(_Open):
    """One model against its baseline."""

    baseline: str
    candidate: str
    bands: list[BandDocument]
    levels: list[LevelDocument]
    metrics: list[MetricDocument]


class ReportDocument(_Open):
    """A Sigmascope report."""

    schema_version: Literal[1]
    baseline: str
    command: str
    """What reproduces it; empty where it is not known."""
    conditions: list[str]
    """What a reader must know first."""
    environment_differences: dict[str, list[str]]
    """Fields of the runs' environments that differ, with each run's value."""
    verdict: VerdictDocument | None
    findings: list[FindingDocument]
    refused: list[RefusedDocument]
    comparisons: list[ComparisonDocument]
