"""Two models asked about the same images under the same noise, a batch at a time, until a verdict is settled.

`look_by_look` is the search itself: it says which (image, level) it wants, is told errors, and looks at the bounds of
metrics/sequential.py. Levels that are settled are asked no more, one that failed ends it all, and the budget holds.
`search` has two models answer it; benchmarks/calibrate.py, worlds whose truth is known. Every level takes images from
the front of one queue, that of adaptive passes. cli_sequential.py makes the policy's verdict of the last look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError
from ..metrics.intervals import Floats, PairedRatio
from ..metrics.sequential import FIRST, Settled, anytime_log_ratio, settled, tuned
from .conditioning import GuidedDenoiser
from .probes import Subject
from .probes.adaptive import order_of
from .probes.engine import Rows, evaluate_rows

GROWTH = 1.5
"""By which a level's images grow from look to look."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Errors of both models at the (image, level) pairs asked for, `(M,)`, level by level and by image within."""

    baseline: Floats
    candidate: Floats
    evaluations: int
    """Network evaluations they took."""


Ask = Callable[[NDArray[np.bool_]], Answers]
"""Takes which pairs are wanted, `(images of the queue, levels)`."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is known after a batch. Errors are (images of the queue, levels), means over draws, NaN where not asked."""

    baseline: Floats
    candidate: Floats
    paired: PairedRatio
    settled: Settled
    evaluations: int
    """Network evaluations so far, of both models."""


@dataclass(frozen=True, eq=False)
class Search:
    """How far to look. margins: of the log ratio, one a level, NaN where the level does not matter and isn't asked."""

    margins: Floats
    draws: int = 1
    """Noise draws of an image at a level, made together: an image is one observation."""
    budget: int | None = None
    """Network evaluations of both models, at most; None: what all images take."""
    confidence: float = 0.95

    @property
    def levels(self) -> np.ndarray:
        return np.flatnonzero(~np.isnan(self.margins))

    def prices(self, *subjects: Subject) -> Floats:
        """Network evaluations of one image at each of `levels`, by all subjects together, at most."""
        each = self.draws * np.stack([price(subject) for subject in subjects])[:, self.levels]
        total: Floats = each.sum(axis=0)
        return total


def look_by_look(
    ask: Ask, images: int, margins: Floats, prices: Floats, budget: int | None = None, confidence: float = 0.95
) -> Iterator[Look]:
    """Look after look, the last one when the verdict is settled, the images are used up or the budget is.

    margins: of the log ratio, (levels,). prices: network evaluations that one image takes at each level, of both models
    together, at most. Raises ConfigError before anything is asked where images or budget don't reach for a first look.
    """
    eta2 = tuned(max(_most(images, prices, budget) / 4, FIRST), 1 - confidence)
    baseline, candidate = np.full((2, images, len(margins)), np.nan)
    count, spent = np.zeros(len(margins), np.int64), 0
    live = np.ones(len(margins), bool)
    while True:
        wanted = _next(count, live, images, prices, None if budget is None else budget - spent)
        if (wanted == count).all():
            return
        place = np.arange(images)[:, None]
        fresh = (place >= count) & (place < wanted)
        answers = ask(fresh)
        baseline.T[fresh.T], candidate.T[fresh.T] = answers.baseline, answers.candidate
        spent, count = spent + answers.evaluations, wanted
        paired = anytime_log_ratio(baseline, candidate, confidence, eta2)
        found = settled(paired, margins)
        yield Look(baseline, candidate, paired, found, spent)
        live = ~(found.passed | found.failed)
        if found.verdict:
            return


def search(
    baseline: Subject,
    candidate: Subject,
    how: Search,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda evaluations: None,
) -> Iterator[Look]:
    """`look_by_look` of two models, at the levels that have a margin.

    Raises ConfigError before any evaluation where there are too few images, or too small a budget, and where the two
    subjects differ in their levels or noise.
    """
    if not torch.equal(baseline.sigmas, candidate.sigmas) or baseline.noise != candidate.noise:
        raise ConfigError("sequential: expected both models under the same levels and noise, got different ones")
    images, levels, both = len(baseline.data.images), torch.from_numpy(how.levels), (baseline, candidate)
    order = order_of(images, baseline.noise)

    def ask(fresh: NDArray[np.bool_]) -> Answers:
        column, place = (torch.from_numpy(index).repeat_interleave(how.draws) for index in np.nonzero(fresh.T))
        rows = Rows(levels[column], torch.arange(how.draws).repeat(len(column) // how.draws), order[place])
        (ours, first), (theirs, second) = (_asked(one, rows, how.draws, batch_size, progress) for one in both)
        return Answers(ours, theirs, first + second)

    return look_by_look(ask, images, how.margins[how.levels], how.prices(*both), how.budget, how.confidence)


def price(subject: Subject) -> Floats:
    """Network evaluations of one row at each level, at most: two where classifier-free guidance acts."""
    sigmas = subject.sigmas.cpu().numpy()
    if not isinstance(subject.denoiser, GuidedDenoiser) or subject.denoiser.guidance.scale == 1.0:
        return np.ones(len(sigmas))
    low, high = subject.denoiser.guidance.interval
    return np.where((sigmas >= low) & (sigmas <= high), 2.0, 1.0)


def _asked(
    subject: Subject, rows: Rows, draws: int, batch_size: int, progress: Callable[[int], None]
) -> tuple[Floats, int]:
    """The error of each image at each level, the mean of its draws, which stand side by side in `rows`; and how many
    network evaluations that took."""
    before = subject.denoiser.evaluations
    seen = [part.error.cpu() for part in evaluate_rows(subject, rows, batch_size=batch_size, progress=progress)]
    means: Floats = torch.cat(seen).reshape(-1, draws).mean(1).numpy()
    return means, subject.denoiser.evaluations - before


def _most(images: int, prices: Floats, budget: int | None) -> int:
    """Images of each level if none is settled early. Raises ConfigError for fewer than the first look takes."""
    if images < FIRST:
        raise ConfigError(f"sequential: expected at least {FIRST} images, the first look's, got {images}")
    each = float(prices.sum())
    if budget is not None and budget < each * FIRST:
        raise ConfigError(
            f"sequential: expected a budget of at least {each * FIRST:,.0f} evaluations, those of a first look at "
            f"{FIRST} images at each of {len(prices)} levels by both models, got {budget:,}"
        )
    return images if budget is None else min(images, int(budget // each))


def _next(count: np.ndarray, live: np.ndarray, images: int, prices: Floats, left: int | None) -> np.ndarray:
    """How many images each level is to have: the live ones alike, as many as the budget still pays for."""
    if not live.any():
        return count
    now = int(count[live].max())
    target = min(images, max(FIRST, math.ceil(now * GROWTH)))
    if left is not None:
        target = min(target, now + int(left // float(prices[live].sum())))
    return np.where(live, target, count)
