"""Models of many runs in order of one measure, for runs that can be compared: those that share a fingerprint.

evals/index.py -> Index.scores -> `ranked` -> figures/overview.py:leaderboard, dashboards/leaderboard.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..evals.headlines import ALL_LEVELS, WORST_LEVEL

RANKED = ["rank", "model", "run", "value", "low", "high", "where", "tied"]


def measures(scores: pd.DataFrame) -> list[str]:
    """What runs can be ranked by. Not the worst level: its ratio is to each run's own baseline."""
    found = [str(one) for one in scores["measure"].value_counts().index if one != WORST_LEVEL]
    return sorted(found, key=lambda one: one != ALL_LEVELS)


def ranked(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A row per run x model, best first: RANKED, from `Index.scores`.

    `tied`: with the first, whose interval reaches this one's; False where either has none. Of ALL_LEVELS only means
    over as many levels as most have: another number is another quantity.
    """
    rows = scores[scores["measure"] == measure].dropna(subset=["value"])
    if measure == ALL_LEVELS and len(rows):
        rows = rows[rows["where"] == rows["where"].mode().iloc[0]]
    higher = bool(len(rows)) and rows["better"].iloc[0] == "higher"
    rows = rows.sort_values("value", ascending=not higher, kind="stable").reset_index(drop=True)
    rows["rank"] = rows["value"].rank(method="min", ascending=not higher).astype(int)
    first = rows.head(1)
    rows["tied"] = rows["high"] >= first["low"].max() if higher else rows["low"] <= first["high"].max()
    return rows.rename(columns={"id": "run"})[RANKED]


def excerpt(table: pd.DataFrame, runs: Sequence[str], most: int = 12) -> pd.DataFrame:
    """The first rows of `ranked`, and below them those of the runs asked for."""
    return table[(table.index < most) | table["run"].isin(runs)]
