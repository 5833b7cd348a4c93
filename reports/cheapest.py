"""Which sampler setting is the cheapest within 5% of the best quality, and which cheaper ones can't be ruled out?

tables.samplers (one metric) -> judged (a verdict on every setting) -> cheapest -> Answer -> figures/samplers.py, pages;
two metrics' answers -> against: do they contradict each other?

A setting is within 5% of the best where its value is at most 1.05 times the best one's, or at least 0.95 times where
more is better. How sure that is comes from both settings' 95% intervals: the interval of a difference of two estimates
by their own limits (MOVER: Zou and Donner, Statistics in Medicine 27, 2008), taken as independent. Settings share their
starting noise, so the true interval of a difference is rather narrower: what is told apart here is so for sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .numbers import interval, number
from .tables import better, cell_title

WITHIN = 0.05
SETTING = ["model", "sampler", "steps", "grid", "guidance"]
SHOWN = 3
"""Cheaper settings that are named."""


@dataclass(frozen=True)
class Answer:
    """Of the settings of one model, or of several."""

    metric: str
    best: pd.Series[Any]
    """The setting of the best value, a row of `judged`."""
    pick: pd.Series[Any]
    """The cheapest whose value is within 5% of it; of several that cost the same, the best."""
    rivals: pd.DataFrame
    """Cheaper settings that may be within 5% too, for all that the intervals say, cheapest first."""
    rows: pd.DataFrame
    """Every setting, as `judged` gives them."""

    @property
    def text(self) -> str:
        """ "heun, 10 steps is the cheapest within 5% of the best: 19 evaluations, ..." """
        return f"{self.headline} {self.named}".strip()

    @property
    def headline(self) -> str:
        """The doubt first, where there is any: the best of uncertain numbers is no verdict."""
        return f"{self.doubt} By the values alone, {self.claim}" if self.doubt else self.claim

    @property
    def claim(self) -> str:
        """Which setting it is by the values, whatever their intervals."""
        pick, best, share = self.pick, self.best, f"{100 * WITHIN:.0f}%"
        if pick.name == best.name:
            return (
                f"{self.title(pick)} is the best and the cheapest within {share} of it: {_spent(pick)}, {self.metric} "
                f"{measured(pick)}."
            )
        return (
            f"{self.title(pick)} is the cheapest within {share} of the best: {_spent(pick)}, {self.metric} "
            f"{measured(pick)}. The best is {self.title(best)}: {_spent(best)}, {measured(best)}."
        )

    @property
    def doubt(self) -> str:
        """What the intervals leave open; empty where they leave nothing open."""
        if self.pick["verdict"] == "unknown":
            return "These numbers have no intervals, so how sure this is isn't known."
        count = len(self.rivals)
        if count:
            settings = "a cheaper setting" if count == 1 else f"{count} cheaper settings"
            least = int(self.rivals["evaluations"].min())
            spent = f"of {least} evaluations" if count == 1 else f"from {least} evaluations on"
            return f"Not settled: the 95% intervals can't rule out {settings}, {spent}."
        if self.pick["verdict"] == "within":
            return ""
        return f"Not settled: the 95% intervals don't prove it to be within {100 * WITHIN:.0f}% of the best."

    @property
    def named(self) -> str:
        """The cheaper settings that the intervals can't rule out, the first of them by name; empty for none."""
        count = len(self.rivals)
        if not count:
            return ""
        named = [f"{self.title(row)} ({int(row['evaluations'])})" for _, row in self.rivals.head(SHOWN).iterrows()]
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        return f"Cheaper, and not ruled out: {', '.join(named)}{more}."

    def verdict(self, setting: pd.Series[Any]) -> str:
        """What this metric says of a setting; "unknown" where it has no value."""
        same = (self.rows[SETTING] == setting[SETTING]).all(axis=1)
        return str(self.rows.loc[same, "verdict"].iloc[0]) if same.any() else "unknown"

    def title(self, row: pd.Series[Any]) -> str:
        """ "heun, 10 steps", with the model and the grid where there are several."""
        several = {name: len(set(self.rows[name])) > 1 for name in ("model", "grid")}
        named = cell_title(row if several["grid"] else {**row, "grid": ""})
        return f"{row['model']} with {named}" if several["model"] else named


