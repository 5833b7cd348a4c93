"""Two models asked about the same images under the same noise, a batch at a time, until a verdict is settled.

Every level takes images from the front of one queue (that of adaptive passes); after each batch the bounds of
metrics/sequential.py are looked at, levels that are settled are asked no more, and one that failed ends it all. What
was evaluated once is kept. cli_sequential.py makes the policy's verdict of the last look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..metrics.intervals import Floats, PairedRatio
from ..metrics.sequential import FIRST, Settled, anytime_log_ratio, settled, tuned
from .probes import Subject
from .probes.adaptive import order_of
from .probes.engine import Rows, evaluate_rows

GROWTH = 1.5
"""By which a level's images grow from look to look."""


@dataclass(frozen=True, eq=False)
class Look:
    """What is known after a batch. Errors are (images of the queue, levels), means over draws, NaN where not asked."""

    baseline: Floats
    candidate: Floats
    paired: PairedRatio
    settled: Settled
    evaluations: int
    """Network evaluations so far, of both models."""
    images: Tensor
    """Ids of the queue's images, `(N,)`."""


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

    def most(self, images: int) -> int:
        """Images of each level if none is settled early. Raises ConfigError for fewer than the first look takes."""
        within = images if self.budget is None else min(images, self.budget // (2 * self.draws * len(self.levels)))
        if within < FIRST:
            raise ConfigError(
                f"sequential: expected at least {FIRST} images at each of {len(self.levels)} levels, got {images}"
                + ("" if self.budget is None else f" and a budget of {self.budget:,} evaluations")
                + f"; the first look takes {2 * self.draws * FIRST * len(self.levels):,}"
            )
        return within


def search(
    baseline: Subject,
    candidate: Subject,
    how: Search,
    *,
    batch_size: int = 1024,
    progress: Callable[[int], None] = lambda evaluations: None,
) -> Iterator[Look]:
    """Look after look, the last one when the verdict is settled, the images are used up or the budget is.

    Raises ConfigError before any evaluation where there are too few images, and where the two subjects differ in their
    levels or noise.
    """
    if not torch.equal(baseline.sigmas, candidate.sigmas) or baseline.noise != candidate.noise:
        raise ConfigError("sequential: expected both models under the same levels and noise, got different ones")
    images, levels = len(baseline.data.images), how.levels
    eta2 = tuned(max(how.most(images) / 4, FIRST), 1 - how.confidence)
    order = order_of(images, baseline.noise)
    errors = [np.full((images, len(levels)), np.nan) for _ in range(2)]
    count, spent = np.zeros(len(levels), np.int64), 0
    live = np.ones(len(levels), bool)
    while True:
        wanted = _next(count, live, images, None if how.budget is None else how.budget - spent, how.draws)
        if (wanted == count).all():
            return
        rows = _rows(count, wanted, levels, order, how.draws)
        asked, _, image = rows
        place, column = torch.argsort(order)[image].numpy(), np.searchsorted(levels, asked.numpy())
        for subject, table in zip((baseline, candidate), errors, strict=True):
            seen = [part.error.cpu() for part in evaluate_rows(subject, rows, batch_size=batch_size, progress=progress)]
            sums = np.zeros_like(table)
            np.add.at(sums, (place, column), torch.cat(seen).numpy())
            new = np.zeros(table.shape, bool)
            new[place, column] = True
            table[new] = sums[new] / how.draws
        spent, count = spent + 2 * len(rows.image), wanted
        paired = anytime_log_ratio(errors[0], errors[1], how.confidence, eta2)
        found = settled(paired, how.margins[levels])
        yield Look(errors[0], errors[1], paired, found, spent, order)
        live = ~(found.passed | found.failed)
        if found.verdict:
            return


def _next(count: np.ndarray, live: np.ndarray, images: int, left: int | None, draws: int) -> np.ndarray:
    """How many images each level is to have: the live ones alike, as many as the budget still pays for."""
    if not live.any():
        return count
    now = int(count[live].max())
    target = min(images, max(FIRST, math.ceil(now * GROWTH)))
    if left is not None:
        target = min(target, now + left // (2 * draws * int(live.sum())))
    return np.where(live, target, count)


def _rows(count: np.ndarray, wanted: np.ndarray, levels: np.ndarray, order: Tensor, draws: int) -> Rows:
    """Of each level the queue's images count ... wanted - 1, every draw of them."""
    index, draw, image = [], [], []
    for level, first, last in zip(levels, count, wanted, strict=True):
        asked = order[first:last]
        index.append(torch.full((draws * len(asked),), int(level)))
        draw.append(torch.arange(draws).repeat_interleave(len(asked)))
        image.append(asked.repeat(draws))
    return Rows(torch.cat(index), torch.cat(draw), torch.cat(image))
