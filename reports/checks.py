"""One rule of a policy applied to one comparison: bounds against a margin, and what speaks for the outcome.

gate.py collects these into a verdict. Whatever a rule is about, it comes down to `Bounds`: estimates of a difference
(worse is positive), one-sided bounds of it, and how many samples they stand on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..metrics.intervals import Floats, verdict
from ..metrics.power import settling
from ..metrics.quantiles import normal_quantile
from ..metrics.tails import above, below
from .compare import Comparison, Settings, find_bands
from .compare_metrics import TWO_SIDED
from .findings import band_sentence
from .numbers import interval, number, percent, sigma_range, signed
from .policy import DENOISING_ERROR, Rule
from .tables import cell_title
from .verdicts import Check, Outcome, worst


@dataclass(frozen=True, eq=False)
class Bounds:
    """Arrays of one length. lower: over all tests together; upper: of each alone."""

    estimate: Floats
    error: Floats
    lower: Floats
    upper: Floats
    margin: float
    count: Floats

    @property
    def outcomes(self) -> list[Outcome]:
        pairs = zip(self.lower, self.upper, strict=True)
        return [Outcome(verdict(low, high, self.margin)) for low, high in pairs]

    def more(self, unclear: np.ndarray) -> float:
        """How many samples more would settle the tests at these places, if differences are what they seem."""
        columns = (self.estimate, self.error, self.lower, self.upper, self.count)
        rows = zip(*(column[unclear] for column in columns), strict=True)
        return max(settling(e, error, low, high, self.margin, int(n)) - float(n) for e, error, low, high, n in rows)


def _share(settings: Settings, tests: int) -> float:
    """The FAIL side's alpha of one of so many tests that share it with the policy's other tables: half of alpha at
    most, as an interval's end has, so that what fails is outside the interval that is shown.
    """
    return (1 - settings.confidence) / max(2.0, settings.families * tests)


def check(rule: Rule, comparison: Comparison) -> Iterator[Check]:
    """A check for the rule, or one for each of its bands."""
    if rule.metric != DENOISING_ERROR:
        yield _metric(rule, comparison)
    elif comparison.levels.empty:
        said = "not measured: neither model was asked at any noise level"
        yield _made(rule, comparison, Outcome.INCOMPARABLE, said)
    else:
        for band in rule.bands or (None,):
            yield _classes(rule, comparison, band) if rule.slices else _levels(rule, comparison, band)


def _made(rule: Rule, comparison: Comparison, outcome: Outcome, said: str, where: str = "") -> Check:
    return Check(comparison.candidate, rule.metric, rule.rule, outcome, said, where)


def _within(levels: pd.DataFrame, band: tuple[float, float] | None) -> pd.DataFrame:
    return levels if band is None else levels[levels["sigma"].between(*band)]


def _title(band: tuple[float, float] | None) -> str:
    return "" if band is None else f"sigma {sigma_range(*band)}"


def _bounds(rule: Rule, levels: pd.DataFrame, tests: int, comparison: Comparison) -> Bounds:
    """Of the rule's difference at every level: log ratios and their margin, or errors and theirs."""
    column = {name: values.to_numpy(float) for name, values in levels.select_dtypes("number").items()}
    if rule.margin is not None and rule.margin.rel is not None:
        margin, estimate = math.log1p(rule.margin.rel), np.log(column["ratio"])
        return Bounds(estimate, column["error"], column["lower"], column["upper"], margin, column["images"])
    settings = comparison.settings
    alpha, of = 1 - settings.confidence, "candidate" if rule.max is not None else "difference"
    error, of_what = column[f"{of}_error"], (column["images"], column[f"{of}_skewness"])
    one, all_ = above(alpha, *of_what), below(_share(settings, tests), *of_what)
    if rule.max is not None:
        estimate, margin = column["candidate"] - rule.max, 0.0
    else:
        assert rule.margin is not None
        estimate, margin = column["candidate"] - column["baseline"], rule.margin.abs or 0.0
    return Bounds(estimate, error, estimate - all_ * error, estimate + one * error, margin, column["images"])


