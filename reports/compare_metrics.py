"""What differs between two models' samples: every metric in every sampler setting, corrected for their number.

Table `metrics` -> compare_metrics -> Comparison.metrics -> findings.py (sentences), checks.py (gates), documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics.intervals import holm_shares
from ..metrics.quantiles import normal_quantile, normal_tail
from .tables import better

CELL = ["sampler", "steps", "grid", "guidance", "metric"]
CONFIDENCE = 0.95
"""Of the intervals that runs store."""
TWO_SIDED = normal_quantile((1 + CONFIDENCE) / 2)
"""Standard errors from an estimate to either end of one, as a normal's."""


def compare_metrics(metrics: pd.DataFrame, baseline: str, candidate: str) -> pd.DataFrame:
    """Candidate minus baseline for every (sampler, steps, grid, guidance, metric) either of them has.

    Columns: those, better, baseline, candidate, candidate_low, candidate_high, difference, low, high, ratio (of values
    above 0), samples (the candidate's), status, reason, change. status is one of:
    "unpaired": both have an interval. Stored tables hold no per-sample values, so the interval of the difference takes
    the two as independent (MOVER, Donner & Zou 2012), which is cautious for samples of the same seeds;
    "no interval": there is a difference, but nothing to tell how sure it is;
    "not scored": one of the two has no value, and there is no difference;
    "incomparable": their protocols differ, as `reason` says, and there is no difference.

    change is "worse" or "better" where the difference is told from none among all of these rows (Holm 1979), so that
    its own 95% interval leaves out 0 too; "same" where it isn't told; empty where nothing tells how sure it is.
    """
    if "guidance" not in metrics:
        metrics = metrics.assign(guidance="")
    ours, theirs = (_by_cell(metrics[metrics["model"] == model]) for model in (baseline, candidate))
    rows = [
        {**dict(zip(CELL, cell, strict=True)), **_difference(cell[-1], ours.get(cell, _NONE), theirs.get(cell, _NONE))}
        for cell in dict.fromkeys([*ours, *theirs])
    ]
    numbers = [
        "baseline",
        "candidate",
        "candidate_low",
        "candidate_high",
        "difference",
        "low",
        "high",
        "ratio",
        "samples",
    ]
    words = {name: [row.get(name, "") for row in rows] for name in (*CELL, "better", "status", "reason")}
    values = {name: np.array([row.get(name, math.nan) for row in rows], float) for name in numbers}
    table = pd.DataFrame({**words, **values})[[*CELL, "better", *numbers, "status", "reason"]]
    return table.assign(change=_changes(table))


def _changes(table: pd.DataFrame) -> NDArray[np.str_]:
    """Which differences are sure, all of them together held to 5%: from their intervals, on the side towards 0."""
    difference = table["difference"].to_numpy()
    towards = np.where(difference > 0, difference - table["low"], table["high"] - difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.abs(difference) / towards * TWO_SIDED
    known = ~np.isnan(score)
    sure = np.zeros(len(table), bool)
    p = 2 * normal_tail(score[known])
    sure[known] = p <= holm_shares(p, 1 - CONFIDENCE)
    loss = difference * table["better"].map({"lower": 1.0, "higher": -1.0}).to_numpy(float)
    told = np.where(known & ~np.isnan(loss), "same", "")
    return np.where(sure & (loss > 0), "worse", np.where(sure & (loss < 0), "better", told))


_NONE: dict[str, Any] = {"value": math.nan, "low": math.nan, "high": math.nan, "n": math.nan}


def _by_cell(metrics: pd.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    """A model's rows by what names them in CELL."""
    columns = [*CELL, "value", "low", "high", "n", "fingerprint", "protocol"]
    lists = {name: metrics[name].tolist() for name in columns}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*lists.values(), strict=True))
    return dict(zip(zip(*(lists[name] for name in CELL), strict=True), rows, strict=True))


def _difference(metric: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    b, b_low, b_high = ours["value"], ours["low"], ours["high"]
    c, c_low, c_high = theirs["value"], theirs["low"], theirs["high"]
    found = {
        "better": better(metric), "baseline": b, "candidate": c,
        "candidate_low": c_low, "candidate_high": c_high, "samples": theirs["n"], "reason": "",
    }  # fmt: skip
    if math.isnan(b) or math.isnan(c):
        return {**found, "status": "not scored"}
    if ours["fingerprint"] != theirs["fingerprint"]:
        return {**found, "status": "incomparable", "reason": _protocols(ours, theirs)}
    found = {**found, "difference": c - b, "ratio": c / b if b > 0 and c > 0 else math.nan}
    if any(map(math.isnan, (b_low, b_high, c_low, c_high))):
        return {**found, "status": "no interval"}
    low = c - b - math.hypot(c - c_low, b_high - b)
    high = c - b + math.hypot(c_high - c, b - b_low)
    return {**found, "low": low, "high": high, "status": "unpaired"}


def _protocols(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Both protocols, in words where words tell them apart, else by their fingerprints: weights or reference differ."""
    said = [str(one["protocol"]) for one in (ours, theirs)]
    if said[0] == said[1]:
        said = [f"{one['protocol']} [{one['fingerprint']}]" for one in (ours, theirs)]
    return f"{said[0]!r} against {said[1]!r}"
