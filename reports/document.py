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
    """One noise level: the candidate's denoising error over the baseline's; low and high for it, band_ for all.

    Where the verdict is fail, or change worse or better, the interval from band_low to band_high does not hold 1.
    """

    level: int
    sigma: float
    ratio: float | None
    low: float | None
    high: float | None
    band_low: float | None
    band_high: float | None
    difference: float | None = None
    """Candidate's denoising error minus the baseline's, mean square per dimension in x0 units."""
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
    ratio: float | None = None
    """Candidate over baseline, of values above 0."""
    status: str
    change: Literal["worse", "better", "same", ""] = ""
    """Worse or better: told from no difference among all metrics of the comparison; empty: nothing tells how sure."""


class ComparisonDocument(_Open):
    """One model against its baseline."""

    baseline: str
    candidate: str
    bands: list[BandDocument]
    levels: list[LevelDocument]
    metrics: list[MetricDocument]


class RankDocument(_Open):
    """One model: the places that it can have, and its letters; models that share one are not told apart."""

    model: str
    value: float
    best: int
    worst: int
    group: str


class RankingDocument(_Open):
    """Three models or more in order, best first; of the denoising error, value is the ratio to the best model's."""

    by: str
    ranks: list[RankDocument]


class ErrorDocument(_Open):
    """A model's denoising error at one noise level (mean square in x0) with its 95% interval."""

    level: int
    sigma: float
    log_snr: float | None
    time: float | None
    error: float
    low: float | None
    high: float | None
    images: int
    floor: float | None
    """The error of the best denoiser known without a network."""


class ScoreDocument(_Open):
    """One metric of a model's samples at one sampler setting with its 95% interval."""

    metric: str
    sampler: str
    steps: int
    grid: str
    guidance: str
    evaluations: int
    value: float | None
    low: float | None
    high: float | None
    n: int
    protocol: str
    fingerprint: str


class CurveDocument(_Open):
    """One quantity of a probe in one slice of the images: a list entry for each noise level, sigma rising."""

    probe: str
    quantity: str
    slice: str
    sigma: list[float]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]
    optimal: list[float | None]
    """Of a perfect denoiser."""
    images: list[int]


class SettingDocument(_Open):
    """A sampler setting."""

    sampler: str
    steps: int
    grid: str
    guidance: str


class StepsDocument(SettingDocument):
    """One quantity of a trajectory probe: a list entry for each interval, from noise to data."""

    probe: str
    quantity: str
    slice: str
    index: list[int]
    """-1: of the whole walk."""
    sigma: list[float | None]
    """Where each begins; null: pure noise, or the whole walk."""
    sigma_next: list[float | None]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]
    optimal: list[float | None]
    """Of an exact sampler, or of straight paths."""
    samples: list[int]


class FilmDocument(SettingDocument):
    """Samples whose pictures on the way were kept."""

    samples: list[int]
    index: list[int]
    """A list entry for each frame: the interval that it stands before."""
    sigma: list[float | None]
    """Null: pure noise."""


class SolverDocument(SettingDocument):
    """Is it the model or the sampler? How far each moves samples in all, in standard deviations of the data."""

    larger: Literal["the model", "the sampler", "both", "neither"]
    model: float
    """At least: what probes prove. The sampler's is `local_error` `size` of `steps`, added up."""
    sampler_steps: float
    low: float
    """Of the sampler's steps, like high."""
    high: float
    sigma: list[float]
    """Where the model's proven error is told, rising; then per e-fold of sigma."""
    size: list[float]
    because: list[str]
    """The probe and quantity that prove it; empty for none."""


class PathsDocument(SettingDocument):
    """How straight a model's paths are, and where they bend, interval by interval of t = sigma / (1 + sigma)."""

    kind: Literal["flow matching", "diffusion"]
    straightness: float | None
    low: float | None
    high: float | None
    chord_to_arc: float | None
    turning: float | None
    """Radians."""
    begin: list[float | None]
    end: list[float | None]
    density: list[float | None]
    """Of straightness, over t."""


class ModelSettingDocument(SettingDocument):
    """One model's sampler setting, and what it costs a sample."""

    model: str
    evaluations: int


class CheapestDocument(_Open):
    """The cheapest setting within 5% of the best by one metric, as `metrics` of the models have them."""

    metric: str
    of: str
    """The model whose settings they are; empty for all models'."""
    pick: ModelSettingDocument
    best: ModelSettingDocument
    sure: Literal["within", "may be", "unknown"]
    """Whether the pick is within 5%, for all that 95% intervals say."""
    not_ruled_out: list[ModelSettingDocument]
    """Cheaper settings that may be within 5% too."""


class ModelDocument(_Open):
    """What was measured of one model, by itself."""

    model: str
    run: str
    parameterization: str
    levels: list[ErrorDocument]
    metrics: list[ScoreDocument]
    curves: list[CurveDocument]
    steps: list[StepsDocument] = []
    film: list[FilmDocument] = []
    model_or_solver: list[SolverDocument] = []
    paths: PathsDocument | None = None
    """At the finest setting that the run's models share."""


class DiagnosisDocument(_Open):
    """What probes say is wrong with a model, and at which noise levels; the value is that of the worst."""

    model: str
    probe: str
    quantity: str
    slice: str
    sigma_low: float
    sigma_high: float
    sigma: float
    value: float
    low: float | None
    high: float | None
    size: float
    text: str


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
    rankings: list[RankingDocument] = []
    models: list[ModelDocument] = []
    diagnoses: list[DiagnosisDocument] = []
    cheapest: list[CheapestDocument] = []