def _levels(rule: Rule, comparison: Comparison, band: tuple[float, float] | None) -> Check:
    levels = _within(comparison.levels, band)
    if levels.empty:
        reach = sigma_range(comparison.levels["sigma"].min(), comparison.levels["sigma"].max())
        return _made(rule, comparison, Outcome.INCOMPARABLE, f"no level; those measured are {reach}", _title(band))
    bounds = _bounds(rule, levels, len(comparison.levels), comparison)
    outcomes = np.array(bounds.outcomes, object)
    outcome = worst(list(outcomes))
    unclear = np.array([one is not Outcome.PASS for one in outcomes])
    if rule.margin is None or rule.margin.rel is None:
        said = _absolute(rule, levels, bounds, outcome, outcomes == outcome, comparison.settings.confidence)
    elif outcome is Outcome.FAIL:
        change = np.where(outcomes == Outcome.FAIL, "worse", "same")
        said = band_sentence(comparison, find_bands(levels.assign(change=change), comparison.candidate)[0])
    elif outcome is Outcome.PASS:
        margin = percent(1 + rule.margin.rel, signed=False)
        said = f"within {margin} of {comparison.baseline} at all {len(levels)} noise levels"
    else:
        margin = percent(1 + rule.margin.rel, signed=False)
        widest = levels[unclear].nlargest(1, "high").iloc[0] if levels["high"][unclear].notna().any() else None
        said = f"{margin} can't be ruled out at {int(unclear.sum())} of {len(levels)} noise levels"
        if widest is not None:
            said += (
                f", the widest at sigma {number(widest['sigma'], 2)}: {percent(widest['ratio'])} "
                f"[{percent(widest['low'])}, {percent(widest['high'])}]"
            )
    if outcome is Outcome.INCONCLUSIVE:
        said += _settled(bounds.more(unclear), "images")
    return _made(rule, comparison, outcome, said, _title(band))


def _absolute(
    rule: Rule, levels: pd.DataFrame, bounds: Bounds, outcome: Outcome, these: np.ndarray, confidence: float
) -> str:
    """A ceiling or an absolute margin: the level that decides."""
    place = np.flatnonzero(these)[np.argmax(bounds.estimate[these])]
    row = levels.iloc[int(place)]
    shift = row["candidate"] if rule.max is not None else row["candidate"] - row["baseline"]
    of = "candidate" if rule.max is not None else "difference"
    of_what = (1 - confidence) / 2, row["images"], row[f"{of}_skewness"]
    low, high = (row[f"{of}_error"] * float(side(*of_what)) for side in (below, above))
    number_ = number(row["candidate"]) if rule.max is not None else signed(shift)
    limit = f"a ceiling of {number(rule.max)}" if rule.max is not None else f"a margin of {number(bounds.margin)}"
    many = "all" if outcome is Outcome.PASS else str(int(these.sum()))
    return (
        f"{limit}: {outcome.value} at {many} of {len(levels)} noise levels, the highest at sigma "
        f"{number(row['sigma'], 2)}: {number_} {interval(shift - low, shift + high)}"
    )


def _classes(rule: Rule, comparison: Comparison, band: tuple[float, float] | None) -> Check:
    rows = _within(comparison.slices, band) if len(comparison.slices) else comparison.slices
    title = ", ".join(part for part in ("each class", _title(band)) if part)
    if rows.empty:
        return _made(rule, comparison, Outcome.INCOMPARABLE, "no class with 2 images at every noise level", title)
    assert rule.margin is not None
    assert rule.margin.rel is not None
    bounds = _bounds(rule, rows, len(rows), comparison)
    outcomes = np.array(bounds.outcomes, object)
    outcome = worst(list(outcomes))
    margin = percent(1 + rule.margin.rel, signed=False)
    count = rows["slice"].nunique()
    if outcome is Outcome.PASS:
        said = f"within {margin} of {comparison.baseline} at all noise levels of {count} classes"
        return _made(rule, comparison, outcome, said, title)
    these = rows[[one is outcome for one in outcomes]]
    ordered = these.sort_values("lower" if outcome is Outcome.FAIL else "high", ascending=False, kind="stable")
    named = ", ".join(str(int(one)) for one in ordered["slice"].unique()[:5])
    top = ordered.iloc[0]
    said = (
        f"{'worse' if outcome is Outcome.FAIL else f'{margin} can not be ruled out'} in {these['slice'].nunique()} of "
        f"{count} classes ({named}), most in class {int(top['slice'])} at sigma {number(top['sigma'], 2)}: "
        f"{percent(top['ratio'])} [{percent(top['band_low'])}, {percent(top['band_high'])}]"
    )
    if outcome is Outcome.INCONCLUSIVE:
        said += _settled(bounds.more(outcomes != Outcome.PASS), "images of a class")
    return _made(rule, comparison, outcome, said, title)


def _settled(more: float, unit: str) -> str:
    """The end of a sentence: how many more would settle it."""
    if not math.isfinite(more) or more > 1e7:
        return "; no number of " + unit + " in reach settles it, for it lies at the margin"
    digits = max(0, len(str(math.ceil(more))) - 2)
    rounded = math.ceil(more / 10**digits) * 10**digits
    return f"; about {rounded:,} more {unit} would settle it, if the difference is what it seems"


