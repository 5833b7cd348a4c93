"""Is it the model or the sampler? Both errors in one unit, on one sigma axis, and which of them decides the sample.

Both are told as how far they move samples, in standard deviations of the data, to first order:

    the sampler's   of each interval: probe `local_error`, quantity `size`
    the model's     of each level, per e-fold of sigma: sqrt(e / (spread^2 + sigma^2)), e the largest part of its
                    denoising error that a probe proves to be avoidable (`diagnosis` has the same size), or that a
                    better denoiser avoids (`excess_error`); none where no interval, corrected for all looked at,
                    proves any

Their sums over the grid and over ln sigma bound what each can do to a sample. The model's is of proven error only: it
says "at least". Run `excess_error` and the default probes to prove as much as can be.

run -> model_or_solver -> Answer -> figures/model_or_solver.py; against a baseline: regression.py.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ..errors import DataError
from ..metrics.quantiles import student_upper
from .diagnosis import ALPHA, RULES, judged
from .numbers import number, percent, sigma_range

if TYPE_CHECKING:
    from ..evals.store import Run

SETTING = ("model", "sampler", "steps", "grid", "guidance")
Culprit = Literal["the model", "the sampler", "both", "neither"]

CLEAR = 2.0
"""One is the larger where it moves samples by at least this many times what the other does."""
LITTLE = 0.01
"""Of the data's spread: moved by less, neither is."""
LEFT: dict[Culprit, str] = {
    "the model": "most of what is left is the model's.",
    "the sampler": "most of what is left is the sampler's.",
    "both": "what is left is the model's and the sampler's alike.",
    "neither": "little is left of either.",
}
LARGER: dict[Culprit, str] = {
    "the model": "mostly the model", "the sampler": "mostly the sampler", "both": "both alike", "neither": "little",
}  # fmt: skip
"""Whose error is the larger, in few words."""
NAMED = 4
"""Models that are named of each kind, in a sentence about a setting."""


@dataclass(frozen=True)
class Answer:
    """For one setting of a sampler."""

    setting: dict[str, object]
    culprit: Culprit
    model: float
    """How far the model's proven error moves samples in all, in standard deviations of the data."""
    solver: float
    """How far the sampler's steps do, with a 95% interval."""
    solver_low: float
    solver_high: float
    levels: pd.DataFrame
    """sigma, size (per e-fold), because (the probe and quantity that prove it, or ""): one row a level, ascending."""
    intervals: pd.DataFrame
    """sigma, sigma_next, size, low, high: one row an interval, in order."""

    @property
    def title(self) -> str:
        return f"{self.setting['model']} with {self.steps}"

    @property
    def steps(self) -> str:
        """The sampler's setting: "euler, 5 steps (karras)"."""
        named = {name: str(value) for name, value in self.setting.items()}
        guidance = f", guidance {named['guidance']}" if named.get("guidance") else ""
        return f"{named['sampler']}, {named['steps']} steps ({named['grid']}){guidance}"

    @property
    def text(self) -> str:
        """ "digits-eps with euler, 5 steps (karras): most of what is left is the sampler's. The ..." """
        return f"{self.title}: {self.verdict} {self.evidence}"

    @property
    def verdict(self) -> str:
        """Of what is left to gain in this setting, whose is the most? It says nothing of what got lost."""
        return LEFT[self.culprit]

    @property
    def evidence(self) -> str:
        """ "The sampler's steps move samples by 45% ...; no error of the model is proven." """
        step = self.intervals.sort_values("size").iloc[-1]
        ends = sigma_range(float(step["sigma_next"]), float(step["sigma"]))
        sampler = f"The sampler's steps move samples by {share(self.solver)} of the data's spread, most at sigma {ends}"
        proven = self.levels[self.levels["size"] > 0]
        if proven.empty:
            return f"{sampler}; no error of the model is proven."
        worst = proven.sort_values("size").iloc[-1]
        near = number(float(worst["sigma"]), 2)
        return (
            f"{sampler}; the model's proven errors by {share(self.model)}, most near sigma {near} ({worst['because']})."
        )


def model_or_solver(run: Run, alpha: float = ALPHA) -> list[Answer]:
    """An answer for every model and sampler setting whose steps were measured, in the run's order.

    Raises DataError, saying what to add to the suite, where the one or the other was not measured.
    """
    steps = run.table("steps")
    steps = steps[(steps["probe"] == "local_error") & (steps["quantity"] == "size") & (steps["index"] >= 0)]
    curves, levels = run.table("curves"), run.table("levels")
    if steps.empty or curves.empty:
        missing = 'sampling.probes = ["local_error"]' if steps.empty else 'probes.use = ["default", "excess_error"]'
        raise DataError(
            f"run {run.id}: expected both the model's errors and the solver's, got none of one; add {missing}"
        )
    answers = []
    for model in run.record.models:
        errors = levels[levels["model"] == model.name].set_index("level")["error"]
        own = model_errors(curves[curves["model"] == model.name], errors, model.data_spread or 1.0, alpha)
        for key, rows in steps[steps["model"] == model.name].groupby(list(SETTING), sort=False):
            answers.append(answer(own, rows, dict(zip(SETTING, _parts(key), strict=True))))
    return answers


