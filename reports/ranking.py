"""More than two models: which are surely better than which, and who is tied.

Tables -> rank_levels, rank_metric -> a row per model, best first, with its possible places and its tie groups: models
that share a letter are not told apart (compact letter display, Piepho 2004). All pairs are tested at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from ..errors import IncomparableError
from ..metrics.intervals import holm_shares, simultaneous
from ..metrics.quantiles import normal_tail
from .compare import DEFAULT, Comparison, Settings
from .compare_metrics import TWO_SIDED
from .tables import Tables, better, cell_title, each

Sure = np.ndarray
"""(m, m) bool: row's model is surely better than column's."""


def rank_levels(evaluations: pd.DataFrame, models: Sequence[str], settings: Settings = DEFAULT) -> pd.DataFrame:
    """Models by the geometric mean of their denoising errors over noise levels, each level weighing the same.

    Paired by image; all pairs at once by max-T. Columns: model, value (ratio to the best model's mean), best and worst
    (the places that can't be ruled out, 1 the first), group. Raises IncomparableError where fewer than 2 images were
    asked of all models at all levels.
    """
    asked = evaluations[evaluations["model"].isin(models)]
    table = asked.pivot_table(index="image", columns=["model", "level"], values="error", aggfunc="mean")
    wanted = pd.MultiIndex.from_product([list(models), sorted(asked["level"].unique())], names=["model", "level"])
    errors = table.reindex(columns=wanted).dropna().to_numpy(float).reshape(-1, len(models), len(wanted) // len(models))
    if len(errors) < 2:
        raise IncomparableError(f"ranking: expected 2 images that all models saw at all levels, got {len(errors)}")
    mean = errors.mean(axis=0)
    value, psi = np.log(mean).mean(axis=1), (errors / mean).mean(axis=2) - 1.0
    pairs = list(combinations(range(len(models)), 2))
    difference = np.array([value[a] - value[b] for a, b in pairs])
    parts = np.stack([psi[:, a] - psi[:, b] for a, b in pairs], axis=1)
    error = parts.std(axis=0, ddof=1) / math.sqrt(len(parts))
    critical = simultaneous(parts, settings.confidence, settings.resamples, settings.seed)
    sure = _sure(len(models), pairs, difference, np.abs(difference) > critical * error)
    return _ranked(models, np.exp(value - value.min()), value, sure)


def rank_metric(metrics: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Models by one metric in one sampler setting: rows of `metrics`, one a model, of one protocol.

    Unpaired, from the intervals that runs store; all pairs by Holm. A model without an interval is told from none.
    Columns as `rank_levels`, value being the metric's. Raises IncomparableError for differing protocols or settings,
    and for a metric of which it is not known whether higher or lower is better.
    """
    scored = metrics.dropna(subset=["value"]).reset_index(drop=True)
    for name in ("metric", "fingerprint", "sampler", "steps", "grid", "guidance"):
        found = list(scored[name].unique()) if name in scored else []
        if len(found) > 1:
            raise IncomparableError(f"ranking: expected one {name}, got {' and '.join(map(str, found))}")
    direction = better(str(scored["metric"].iloc[0])) if len(scored) else ""
    if not direction:
        raise IncomparableError("ranking: expected a metric known to be better when lower or higher")
    value = scored["value"].to_numpy(float)
    error = (scored["high"] - scored["low"]).to_numpy(float) / 2 / TWO_SIDED
    loss = value if direction == "lower" else -value
    pairs = list(combinations(range(len(scored)), 2))
    difference = np.array([loss[a] - loss[b] for a, b in pairs])
    spread = np.array([math.hypot(error[a], error[b]) for a, b in pairs])
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.nan_to_num(2 * normal_tail(np.abs(difference) / spread), nan=1.0)
    sure = _sure(len(scored), pairs, difference, p <= holm_shares(p, 1 - confidence))
    return _ranked(list(scored["model"]), value, loss, sure)


def sentence(ranking: pd.DataFrame) -> str:
    """ "1. digits-eps a; 1-2. digits-v ab; 3. digits-flow c"."""
    return "; ".join(f"{places(row)}. {row.model} ({row.group})" for row in each(ranking))


def places(row: Any) -> str:
    """The places that a row of a ranking can have: "1", "1–3"."""
    return str(row.best) if row.best == row.worst else f"{row.best}–{row.worst}"


def rankings(
    tables: Tables, comparisons: Sequence[Comparison], settings: Settings = DEFAULT
) -> dict[str, pd.DataFrame]:
    """By title: the denoising error over all levels, and every metric in the sampler setting of its best value.

    Of the models that were compared with one baseline, and it, where these are three or more. What can't be ranked, for
    protocols or images that differ, is left out: the comparisons say so.
    """
    models = list(dict.fromkeys([*(one.baseline for one in comparisons), *(one.candidate for one in comparisons)]))
    if len(models) < 3 or len({one.baseline for one in comparisons}) > 1:
        return {}
    found = {}
    levels = tables.evaluations[tables.evaluations["model"].isin(models)]["level"].nunique()
    with suppress(IncomparableError):
        found[f"denoising error, mean of {levels} noise levels"] = rank_levels(tables.evaluations, models, settings)
    scored = tables.metrics[tables.metrics["model"].isin(models)].dropna(subset=["value"])
    for metric, rows in scored.groupby("metric", sort=False):
        best = rows.sort_values("value", ascending=better(str(metric)) != "higher", kind="stable").iloc[0]
        cell = [name for name in ("sampler", "steps", "grid", "guidance") if name in rows]
        same = rows[(rows[cell] == best[cell]).all(axis=1)]
        with suppress(IncomparableError):
            if len(same) > 2:
                found[f"{metric}, {cell_title(best)}"] = rank_metric(same, settings.confidence)
    return found


def tie_groups(differ: np.ndarray) -> list[str]:
    """Letters of m models in order, from which pairs differ (m, m): two share a letter exactly if they don't.

    A letter for each maximal set of models of which no two differ (Bron & Kerbosch 1973), in order of their first.
    """
    count = len(differ)
    alike = {one: {other for other in range(count) if other != one and not differ[one, other]} for one in range(count)}
    groups: list[tuple[int, ...]] = []

    def grow(chosen: set[int], open_: set[int], seen: set[int]) -> None:
        if not open_ and not seen:
            groups.append(tuple(sorted(chosen)))
        pivot = max(open_ | seen, key=lambda one: len(alike[one] & open_), default=None)
        for one in sorted(open_ - (alike[pivot] if pivot is not None else set())):
            grow(chosen | {one}, open_ & alike[one], seen & alike[one])
            open_, seen = open_ - {one}, seen | {one}

    grow(set(), set(range(count)), set())
    letters = [""] * count
    for number, group in enumerate(sorted(groups)):
        for one in group:
            letters[one] += _letter(number)
    return letters


def _letter(number: int) -> str:
    """a ... z, a2 ... z2 and so on."""
    turn, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(turn + 1) if turn else "")


def _sure(count: int, pairs: Sequence[tuple[int, int]], difference: np.ndarray, rejected: np.ndarray) -> Sure:
    sure = np.zeros((count, count), bool)
    for (a, b), size, reject in zip(pairs, difference, rejected, strict=True):
        if reject:
            sure[(a, b) if size < 0 else (b, a)] = True
    return sure


def _ranked(models: Sequence[str], value: np.ndarray, loss: np.ndarray, sure: Sure) -> pd.DataFrame:
    order = np.argsort(loss, kind="stable")
    sure = sure[np.ix_(order, order)]
    return pd.DataFrame(
        {
            "model": [models[place] for place in order],
            "value": value[order],
            "best": 1 + sure.sum(axis=0),
            "worst": len(models) - sure.sum(axis=1),
            "group": tie_groups(sure | sure.T),
        }
    )
