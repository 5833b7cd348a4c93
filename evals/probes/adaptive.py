"""Adaptive mode of the pass: evaluations go where the denoising error is least sure, up to a precision or a budget.

Every level has one queue of images in one order, the same for all models: a permutation keyed by the run's seed, so
that the first images of a folder sorted by class stand for all. A level takes images from the front until its interval
is narrow enough; when they are all in, it takes a further noise draw of each. So any two models of a run share the
front of each queue, with its noise, and are compared there.

An interval that decides when to stop is looked at repeatedly, which costs coverage where few images are seen at first
(Chow & Robbins 1965): hence a start of 64, rounds that grow by 10% at least, and degrees of freedom that fall when few
images carry the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Estimate, Floats, jackknife
from ..noise import Noise
from .engine import Columns, Rows, evaluate_rows, observed
from .probe import Evaluations, Probe, Subject

START = 64
"""Images that every level begins with."""
GROWTH = (1.1, 2.0)
"""Least and most growth of a level in one round: few looks, none on a hasty guess."""


@dataclass(frozen=True)
class Target:
    """When an adaptive pass ends."""

    precision: float
    """Half-width of each level's interval over the denoising error; 0.02 is 2%."""
    draws: int
    """Noise draws of an image at a level, at most."""
    budget: int | None = None
    """Evaluations of the pass, at most; None: every image, `draws` times, at every level. What probes ask for beside
    the pass is not counted here but in `Probe.cost`."""
    confidence: float = 0.95

    def most(self, levels: int, images: int) -> int:
        """Evaluations of the pass, at most."""
        whole = levels * self.draws * images
        return whole if self.budget is None else min(self.budget, whole)

    def check(self, levels: int, images: int) -> None:
        """Raises ConfigError where the budget does not reach for two images at each level."""
        if self.most(levels, images) < 2 * levels:
            raise ConfigError(f"budget: expected at least 2 evaluations at each of {levels} levels, got {self.budget}")


def order_of(images: int, noise: Noise) -> Tensor:
    """The order in which images are asked about, `(images,)` ids: a permutation that hangs on the seed alone."""
    high, low = noise.words(torch.arange(images), "order", 0, 2).unbind(1)
    return torch.argsort((high << 31) ^ low, stable=True)


def measure_until(
    subject: Subject,
    probes: Sequence[Probe],
    target: Target,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda evaluations: None,
    watch: Callable[[Evaluations], None] = lambda seen: None,
) -> pd.DataFrame:
    """`engine.measure`'s table with as many rows at each level as `target` takes, in order of level, draw and image.

    A probe that asks about the first so many images asks about the first of the common order.
    """
    for probe in probes:
        probe.check(subject)
    levels, images = len(subject.sigmas), len(subject.data.images)
    target.check(levels, images)
    most = target.most(levels, images)
    order = order_of(images, subject.noise)
    rank = torch.argsort(order)
    errors: list[Floats] = [np.empty(0)] * levels
    done = np.zeros(levels, np.int64)
    wanted = np.full(levels, min(START, images, most // levels))
    parts: list[pd.DataFrame] = []
    while (wanted > done).any():
        rows = rows_of(done, wanted, order)
        table = Columns(len(rows.image))
        for seen in evaluate_rows(subject, rows, batch_size=batch_size, progress=progress):
            table.append(observed(seen, subject, probes, progress, rank))
            watch(seen)
        parts.append(table.frame())
        fresh = {level: found.to_numpy() for level, found in parts[-1].groupby("level")["error"]}
        errors = [np.concatenate((known, fresh.get(level, known[:0]))) for level, known in enumerate(errors)]
        done, wanted = wanted, _wanted(wanted, errors, images, target, most)
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values(["level", "draw", "image"], ignore_index=True)


def student_mean(values: Floats, confidence: float = 0.95) -> Estimate:
    """The mean of `(n,)` values, one an image, with Student's t interval; arrays `()`."""
    influence = jackknife(lambda mean: mean, values[:, None])
    half = stats.t.ppf((1 + confidence) / 2, influence.freedom) * influence.standard_error
    value = np.asarray(influence.value)
    return Estimate(value, value - half, value + half)


def rows_of(done: np.ndarray, wanted: np.ndarray, order: Tensor) -> Rows:
    """Units done ... wanted - 1 of each level's queue."""
    units = [torch.arange(first, last) for first, last in zip(done, wanted, strict=True)]
    index = torch.repeat_interleave(torch.arange(len(units)), torch.tensor([len(unit) for unit in units]))
    unit = torch.cat(units)
    return Rows(index, unit // len(order), order[unit % len(order)])


def _wanted(done: np.ndarray, errors: list[Floats], images: int, target: Target, most: int) -> np.ndarray:
    """How many units each level is to have next, the least sure level served first while the budget lasts."""
    needs = [_need(found, images, target) for found in errors]
    wanted = done.copy()
    for level in sorted(range(len(needs)), key=lambda level: (-needs[level], level)):
        if needs[level] == 0.0:
            break
        units, left = int(np.ceil(done[level] * np.clip(needs[level], *GROWTH))), most - int(wanted.sum())
        if done[level] < images:
            wanted[level] = min(units, images, done[level] + left)
        elif images <= left:
            wanted[level] += images  # one more draw of each, so that every image of a level has as many
    return wanted


def _need(errors: Floats, images: int, target: Target) -> float:
    """The factor by which a level's units fall short; 0 when it is done, or when no more of them can help."""
    draws = max(1, len(errors) // images)
    if len(errors) == images * target.draws:
        return 0.0
    table = errors.reshape(draws, -1)
    means = table.mean(axis=0)
    estimate = student_mean(means, target.confidence)
    half, allowed = float(estimate.high - estimate.value), target.precision * float(estimate.value)
    if half <= allowed:
        return 0.0
    if draws > 1 and half**2 * _images_share(table, target.confidence) > allowed**2:
        return 0.0
    return (half / allowed) ** 2 if allowed > 0 else np.inf


def _images_share(errors: Floats, confidence: float) -> float:
    """The share of the mean's variance that is the images' own, which further draws leave, at least (one-way analysis
    of variance of `(draws, images)` errors, lower bound by F)."""
    draws, images = errors.shape
    within, total = errors.var(axis=0, ddof=1).mean() / draws, errors.mean(axis=0).var(ddof=1)
    bound = stats.f.ppf(confidence, images - 1, images * (draws - 1))
    return max(0.0, 1.0 - float(bound * within / total)) if total > 0 else 0.0
