"""What was found, in plain words and worst first: the same sentences in terminal, report and dashboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from .compare import Band, Comparison, Incomparable
from .numbers import interval, number, percent, sigma_range, signed
from .tables import cell_title

if TYPE_CHECKING:
    from ..evals.store import Run

Kind = Literal["worse", "incomparable", "unclear", "same", "better"]


@dataclass(frozen=True)
class Finding:
    """One sentence. `kind` orders and colours it; `weight` orders within a kind."""

    kind: Kind
    text: str
    weight: float = 0.0


ORDER: tuple[Kind, ...] = ("worse", "incomparable", "unclear", "same", "better")


def findings(comparisons: Sequence[Comparison], refused: Sequence[Incomparable] = ()) -> list[Finding]:
    """Every band and metric that differs for sure, what was not compared, models of which nothing can be said."""
    found = [
        Finding("incomparable", f"{one.candidate} was not compared with {one.baseline}: {one.reason}")
        for one in refused
    ]
    for comparison in comparisons:
        found += [_band(comparison, band) for band in comparison.bands]
        found += _metrics(comparison)
        if len(comparison.levels) and not any(band.ratio > 1 for band in comparison.bands):
            found.append(_quiet(comparison))
    return in_order(found)


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """Worst first; of one weight as they came."""
    return sorted(found, key=lambda finding: (ORDER.index(finding.kind), -finding.weight))


def conditions(runs: Sequence[Run]) -> list[str]:
    """What a reader must know first: runs that are partial or failed, and the cells that did."""
    said = []
    for run in runs:
        record = run.record
        if record.status != "complete":
            said.append(f"Run {run.id} is {record.status}: what is missing here was not measured.")
        said += [
            f"Run {run.id}: {cell.title} ({cell.model}) failed: {cell.error}" for cell in record.cells if cell.error
        ]
    return said


def _band(comparison: Comparison, band: Band) -> Finding:
    return Finding("worse" if band.ratio > 1 else "better", band_sentence(comparison, band), abs(math.log(band.ratio)))


def band_sentence(comparison: Comparison, band: Band) -> str:
    """ "digits-b: denoising error 34% [30, 38] higher than digits-a at sigma 0.30–1.1"."""
    change = _change(band.ratio, band.low, band.high, comparison.baseline)
    return f"{comparison.candidate}: denoising error {change} at sigma {sigma_range(band.sigma_low, band.sigma_high)}"


def _change(ratio: float, low: float, high: float, baseline: str) -> str:
    """ "34% [30, 38] higher than BASELINE"; from a tripling upwards "3.2 [2.9, 3.6] times that of BASELINE"."""
    if ratio >= 3:
        return f"{number(ratio, 2)} {_bounds(ratio, low, high)} times that of {baseline}"
    than = f"{'higher' if ratio > 1 else 'lower'} than {baseline}"
    return f"{percent(ratio, signed=False)} {_bounds(ratio, low, high)} {than}"


def changed(ratio: float, low: float, high: float) -> str:
    """A change and its interval: "+34% [30, 38]", "×3.2 [2.9, 3.6]"."""
    return f"{percent(ratio)} {_bounds(ratio, low, high)}"


def _bounds(ratio: float, low: float, high: float) -> str:
    """The interval beside a ratio, the end that is nearer to no change first; signs only where they differ."""
    if ratio >= 3:
        return f"[{number(low, 2 if low >= 1.05 else 4)}, {number(high, 2)}]"
    near, far = (low, high) if ratio > 1 else (high, low)
    bounds = ", ".join(percent(bound, signed=(bound - 1) * (ratio - 1) < 0).removesuffix("%") for bound in (near, far))
    if bounds.startswith("0.0,"):  # beyond no change, and it must read so
        bounds = bounds.replace("0.0", number(100 * abs(near - 1), 1), 1)
    return f"[{bounds}]"


def _quiet(comparison: Comparison) -> Finding:
    """For a candidate that is worse nowhere for sure: is it shown to be as good, or is that not known?"""
    verdicts = comparison.levels["verdict"]
    margin = percent(1 + comparison.settings.margin, signed=False)
    unclear = int((verdicts != "pass").sum())
    if unclear == 0:
        within = f"within {margin} at all {len(verdicts)} noise levels"
        text = f"{comparison.candidate}: denoising error no higher than that of {comparison.baseline}, {within}"
        return Finding("same", text)
    text = (
        f"{comparison.candidate}: not shown to be worse than {comparison.baseline} at any noise level, but at "
        f"{unclear} of {len(verdicts)} a change of {margin} can't be ruled out; more images would settle it"
    )
    return Finding("unclear", text)


def _metrics(comparison: Comparison) -> list[Finding]:
    """One sentence for each metric and direction in which some sampler cells differ for sure, naming the largest; and
    for each metric whose protocols differ, which is not compared."""
    found = []
    for metric, cells in comparison.metrics.groupby("metric", sort=False):
        apart = cells[cells["status"] == "incomparable"]
        if len(apart):
            text = (
                f"{comparison.candidate}: {metric} is not compared with {comparison.baseline}'s in {len(apart)} of "
                f"{len(cells)} sampler settings, for their protocols differ: {apart.iloc[0]['reason']}"
            )
            found.append(Finding("incomparable", text))
        split: tuple[tuple[Kind, pd.DataFrame], ...] = (
            ("worse", cells[cells["change"] == "worse"]),
            ("better", cells[cells["change"] == "better"]),
        )
        for kind, chosen in split:
            if len(chosen):
                found.append(_metric(comparison, str(metric), kind, chosen, len(cells)))
    return found


def _metric(comparison: Comparison, metric: str, kind: Kind, chosen: pd.DataFrame, of: int) -> Finding:
    top = chosen.sort_values("difference", key=lambda column: column.abs()).iloc[-1]
    text = (
        f"{comparison.candidate}: {metric} {kind} than {comparison.baseline} in {len(chosen)} of {of} sampler "
        f"settings, most with {cell_title(top)}: {number(top['candidate'])} against {number(top['baseline'])} "
        f"(difference {signed(top['difference'])} {interval(top['low'], top['high'])})"
    )
    return Finding(kind, text)
