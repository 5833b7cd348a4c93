"""The report for machines: JSON with the same numbers as the page and the comment. Missing is null."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from .diagnosis import Diagnosis
from .document import CurveDocument, DiagnosisDocument, ErrorDocument, ReportDocument, ScoreDocument
from .machine_samplers import cheapest_settings, of_model
from .report import Report
from .tables import each, floor
from .verdicts import Verdict

CURVE = ["probe", "quantity", "slice"]
DRAWN = [name for name in CurveDocument.model_fields if name not in CURVE]


def as_json(report: Report, verdict: Verdict | None = None, command: str = "") -> str:
    """Findings, comparisons, rankings, all that was measured, and the verdict where there is one: `ReportDocument`."""
    content = {
        "schema_version": 1,
        "baseline": report.tables.baseline,
        "command": command,
        "conditions": report.conditions,
        "environment_differences": report.environment_differences,
        "verdict": None if verdict is None else {**asdict(verdict), "exit_code": verdict.exit_code},
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in report.findings],
        "refused": [asdict(one) for one in report.refused],
        "comparisons": [
            {
                "baseline": comparison.baseline,
                "candidate": comparison.candidate,
                "bands": [asdict(band) for band in comparison.bands],
                "levels": _rows(comparison.levels),
                "metrics": _rows(comparison.metrics),
            }
            for comparison in report.comparisons
        ],
        "rankings": [{"by": title, "ranks": _rows(ranking)} for title, ranking in report.rankings.items()],
        "models": [_model(report, row) for row in each(report.tables.models)],
        "diagnoses": [_diagnosis(one) for one in report.diagnoses],
        "cheapest": cheapest_settings(report),
    }
    written = finite(content)
    ReportDocument.model_validate(written)
    return json.dumps(written, indent=1, allow_nan=False)


def _model(report: Report, row: Any) -> dict[str, Any]:
    """All that figures draw of one model, before it is compared."""
    tables = report.tables
    levels = _of(tables.levels, row.label).merge(floor(tables), on=["model", "level"], how="left")
    curves = _of(tables.curves, row.label).sort_values("sigma", kind="stable")
    return {
        "model": row.label,
        "run": row.run,
        "parameterization": row.parameterization,
        "levels": _rows(levels.sort_values("sigma")[list(ErrorDocument.model_fields)]),
        "metrics": _rows(_of(tables.metrics, row.label)[list(ScoreDocument.model_fields)]),
        "curves": [
            {**dict(zip(CURVE, key, strict=True)), **{name: rows[name].tolist() for name in DRAWN}}
            for key, rows in curves.groupby(CURVE, sort=False)
        ],
        **of_model(report, row),
    }


def _diagnosis(one: Diagnosis) -> dict[str, Any]:
    own = {name: getattr(one, name) for name in DiagnosisDocument.model_fields if name not in ("probe", "quantity")}
    return {**own, "probe": one.rule.probe, "quantity": one.rule.quantity}


def _of(table: pd.DataFrame, model: str) -> pd.DataFrame:
    return table[table["model"] == model]


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def finite(value: Any) -> Any:
    """NaN and infinity, which JSON has no word for, become null."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