def _metric(rule: Rule, comparison: Comparison) -> Check:
    cells = comparison.metrics[comparison.metrics["metric"] == rule.metric]
    judged = [(cell_title(row), *_cell(rule, row, len(cells), comparison)) for _, row in cells.iterrows()]
    if not judged:
        judged = [("no sampler", Outcome.INCOMPARABLE, "not scored", 0.0)]
    found = worst([outcome for _, outcome, _, _ in judged])
    decisive = [(weight, f"{title}: {evidence}") for title, outcome, evidence, weight in judged if outcome is found]
    more = f" (and {len(decisive) - 1} more like it)" if len(decisive) > 1 else ""
    return _made(rule, comparison, found, max(decisive, key=lambda one: one[0])[1] + more)


def _cell(rule: Rule, row: pd.Series[Any], tests: int, comparison: Comparison) -> tuple[Outcome, str, float]:
    """One sampler setting under a ceiling or a non-inferiority rule, and its weight: of the settings with the same
    outcome the one with the largest is named. It is the surest to fail, takes the most samples or passes by the least.
    """
    if row["status"] == "incomparable" or (row["status"] == "not scored" and rule.max is None):
        return Outcome.INCOMPARABLE, f"their protocols differ: {row['reason']}" if row["reason"] else row["status"], 0.0
    value = row["candidate"]
    if rule.max is not None:
        if math.isnan(value):
            return Outcome.INCOMPARABLE, "not scored", 0.0
        low, high = row["candidate_low"], row["candidate_high"]
        low, high = (value, value) if math.isnan(low) or math.isnan(high) else (low, high)
        margin = 0.0
        bounds = _normal(value - rule.max, low - rule.max, high - rule.max, margin, row, tests, comparison)
        shown = interval(*_at(comparison.settings.confidence, value, low, high))
        said = f"{number(value)} {shown} at a ceiling of {number(rule.max)}"
    else:
        assert rule.margin is not None
        if not row["better"]:
            return Outcome.INCOMPARABLE, f"it is not known whether higher or lower {row['metric']} is better", 0.0
        margin = rule.margin.abs if rule.margin.abs is not None else (rule.margin.rel or 0.0) * abs(row["baseline"])
        sign = 1.0 if row["better"] == "lower" else -1.0
        low, high = sorted((sign * row["low"], sign * row["high"]))
        bounds = _normal(sign * row["difference"], low, high, margin, row, tests, comparison)
        shown = interval(*_at(comparison.settings.confidence, row["difference"], row["low"], row["high"]))
        said = (
            f"{number(value)} against {number(row['baseline'])}, difference {signed(row['difference'])} "
            f"{shown or 'with no interval'} at a margin of {number(margin)} "
            f"({row['status']})"
        )
    outcome = bounds.outcomes[0]
    if rule.max is not None and bounds.upper[0] == 0.0:
        outcome = Outcome.PASS  # "no higher than"
    if outcome is not Outcome.INCONCLUSIVE:
        return outcome, said, float(bounds.lower[0] if outcome is Outcome.FAIL else bounds.upper[0] - margin)
    if not math.isfinite(bounds.upper[0]) or not row["samples"] >= 2:
        return outcome, said, math.inf
    more = bounds.more(np.array([True]))
    return outcome, said + _settled(more, "samples"), more


def _at(confidence: float, value: float, low: float, high: float) -> tuple[float, float]:
    """A stored 95% interval at the policy's confidence, its halves scaled as a normal's."""
    by = -normal_quantile((1 - confidence) / 2) / TWO_SIDED
    return value - by * (value - low), value + by * (high - value)


def _normal(
    estimate: float, low: float, high: float, margin: float, row: pd.Series[Any], tests: int, comparison: Comparison
) -> Bounds:
    """One-sided bounds from a stored two-sided 95% interval, whose halves scale as a normal's do; `tests` share alpha
    with the policy's other rules on the FAIL side.
    """
    settings = comparison.settings
    alpha = 1 - settings.confidence
    one = normal_quantile(1 - alpha) / TWO_SIDED
    all_ = -normal_quantile(_share(settings, tests)) / TWO_SIDED
    return Bounds(
        np.array([estimate]),
        np.array([(high - low) / 2 / TWO_SIDED]),
        np.array([estimate - all_ * (estimate - low)]),
        np.array([estimate + one * (high - estimate)]),
        margin,
        np.array([row["samples"]]),
    )
