"""The answer first: which model is worse, where, how sure. A row per candidate, and what stands at the top of a page.

Report -> summary -> the table of the HTML report and of the dashboard's Compare page.
       -> standings -> the first lines of the dashboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from .compare import Comparison
from .findings import changed
from .numbers import number, percent, sigma_range
from .tables import sample_settings

if TYPE_CHECKING:
    from .report import Report


Word = Literal["worse", "mixed", "better", "same", "unclear", "not measured", "incomparable"]
"""Of the denoising error at all levels. "fail" and "pass" are a gate's words."""


@dataclass(frozen=True)
class Standing:
    """One model in one line: `word` and `text` on the denoising error, `note` on its worst level and on samples."""

    model: str
    word: Word
    text: str
    note: str = ""
    level: int | None = None
    """Where to look: its worst; None where no level was compared."""


def summary(report: Report) -> pd.DataFrame:
    """A row per candidate, worst first: levels that are worse, the worst band and its interval, metrics that differ."""
    rows = [
        {
            "model": one.candidate, "against": one.baseline, "verdict": level_word(one.levels),
            "worst band, sigma": sigma_range(band.sigma_low, band.sigma_high) if band else "",
            "mean there, 95%": changed(band.ratio, band.low, band.high) if band else "",
            "worst level": _worst_level(one.levels) if band else "",
            "levels worse": _count(one.levels, "worse"),
            "better": _count(one.levels, "better"),
            "unclear": int((one.levels["verdict"] == "inconclusive").sum()),
            "metrics worse": _count(one.metrics, "worse"), "metrics better": _count(one.metrics, "better"),
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


def level_word(levels: pd.DataFrame) -> Word:
    """Worse or better where some level surely is, mixed where both are; else same where all are shown to be no worse.

    What is better at some levels and not shown to be no worse at others is unclear.
    """
    if levels.empty:
        return "not measured"
    changes = set(levels["change"])
    if "worse" in changes:
        return "mixed" if "better" in changes else "worse"
    if set(levels["verdict"]) != {"pass"}:
        return "unclear"
    return "better" if "better" in changes else "same"


def standings(report: Report) -> list[Standing]:
    """Every candidate in a line, worst first; what could not be compared stands last."""
    refused = [Standing(one.candidate, "incomparable", f"not compared: {one.reason}") for one in report.refused]
    return [*map(_standing, worst_first(report)), *refused]


def _standing(comparison: Comparison) -> Standing:
    levels = comparison.levels
    note = [_of_samples(comparison.metrics)]
    if levels.empty:
        return Standing(comparison.candidate, "not measured", "no noise level in common", note[0])
    better = levels[levels["change"] == "better"]
    gain = f"better at {len(better)} of {len(levels)} levels (down to {percent(better['ratio'].min())})"
    band = next((one for one in comparison.bands if one.ratio > 1), None)
    if band is not None:
        mean = "on average " if band.sigma_low < band.sigma_high else ""
        where = f"{mean}at sigma {sigma_range(band.sigma_low, band.sigma_high)}"
        first = f"denoising error {changed(band.ratio, band.low, band.high)} {where}"
        note.insert(0, f"at the worst level {percent(levels['ratio'].max())}" if mean else "")
        several = sum(one.ratio > 1 for one in comparison.bands) > 1
        many = [f"worse at {_count(levels, 'worse')} of {len(levels)} levels"] if several else []
        said = [first, *many, gain if len(better) else "better nowhere"]
    else:
        margin = percent(1 + comparison.settings.margin, signed=False)
        unclear = int((levels["verdict"] != "pass").sum())
        doubt = f"at {unclear} of {len(levels)} levels {margin} more can't be ruled out: more images would settle it"
        same = f"denoising error no higher, within {margin}, at all {len(levels)} levels"
        rest = doubt if unclear else "worse nowhere" if len(better) else ""
        first = f"denoising error {gain}" if len(better) else "" if unclear else same
        said = [part for part in (first, rest) if part]
    at = _extreme(levels, highest=band is not None or better.empty)["level"]
    return Standing(comparison.candidate, level_word(levels), "; ".join(said), "; ".join(filter(None, note)), int(at))


def _extreme(levels: pd.DataFrame, highest: bool = True) -> pd.Series[Any]:
    """The level of the highest or lowest ratio, one without a ratio only where there is no other."""
    return levels.sort_values("ratio", ascending=highest, na_position="first").iloc[-1]


def _of_samples(metrics: pd.DataFrame) -> str:
    """What the metrics of samples say for sure, in any sampler setting."""
    worse, better = _count(metrics, "worse"), _count(metrics, "better")
    counts = [f"{count} {word}" for count, word in ((worse, "worse"), (better, "better")) if count]
    if not len(metrics):
        return ""
    return f"of {len(metrics)} sample scores {', '.join(counts) or 'none told apart'}"


def _worst_level(levels: pd.DataFrame) -> str:
    """ "+20% at 0.67"."""
    top = _extreme(levels)
    return f"{percent(top['ratio'])} at {number(top['sigma'], 2)}"


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


def _count(rows: pd.DataFrame, change: str) -> int:
    """Levels, or metrics in a sampler setting, that changed so."""
    return int((rows["change"] == change).sum())
