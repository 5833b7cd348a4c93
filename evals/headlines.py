"""The few numbers by which runs are put in order: of each model its denoising error and its samples' metrics.

A run's tables -> headlines -> index.py, which keeps them for every run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import StoreError
from ..metrics.directions import better
from .run import Run

ALL_LEVELS = "denoising error, all levels"
"""Geometric mean over the levels. By it models at the same levels stand in the same ratio in every unit (x0, eps, v),
as a unit is one factor a level. Its interval is made of the geometric means of the levels' ends: as wide as if all
levels erred together, and so never too narrow. NaN where a level has none."""
WORST_LEVEL = "denoising error, worst level"
"""Largest ratio of a model's error to its baseline's at one level of the same run, without an interval."""

Score = dict[str, Any]
"""model, measure, better ("lower", "higher" or ""), value, low, high (NaN: no interval), where (levels or setting)."""


def headlines(run: Run) -> list[Score]:
    """Both measures of the denoising error and each metric at its best setting; nothing where tables can't be read."""
    try:
        return [*_denoising(run), *_samples(run)]
    except (StoreError, TypeError, ValueError, ArithmeticError):  # the folder may hold anything
        return []


def _denoising(run: Run) -> Iterator[Score]:
    levels: dict[str, dict[int, tuple[float, ...]]] = defaultdict(dict)
    for model, level, *numbers in _rows(run, "levels", "model", "level", "sigma", "error", "low", "high"):
        levels[model][level] = tuple(math.nan if one is None else one for one in numbers)
    base = levels.get(run.record.baseline, {})
    for model, rows in levels.items():
        value, low, high = (geometric_mean([row[place] for row in rows.values()]) for place in (1, 2, 3))
        yield _score(model, ALL_LEVELS, "lower", value, low, high, f"{len(rows)} levels")
        ratios = [(row[1] / base[level][1], row[0]) for level, row in rows.items() if level in base]
        if model != run.record.baseline and ratios:
            ratio, sigma = max(ratios)
            yield _score(model, WORST_LEVEL, "lower", ratio, math.nan, math.nan, f"sigma {sigma:.2g}")


def _samples(run: Run) -> Iterator[Score]:
    best: dict[tuple[str, str], tuple[Any, ...]] = {}
    for row in _rows(run, "metrics", "model", "metric", "value", "low", "high", "sampler", "steps"):
        (model, metric, value), known = row[:3], best.get(row[:2])
        if value is None or math.isnan(value):
            continue
        if known is None or (value > known[2] if better(metric) == "higher" else value < known[2]):
            best[model, metric] = row
    for (model, metric), (*_, value, low, high, sampler, steps) in best.items():
        low, high = (math.nan if one is None else one for one in (low, high))
        yield _score(model, metric, better(metric), value, low, high, f"{sampler}, {steps} steps")


def geometric_mean(values: Sequence[float]) -> float:
    """NaN where one of them is NaN or not positive."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(one > 0 for one in values) else math.nan


def _rows(run: Run, table: str, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows as tuples, straight from Arrow: thousands of small tables are read for an index."""
    for part in run.parts(table, columns):
        if set(columns) <= set(part.column_names):
            yield from zip(*(part[name].to_pylist() for name in columns), strict=True)


def _score(model: str, measure: str, direction: str, value: float, low: float, high: float, where: str) -> Score:
    return {
        "model": model, "measure": measure, "better": direction, "value": value, "low": low, "high": high,
        "where": where,
    }  # fmt: skip
