"""What a model lost against its baseline in samples: through the model, or in the sampler's steps?

Two models in one sampler setting share the sampler, so what got lost is the model's doing either way: by errors of its
own, which probes prove, or by a field that the same steps follow less well. `model_or_solver` says which error is the
larger in each model; this says which one grew. Report.solver_answers -> lost (of a model), in_steps (of a sampler
setting) -> dashboards/samplers.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from .model_or_solver import LITTLE, Answer, share
from .numbers import sigma_range

GREW = 1.1
"""Times as much as the baseline's, and LITTLE more: less is no growth to speak of. The model's has no interval."""
HALF = 0.5
SAME = 1e-6
"""Levels this near, relatively, are one."""

Pair = tuple[Answer, Answer]
"""The model's answer and its baseline's, in one sampler setting."""


def lost(answers: Sequence[Answer], model: str, baseline: str) -> tuple[str, str]:
    """The sentence, and what explains it; both empty where the two were not measured in one setting."""
    found = sorted(_pairs(answers, model, baseline), key=lambda pair: pair[0].solver)
    if not found:
        return "", ""
    own, base = found[0]  # of the finest steps
    grown = [pair for pair in found if _sampler_grew(*pair)]
    if _grew(own.model, base.model):
        band = _band(own, base)
        near = f", most at sigma {sigma_range(*band)}" if band else ""
        first = (
            f"What {model} lost against {baseline} comes from the model: its proven errors move samples by "
            f"{share(own.model)} of the data's spread instead of {share(base.model)}{near}."
        )
        return first, " ".join(_beside(*pair, band) for pair in found)
    worse = [pair for pair in grown if sum(_both(pair[0])) > sum(_both(pair[1]))]
    if worse:
        worst, beside = worse[0]
        first = (
            f"What {model} lost against {baseline} comes from the sampler's steps: with {worst.steps} they move "
            f"samples by {share(worst.solver)} of the data's spread instead of {share(beside.solver)}."
        )
        rest = f"The model's proven errors did not grow: {share(own.model)}, {share(base.model)} in {baseline}."
        return first, f"{rest} The sampler is the same: its steps follow {model}'s paths less well."
    first = f"{model} moves samples off by no more than {baseline} does, model and sampler together."
    return first, (
        f"The model's proven errors move them by {share(own.model)} of the data's spread ({share(base.model)} in "
        f"{baseline}), the sampler's steps with {own.steps} by {share(own.solver)} ({share(base.solver)})."
    )


def in_steps(answers: Sequence[Answer], steps: str, baseline: str) -> list[str]:
    """A sentence for each model that one setting's steps move farther off than the baseline, the worst first."""
    models = dict.fromkeys(str(one.setting["model"]) for one in answers)
    pairs = [pair for model in models for pair in _pairs(answers, model, baseline) if pair[0].steps == steps]
    grown = [pair for pair in pairs if _sampler_grew(*pair)]
    told = []
    for own, base in sorted(grown, key=lambda pair: pair[1].solver - pair[0].solver):
        band = _band(own, base) if _grew(own.model, base.model) else None
        change = f"move samples by {share(own.solver)} instead of {share(base.solver)} in {baseline}"
        told.append(f"{own.setting['model']}: the sampler's steps {change}{_grown(own, base, band)}")
    return told


def _pairs(answers: Sequence[Answer], model: str, baseline: str) -> Iterator[Pair]:
    theirs = {one.steps: one for one in answers if one.setting["model"] == baseline}
    for one in answers:
        if one.setting["model"] == model and one.steps in theirs and model != baseline:
            yield one, theirs[one.steps]


def _both(one: Answer) -> tuple[float, float]:
    return one.model, one.solver


def _grew(own: float, base: float) -> bool:
    return own > GREW * base and own - base > LITTLE


def _sampler_grew(own: Answer, base: Answer) -> bool:
    return _grew(own.solver, base.solver) and own.solver_low > base.solver_high


def _beside(own: Answer, base: Answer, band: tuple[float, float] | None) -> str:
    """What the sampler's steps did meanwhile, in one setting."""
    change = f"({share(own.solver)}, {share(base.solver)} in {base.setting['model']})"
    if band and not _touches(own, band):
        return f"With {own.steps} no step begins or ends at those levels: samples can hardly show it."
    if not _sampler_grew(own, base):
        if own.culprit == "the sampler" and base.culprit == "the sampler":
            return f"With {own.steps} the sampler's steps are the larger error in both alike {change}."
        return f"With {own.steps} the sampler's steps lose no more than before {change}."
    return f"With {own.steps} the sampler's steps lose more too {change}{_grown(own, base, band)}"


def _touches(one: Answer, band: tuple[float, float]) -> bool:
    """Whether a step begins in the band; it ends where the next begins."""
    return bool(one.intervals["sigma"].between(band[0] * (1 - SAME), band[1] * (1 + SAME)).any())


def _grown(own: Answer, base: Answer, band: tuple[float, float] | None) -> str:
    """Where the sampler's steps lose most of what they lose more, and whose doing that is."""
    where = _where(own, base)
    if band and _inside(own, base, band) >= HALF:
        return (
            f"{where}, just where the model's errors grew: its field is rougher there, so that is the model's as well."
        )
    return f"{where}, with the same sampler: its steps follow the model's paths less well."


def _where(own: Answer, base: Answer) -> str:
    """The step whose error grew most; empty on other grids."""
    steps, theirs = own.intervals, base.intervals
    if not _alike(steps["sigma"], theirs["sigma"]):
        return ""
    growth = steps["size"].to_numpy(float) - theirs["size"].to_numpy(float)
    top = int(growth.argmax())
    ends = sigma_range(float(steps["sigma_next"].iloc[top]), float(steps["sigma"].iloc[top]))
    own_size, base_size = float(steps["size"].iloc[top]), float(theirs["size"].iloc[top])
    return f", most in the step over sigma {ends} ({share(own_size)} instead of {share(base_size)})"


def _band(own: Answer, base: Answer) -> tuple[float, float] | None:
    """The levels where the model's proven errors grew by at least half of what they grew most; None: other levels."""
    levels, theirs = own.levels, base.levels
    if not _alike(levels["sigma"], theirs["sigma"]):
        return None
    growth = levels["size"].to_numpy(float) - theirs["size"].to_numpy(float)
    top = int(growth.argmax())
    less = np.flatnonzero(growth < HALF * growth[top])
    first = max((place + 1 for place in less if place < top), default=0)
    last = min((place - 1 for place in less if place > top), default=len(growth) - 1)
    return float(levels["sigma"].iloc[first]), float(levels["sigma"].iloc[last])


def _inside(own: Answer, base: Answer, band: tuple[float, float]) -> float:
    """Which part of the growth of the sampler's error lies in intervals that reach into the band; 0: other grids."""
    steps, theirs = own.intervals, base.intervals
    if not _alike(steps["sigma"], theirs["sigma"]):
        return 0.0
    growth = (steps["size"].to_numpy(float) - theirs["size"].to_numpy(float)).clip(min=0.0)
    reaches = ((steps["sigma"] >= band[0]) & (steps["sigma_next"] <= band[1])).to_numpy()
    return float(growth[reaches].sum() / growth.sum()) if growth.sum() > 0 else 0.0


def _alike(own: pd.Series, theirs: pd.Series) -> bool:
    return len(own) == len(theirs) and bool(np.allclose(own, theirs, rtol=SAME))
