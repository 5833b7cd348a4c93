"""The report for machines: JSON with the same numbers as the page and the comment. Missing is null."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from .gate import Verdict
from .report import Report


def as_json(report: Report, verdict: Verdict | None = None) -> str:
    """Findings, every comparison's levels, bands and metrics, and the verdict where there is one."""
    content = {
        "schema_version": 1,
        "baseline": report.tables.baseline,
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
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _finite(value: Any) -> Any:
    """NaN and infinity, which JSON has no word for, become null."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
