"""The answer first: which model is worse, where, how sure. A row per candidate, and what stands at the top of a page.

Report -> summary -> the table of the HTML report and of the dashboard's Compare page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from .compare import Comparison
from .numbers import percent, sigma_range
from .tables import sample_settings

if TYPE_CHECKING:
    from .report import Report


def summary(report: Report) -> pd.DataFrame:
    """A row per candidate, worst first: levels that are worse, the worst band and its interval, metrics that differ."""
    rows = [
        {
            "model": one.candidate, "against": one.baseline, "verdict": level_verdict(one.levels),
            "levels worse": int((one.levels["change"] == "worse").sum()),
            "better": int((one.levels["change"] == "better").sum()),
            "unclear": int((one.levels["verdict"] == "inconclusive").sum()),
            "worst band, sigma": sigma_range(band.sigma_low, band.sigma_high) if band else "",
            "change": percent(band.ratio) if band else "",
            "95% interval": f"{percent(band.low)} to {percent(band.high)}" if band else "",
            "metrics worse": _surely(one.metrics, 1.0), "metrics better": _surely(one.metrics, -1.0),
        }
        for one in worst_first(report)
        for band in [next((band for band in one.bands if band.ratio > 1), None)]
    ]  # fmt: skip
    rows += [
        {"model": one.candidate, "against": one.baseline, "verdict": f"incomparable: {one.reason}"}
        for one in report.refused
    ]
    return pd.DataFrame(rows)


def worst_first(report: Report) -> list[Comparison]:
    """Comparisons by their worst band."""
    return sorted(report.comparisons, key=lambda one: -max((band.ratio for band in one.bands), default=1.0))


def level_verdict(levels: pd.DataFrame) -> str:
    """Of the denoising error at all levels: fail where one is surely worse, pass where all are shown not to be."""
    if levels.empty:
        return "not measured"
    kinds = set(levels["verdict"])
    return "fail" if "fail" in kinds else "pass" if kinds == {"pass"} else "inconclusive"


def worst_level(report: Report) -> tuple[str, int] | None:
    """The model and level of the largest ratio to the baseline; None where nothing was compared."""
    tops = []
    for comparison in report.comparisons:
        top = comparison.levels.sort_values("ratio", ascending=False).head(1)
        tops += [
            (ratio, comparison.candidate, int(level)) for ratio, level in zip(top["ratio"], top["level"], strict=True)
        ]
    return max(tops)[1:] if tops else None


def worst_pair(report: Report) -> Comparison | None:
    """The comparison of the worst band, if any."""
    return next(iter(worst_first(report)), None)


def dearest_setting(report: Report) -> dict[str, Any] | None:
    """Of the sampler settings that kept images, the last by name and cost; None where none did."""
    settings = sample_settings(report.tables, every=True)
    return None if settings.empty else setting(settings.iloc[-1])


def setting(row: pd.Series[Any]) -> dict[str, Any]:
    """The arguments that name a sampler setting, from a row of `sample_settings`."""
    return {"steps": int(row["steps"]), **{name: str(row[name]) for name in ("sampler", "grid", "guidance")}}


def _surely(metrics: pd.DataFrame, sign: float) -> int:
    """Sampler settings x metrics whose difference is surely a loss (sign 1) or a gain (-1)."""
    loss = sign * metrics["difference"] * metrics["better"].map({"lower": 1.0, "higher": -1.0})
    return int((((metrics["low"] > 0) | (metrics["high"] < 0)) & (loss > 0)).sum())