def table(answers: Sequence[Answer]) -> pd.DataFrame:
    """A row an answer: the setting, whose error is larger, and how far both move samples, in the data's spread."""
    return pd.DataFrame(
        [
            {
                **one.setting, "larger error": one.culprit, "model, at least": one.model,
                "sampler's steps": one.solver, "low": one.solver_low, "high": one.solver_high,
            }
            for one in answers
        ]
    )  # fmt: skip


def of_setting(answers: Sequence[Answer], steps: str) -> str:
    """Whose error is the larger in each model, in one sampler setting as `Answer.steps` writes it; "" for none.

    "Mostly the sampler: digits-eps (sampler 72%, model at least 18%), ..."
    """
    told = []
    for culprit, words in LARGER.items():
        own = [one for one in answers if one.steps == steps and one.culprit == culprit]
        named = [
            f"{one.setting['model']} (sampler {share(one.solver)}, model at least {share(one.model)})"
            for one in own[:NAMED]
        ]
        more = f" and {len(own) - NAMED} more" if len(own) > NAMED else ""
        told += [f"{words} in {', '.join(named)}{more}"] if own else []
    said = "; ".join(told)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def answer(levels: pd.DataFrame, steps: pd.DataFrame, setting: dict[str, object]) -> Answer:
    """From `model_errors` and the rows of table `steps` that hold the solver's sizes."""
    intervals = steps.sort_values("index")[["sigma", "sigma_next", "value", "low", "high"]]
    intervals = intervals.set_axis(["sigma", "sigma_next", "size", "low", "high"], axis=1).reset_index(drop=True)
    solver, low, high = (float(intervals[name].clip(lower=0.0).sum()) for name in ("size", "low", "high"))
    inside = levels[levels["sigma"] <= float(intervals["sigma"].max()) * (1 + 1e-9)]
    model = float(np.trapezoid(inside["size"], np.log(inside["sigma"]))) if len(inside) > 1 else 0.0
    return Answer(setting, _culprit(model, solver), model, solver, low, high, levels, intervals)


def model_errors(curves: pd.DataFrame, errors: pd.Series, spread: float, alpha: float = ALPHA) -> pd.DataFrame:
    """The largest proven size at each level, from one model's rows of table `curves` and its denoising error by level.

    Columns: sigma, size, because. Every probe's proof holds with probability 1 - alpha for all looked at together.
    """
    found = [_excess(curves, spread, alpha)]
    looks = sum(len(_rows(curves, rule.probe, rule.quantity)) for rule in RULES if rule.share is not None)
    for rule in RULES:
        if rule.share is None:
            continue
        for name, rows in _rows(curves, rule.probe, rule.quantity).groupby("slice", sort=False):
            beside = curves[(curves["probe"] == rule.probe) & (curves["slice"] == name)]
            told = judged(replace(rule, least=0.0), rows, beside, errors, spread, alpha / looks)
            told = told.assign(size=told["size"].where(told["side"] != 0, 0.0))
            found.append(_proof(told, f"{rule.probe} {rule.quantity}"))
    every = pd.concat(found, ignore_index=True)
    if every.empty:
        return every
    largest = every.loc[every.groupby("level")["size"].idxmax()].sort_values("sigma")
    return largest[["sigma", "size", "because"]].reset_index(drop=True)


def _excess(curves: pd.DataFrame, spread: float, alpha: float) -> pd.DataFrame:
    """Error beyond that of the best denoiser known without the network."""
    rows = _rows(curves, "excess_error", "excess").reset_index(drop=True)
    reach = student_upper(alpha / 2 / max(len(rows), 1), rows["freedom"].astype(float)) * rows["error"]
    surely = rows["value"] - reach > 0
    size = np.sqrt(
        rows["value"].where(surely, 0.0).astype(float) / (spread**2 + np.square(rows["sigma"].astype(float)))
    )
    return _proof(rows.assign(size=size), "excess_error excess")


def _proof(rows: pd.DataFrame, because: str) -> pd.DataFrame:
    told = rows[["level", "sigma", "size"]].copy()
    told["because"] = [because.replace("_", " ") if size > 0 else "" for size in told["size"]]
    return told


def _rows(curves: pd.DataFrame, probe: str, quantity: str) -> pd.DataFrame:
    return curves[(curves["probe"] == probe) & (curves["quantity"] == quantity)]


def _culprit(model: float, solver: float) -> Culprit:
    if max(model, solver) < LITTLE:
        return "neither"
    if model >= CLEAR * solver:
        return "the model"
    return "the sampler" if solver >= CLEAR * model else "both"


def share(size: float) -> str:
    """How far samples are moved, of the data's spread: "11%"."""
    return percent(1.0 + size, signed=False) if size < 2 else f"{number(100 * size, 2)}%"


def _parts(key: Hashable) -> Sequence[object]:
    return key if isinstance(key, tuple) else (key,)
