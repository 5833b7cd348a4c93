"""The report for machines: JSON with the same numbers as the page and the comment. Missing is null."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from .document import ReportDocument
from .report import Report
from .verdicts import Verdict


def as_json(report: Report, verdict: Verdict | None = None, command: str = "") -> str:
    """Findings, every comparison's levels, bands and metrics, and the verdict where there is one: `ReportDocument`."""
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
    }
    written = finite(content)
    ReportDocument.model_validate(written)
    return json.dumps(written, indent=1, allow_nan=False)


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
