"""From a run's trajectory probes to findings in plain words: what is wrong with a sampler, and in which interval.

The counterpart of `diagnosis` for samplers. A finding is a rule of `RULES` that fired over neighbouring intervals: the
quantity's interval, with Bonferroni's correction over all rules and intervals looked at, lies beyond what a healthy
sampler gives. What the dry run says is exact, so there a healthy sampler gets no finding; of the others it gets any
with probability alpha at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..metrics.quantiles import student_upper
from .numbers import interval, number

if TYPE_CHECKING:
    from ..evals.store import Run

ALPHA = 0.05
LONG = 3.0
"""Times its longer neighbour, in log sigma: an interval of no regular grid (Karras' has 2.4 with 3 steps from 1000)."""


@dataclass(frozen=True)
class SamplerRule:
    """What a quantity of a trajectory probe outside its healthy range means."""

    probe: str
    quantity: str
    most: float
    """The largest healthy size."""
    meaning: str
    cause: str
    source: str
    explains: tuple[str, ...] = ()
    """Quantities of the same probe that it accounts for: no finding of theirs is told beside its own."""
    where: Callable[[pd.DataFrame], pd.Series] | None = None
    """Which of the intervals, from their rows in order, can be at fault; None: all."""


def much_longer(rows: pd.DataFrame) -> pd.Series:
    """Which intervals, rows with `sigma` and `sigma_next` in order, are much longer than both neighbours.

    Not the first: near pure noise regular grids begin with a long one. The step to 0 is no neighbour.
    """
    with np.errstate(divide="ignore"):
        width = np.log(rows["sigma"].to_numpy() / rows["sigma_next"].to_numpy())
    padded = np.concatenate(([np.inf], np.where(np.isfinite(width), width, 0.0), [0.0]))
    neighbour = np.maximum(padded[:-2], padded[2:])
    return pd.Series(np.isfinite(width) & (neighbour > 0) & (width > LONG * neighbour), rows.index)


RULES: tuple[SamplerRule, ...] = (
    SamplerRule(
        "dry_run",
        "asked",
        1e-6,
        "asks the network about another noise level than its state has",
        "a time index that is off by one, a last step that sends the wrong time, another clock than the model's",
        "an evaluation belongs between the two ends of its step",
        explains=("deviation", "clipping"),
    ),
    SamplerRule(
        "dry_run",
        "shifted",
        1e-6,
        "visits other noise levels than its grid gives",
        "a grid that is shifted, or scaled, a second time on its way",
        "the levels visited are the grid's",
    ),
    SamplerRule(
        "dry_run",
        "stale_eps",
        0.5,
        "clips x0 and goes on with the noise estimate of before clipping",
        "eps is to be computed again from the clipped x0 (diffusers: use_clipped_model_output=True)",
        "x = x0 + sigma eps ties the two together",
        explains=("clipping",),
    ),
    SamplerRule(
        "dry_run",
        "deviation",
        1e-3,
        "leaves a straight path, on which every solver is exact",
        "wrong coefficients, a state or a noise level of another step",
        "for a constant prediction of x0 the ODE's paths are straight",
        explains=("clipping",),
    ),
    SamplerRule(
        "dry_run",
        "clipping",
        1e-3,
        "clips its estimate of x0 to the data's range",
        "clipping or thresholding in the sampler: wanted with guidance, a bias elsewhere",
        "for a constant prediction of x0 the ODE's paths are straight, also outside the range",
    ),
    SamplerRule(
        "local_error",
        "share",
        1 / 3,
        "makes one step much longer than its neighbours, and loses over a third of all it loses there",
        "levels left out of the grid; `sigmascope advise` proposes where to spend steps",
        "the errors of a given number of steps add up to least where all steps err alike",
        where=much_longer,
    ),
)


@dataclass(frozen=True)
class SamplerFinding:
    """One finding: a rule that fired for a sampler over neighbouring intervals."""

    sampler: str
    """ "digits-eps · heun, 18 steps, karras" """
    rule: SamplerRule
    intervals: tuple[int, ...]
    sigma: float
    """Where the first of them begins and the last ends."""
    sigma_next: float
    value: float
    """Of the interval that shows it most, with its corrected interval."""
    low: float
    high: float

    @property
    def text(self) -> str:
        steps = f"{self.intervals[0] + 1}" + (f"–{self.intervals[-1] + 1}" if len(self.intervals) > 1 else "")
        measured = (
            f"{number(self.value)} {interval(self.low, self.high)}" if self.low < self.high else number(self.value)
        )
        return (
            f"{self.sampler} {self.rule.meaning}: step {steps}, from sigma {number(self.sigma, 2)} to "
            f"{number(self.sigma_next, 2)}, {_shown(self.rule)} {measured}"
        )


def sampler_findings(run: Run, alpha: float = ALPHA) -> list[SamplerFinding]:
    """The findings of a run's samplers, in the order of the rules within each."""
    return judge_steps(run.table("steps"), alpha)


def judge_steps(steps: pd.DataFrame, alpha: float = ALPHA) -> list[SamplerFinding]:
    """The findings of table `steps`, of one sampler or of several."""
    keys = [name for name in ("model", "sampler", "steps", "grid", "guidance") if name in steps]
    groups = steps.groupby(keys, sort=False) if keys else [((), steps)]
    return [
        finding
        for named, rows in groups
        for finding in _judged(_title(dict(zip(keys, named, strict=True))), rows, alpha)
    ]


def looked_for(steps: pd.DataFrame) -> str:
    """Which faults `judge_steps` would have told, and which it couldn't for want of a probe: its silence in words.

    "Looked for and not found: a sampler that ... (local error share)."
    """
    measured = set(zip(steps["probe"], steps["quantity"], strict=True))
    sought = [rule for rule in RULES if (rule.probe, rule.quantity) in measured]
    missing = dict.fromkeys(rule.probe for rule in RULES if rule not in sought)
    faults = "; ".join(f"a sampler that {rule.meaning} ({_shown(rule)})" for rule in sought)
    said = [f"Looked for and not found: {faults}."] if sought else []
    show = "shows" if len(missing) == 1 else "show"
    said += [f"Not looked for, as not measured: the faults that {' and '.join(missing)} {show}."] if missing else []
    return " ".join(said)


def _shown(rule: SamplerRule) -> str:
    return f"{rule.probe} {rule.quantity}".replace("_", " ")


def _title(named: dict[str, object]) -> str:
    model, sampler = named.get("model", ""), named.get("sampler", "sampler")
    rest = [f"{named['steps']} steps"] if "steps" in named else []
    rest += [str(named[key]) for key in ("grid", "guidance") if named.get(key)]
    return f"{model} · {', '.join([str(sampler), *rest])}" if model else ", ".join([str(sampler), *rest])


def _judged(sampler: str, steps: pd.DataFrame, alpha: float) -> Iterator[SamplerFinding]:
    asked = {rule: steps[(steps["probe"] == rule.probe) & (steps["quantity"] == rule.quantity)] for rule in RULES}
    looks = sum(len(rows) for rows in asked.values())
    explained: set[tuple[str, str]] = set()
    for rule, rows in asked.items():
        if rows.empty or (rule.probe, rule.quantity) in explained:
            continue
        rows = rows.sort_values("index").reset_index(drop=True)
        reach = student_upper(alpha / looks / 2, rows["samples"] - 1) * rows["error"]
        rows = rows.assign(low=rows["value"] - reach, high=rows["value"] + reach)
        wrong = (rows["low"] > rule.most) | (rows["high"] < -rule.most)
        if rule.where is not None:
            wrong &= rule.where(rows)
        stretches = (~wrong | (rows["index"].diff() != 1) | ~wrong.shift(fill_value=False)).cumsum()
        for _, band in rows[wrong].groupby(stretches[wrong]):
            explained |= {(rule.probe, name) for name in rule.explains}
            top = band.iloc[int(band["value"].abs().argmax())]
            yield SamplerFinding(
                sampler,
                rule,
                tuple(int(index) for index in band["index"]),
                float(band["sigma"].iloc[0]),
                float(band["sigma_next"].iloc[-1]),
                float(top["value"]),
                float(top["low"]),
                float(top["high"]),
            )
