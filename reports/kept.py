"""What a kept decision holds: a gate's report and an attribution, with who was compared, when and by what.

`sigmascope gate`, `attribute` -> keep_gate, keep_attribution -> evals/kept.py files them -> read_gate,
attribution_of -> dashboards/gates.py, dashboards/compare.py.

Version 1. Fields are only ever added; readers pass over those they do not know and refuse a newer version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ..errors import StoreError
from ..evals.kept import ATTRIBUTIONS, GATES, Entry, entries, hashed, keep, read
from .attribution import as_json as attribution_json
from .attribution_document import AttributionDocument, Subject
from .document import ReportDocument, VerdictDocument
from .machine import as_json, finite
from .markdown import headline

if TYPE_CHECKING:
    from ..evals.attribution import Attribution
    from ..evals.records import ModelRecord, RunRecord
    from ..evals.store import Run
    from .decide import Decision
    from .policy import Policy


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = 1
    when: str
    """ISO 8601, UTC."""


class Side(BaseModel):
    """One side of a gate."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    reference: str
    """As it was named: RUN:MODEL, a baseline file."""
    run: str
    """Id of its run; empty where none was kept, as by a sequential gate."""
    models: tuple[str, ...]


class KeptGate(_Kept):
    """One gate: the document that `gate -o NAME.json` writes, and what was judged by what."""

    kind: Literal["sigmascope gate"] = "sigmascope gate"
    candidate: Side
    baseline: Side
    policy: str
    """The policy's file."""
    rules: dict[str, Any]
    """What stood in it."""
    headline: str
    report: ReportDocument

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.report.verdict is None:
            raise ValueError("expected a report with a verdict")
        return self

    @property
    def verdict(self) -> VerdictDocument:
        assert self.report.verdict is not None
        return self.report.verdict


class Contender(BaseModel):
    """One side of an attribution: enough to tell whether a run's model is the same one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    spec: str
    fingerprint: str
    """sha256 of the weights; empty where unknown."""
    parameterization: str
    schedule: str
    declared: dict[str, Any]
    """What its suite or the command line says of it beside name and spec."""
    sampler: str
    run: str = ""
    """Id of the run it was named by, where it was."""

    @property
    def key(self) -> str:
        """What a file's name is made of: the weights, or else the run and the name."""
        return self.fingerprint or f"{self.run}:{self.name}"


class KeptAttribution(_Kept):
    """One attribution: the document that `attribute -o NAME.json` writes, and who was compared."""

    kind: Literal["sigmascope attribution"] = "sigmascope attribution"
    base: Contender
    candidate: Contender
    attribution: AttributionDocument


_K = TypeVar("_K", bound=_Kept)


@dataclass(frozen=True)
class Question:
    """A gate as it was asked for: baseline and candidate as they were named, the policy's file and content."""

    baseline: str
    candidate: str
    file: str
    policy: Policy


def keep_gate(root: Path, decision: Decision, asked: Question, command: str) -> Path | None:
    """File a decision beside the runs; None where there is no such folder. Raises StoreError where it can't be written.

    command: what reproduces it.
    """
    if not root.is_dir():
        return None
    baseline, candidate = _sides(decision, asked)
    now = datetime.now(UTC)
    kept = KeptGate(
        when=_written(now),
        candidate=candidate,
        baseline=baseline,
        policy=asked.file,
        rules=asked.policy.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        headline=headline(decision.verdict),
        report=ReportDocument.model_validate_json(as_json(decision.report, decision.verdict, command)),
    )
    against = baseline.reference if baseline.reference.endswith(".json") else baseline.run or baseline.reference
    about = hashed(*candidate.models, "against", against, *baseline.models)
    return keep(root, GATES, kept.verdict.outcome.value, about, candidate.run, kept.model_dump_json(indent=1), now)


def read_gate(entry: Entry) -> KeptGate:
    """Raises StoreError that says what is wrong with the file."""
    return _read(entry, KeptGate)


def keep_attribution(
    root: Path, base: Contender, candidate: Contender, found: Attribution, subject: Subject
) -> Path | None:
    """File an attribution beside the runs; None where there is no such folder. Raises StoreError."""
    if not root.is_dir():
        return None
    document = AttributionDocument.model_validate_json(attribution_json(found, subject))
    now = datetime.now(UTC)
    kept = KeptAttribution(when=_written(now), base=base, candidate=candidate, attribution=document)
    about = hashed(base.key, candidate.key)
    return keep(root, ATTRIBUTIONS, document.findings[0].kind, about, "", kept.model_dump_json(indent=1), now)


def attribution_of(root: Path, base: tuple[Run, str], candidate: tuple[Run, str]) -> KeptAttribution | None:
    """The newest kept attribution of the change from one run's model to another's, by one sampler; None without one.

    base, candidate: a run and the name of its model. A model is the same where its weights have the same hash and its
    declaration, schedule and parameterization are the same; where weights have no hash, only in the run that the
    attribution named. Raises StoreError for a folder that can't be listed; files that are no attributions are passed
    over.
    """
    models = [_model(run.record, name) for run, name in (base, candidate)]
    keys = [
        model.fingerprint or f"{run.id}:{name}" for model, (run, name) in zip(models, (base, candidate), strict=True)
    ]
    about = hashed(*keys)
    for entry in entries(root, ATTRIBUTIONS):
        if entry.about != about:
            continue
        try:
            kept = _read(entry, KeptAttribution)
        except StoreError:
            continue
        if kept.base.sampler == kept.candidate.sampler and _is(kept.base, *base) and _is(kept.candidate, *candidate):
            return kept
    return None


def declared(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a suite's model says beside its name and spec, as JSON has it."""
    said = finite(dict(values))
    return {name: value for name, value in said.items() if name not in ("name", "spec") and value not in (None, "")}


def _is(side: Contender, run: Run, name: str) -> bool:
    """Whether one side of an attribution is this model of this run."""
    model = _model(run.record, name)
    named = run.record.suite.get("models")
    listed = [one for one in named if isinstance(one, Mapping)] if isinstance(named, list) else []
    said: Mapping[str, Any] = next((one for one in listed if one.get("name") == name), {})
    alike = (side.parameterization, side.schedule, side.declared) == (
        model.parameterization, model.schedule, declared(said)
    )  # fmt: skip
    weights = bool(side.fingerprint) and side.fingerprint == model.fingerprint
    return alike and (weights or (side.run, side.name) == (run.id, name))


def _model(record: RunRecord, name: str) -> ModelRecord:
    return next(model for model in record.models if model.name == name)


def _sides(decision: Decision, asked: Question) -> tuple[Side, Side]:
    """Baseline and candidate: models of one run, of two, or of none that was kept."""
    runs = decision.report.runs
    if not runs:
        first, *others = decision.report.tables.labels
        return Side(reference=asked.baseline, run="", models=(first,)), Side(
            reference=asked.candidate, run="", models=tuple(others)
        )
    names = [tuple(model.name for model in run.record.models) for run in (runs[0], runs[-1])]
    if len(runs) == 1:
        base = runs[0].record.baseline
        names = [(base,), tuple(name for name in names[1] if name != base)]
    return (
        Side(reference=asked.baseline, run=runs[0].id, models=names[0]),
        Side(reference=asked.candidate, run=runs[-1].id, models=names[1]),
    )


def _read(entry: Entry, kind: type[_K]) -> _K:
    try:
        return kind.model_validate_json(read(entry))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()[:3])
        raise StoreError(f"{entry.path}: expected what `sigmascope` kept, got: {problems}") from error


def _written(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