def cheapest(table: pd.DataFrame, metric: str) -> Answer | None:
    """From rows of `tables.samplers`.

    None where there is no such question: nothing is scored, the metric doesn't tell which way is better, or its best
    value isn't above 0, of which 5% mean nothing.
    """
    if table.empty or not better(metric):
        return None
    rows = judged(table, metric)
    best, near = rows.loc[_first(rows, metric)], rows[rows["near"]]
    if not best["value"] > 0:
        return None
    pick = near.loc[_first(near[near["evaluations"] == near["evaluations"].min()], metric)]
    rivals = rows[(rows["evaluations"] < pick["evaluations"]) & rows["verdict"].isin(["within", "may be"])]
    ordered = rivals.sort_values(["evaluations", "value"], ascending=[True, better(metric) == "lower"], kind="stable")
    return Answer(metric, best, pick, ordered, rows)


def against(chosen: Answer, other: Answer) -> tuple[str, bool]:
    """What another metric says, empty where it names the same setting, and whether the two contradict each other.

    They do where one of them is sure that the other's choice is not within 5%.
    """
    if (chosen.pick[SETTING] == other.pick[SETTING]).all():
        return "", False
    share = f"{100 * WITHIN:.0f}%"
    theirs, ours = chosen.verdict(other.pick) == "beyond", other.verdict(chosen.pick) == "beyond"
    said = "the intervals allow either"
    if theirs and ours:
        said = f"each metric is sure that the other's choice is not within {share}"
    elif theirs:
        said = f"by {chosen.metric} that is surely not within {share}"
    elif ours:
        said = f"by it {chosen.title(chosen.pick)} is surely not within {share}"
    return f"{other.metric} names {other.title(other.pick)} ({_spent(other.pick)}): {said}.", theirs or ours


def by_model(table: pd.DataFrame, metric: str) -> dict[str, Answer]:
    """An answer for each model by itself."""
    answers = {str(model): cheapest(rows, metric) for model, rows in table.groupby("model", sort=False)}
    return {model: one for model, one in answers.items() if one is not None}


def judged(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows with `near` (the value is within 5% of the best) and `verdict`: is that so, for all the intervals say?

    "within" and "beyond" where the interval of the difference lies on one side of 5%, "may be" where it holds it,
    "unknown" where one of the two has no interval. The best itself is "within".
    """
    rows = table.reset_index(drop=True)
    sign = 1.0 if better(metric) == "lower" else -1.0
    ends = np.sort(sign * rows[["low", "high"]].to_numpy(float), axis=1)
    loss = sign * rows["value"].to_numpy(float)
    top = int(_first(rows, metric))
    limit = 1.0 + sign * WITHIN
    difference = loss - limit * loss[top]
    up, down = limit * (ends[top, 1] - loss[top]), limit * (loss[top] - ends[top, 0])
    least = difference - np.hypot(loss - ends[:, 0], up)
    most = difference + np.hypot(ends[:, 1] - loss, down)
    verdict = np.select([np.isnan(least + most), most <= 0, least > 0], ["unknown", "within", "beyond"], "may be")
    verdict[top] = "unknown" if np.isnan(ends[top]).any() else "within"
    near = difference <= 0
    near[top] = True
    return rows.assign(near=near, verdict=verdict)


def measured(row: pd.Series[Any]) -> str:
    """ "0.612 [0.550, 0.684]"."""
    return f"{number(row['value'])} {interval(row['low'], row['high'])}".strip()


def _first(rows: pd.DataFrame, metric: str) -> Any:
    """The index of the best value; of equals, that of the least cost."""
    loss = rows["value"].to_numpy(float) * (1.0 if better(metric) == "lower" else -1.0)
    return rows.index[np.lexsort((rows["evaluations"], loss))[0]]


def _spent(row: pd.Series[Any]) -> str:
    return f"{int(row['evaluations'])} evaluations"
