"""Noise bands: the shared range of two models cut in log-SNR, and a grid of levels on which every cut is a level.

Schedules + a sampler's grid -> divide -> Bands -> stitching.py. Bands are numbered as a sampler meets them: 0 has the
most noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import ConfigError
from ..levels import log_snr_levels
from ..samplers import Grid
from ..samplers.grids import finite_range
from ..schedules import Schedule


@dataclass(frozen=True)
class Bands:
    """K bands of noise levels and the levels visited in each."""

    edges: tuple[float, ...]
    """K + 1 sigmas, descending. The last band ends at the lowest sigma, and its last step goes on to 0."""
    sigmas: tuple[Tensor, ...]
    """Per band the levels visited, descending, its two ends included: a band begins where the one before ended."""

    @property
    def count(self) -> int:
        return len(self.sigmas)

    @property
    def levels(self) -> Tensor:
        """All levels visited, descending to 0."""
        return torch.cat([self.sigmas[0][:1], *(levels[1:] for levels in self.sigmas)])

    @property
    def steps(self) -> int:
        return len(self.levels) - 1

    def first(self, band: int) -> int:
        """The number of a band's first step."""
        return sum(len(levels) - 1 for levels in self.sigmas[:band])


def shared_range(schedules: Sequence[Schedule]) -> tuple[float, float]:
    """The sigmas that all schedules reach, lowest and highest. Raises ConfigError where there are none."""
    ranges = [finite_range(schedule) for schedule in schedules]
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    if not low < high:
        raise ConfigError(
            "expected models with noise levels in common, got sigma "
            + " and ".join(f"{low:.4g}–{high:.4g}" for low, high in ranges)
        )
    return low, high


def uniform_edges(low: float, high: float, count: int) -> tuple[float, ...]:
    """`count` + 1 sigmas from `high` to `low`, uniform in log-SNR."""
    if count < 1:
        raise ConfigError(f"bands: expected at least 1, got {count}")
    return tuple(log_snr_levels(low, high, count + 1).flip(0).tolist())


def checked_edges(inner: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    """Cuts in any order, with both ends of the range. Raises ConfigError for one outside it, or given twice."""
    cuts = sorted(inner, reverse=True)
    outside = [cut for cut in cuts if not low < cut < high]
    if outside or len(set(cuts)) < len(cuts):
        raise ConfigError(
            f"edges: expected distinct sigmas between {low:.4g} and {high:.4g}, the range both models share, got "
            + ", ".join(f"{cut:g}" for cut in inner)
        )
    return (high, *cuts, low)


def divide(schedule: Schedule, grid: Grid, steps: int, edges: Sequence[float]) -> Bands:
    """`steps` steps from edges[0] to 0, every edge a level: the grid says how many each band gets.

    It is two at least, so that a level lies inside each band, or one where there are fewer than 2 K steps. Inside a
    band levels are uniform in log-SNR; the last band's last step goes from edges[-1] to 0. Under `log_snr` bands of one
    width get equally many steps where K divides them, and then a full tree costs (2^(K+1) - 2) / K runs.
    Raises ConfigError for fewer steps than bands.
    """
    count = len(edges) - 1
    if steps < count:
        raise ConfigError(f"steps: expected at least one for each of {count} bands, got {steps}")
    levels = grid(schedule, steps)[:-1].log().numpy()
    place = np.interp(-np.log(edges), -levels, np.arange(len(levels), dtype=float))
    shares = np.diff(place)
    shares[-1] += 1  # the step to 0
    sigmas = []
    dealt = deal(shares, steps, least=2 if steps >= 2 * count else 1)
    for high, low, number in zip(edges[:-1], edges[1:], dealt, strict=True):
        if low == edges[-1]:
            to_low = log_snr_levels(low if number > 1 else high, high, number).flip(0)
            sigmas.append(torch.cat((to_low, to_low.new_zeros(1))))
        else:
            sigmas.append(log_snr_levels(low, high, number + 1).flip(0))
    return Bands(tuple(edges), tuple(sigmas))


def deal(shares: np.ndarray, total: int, least: int = 1) -> list[int]:
    """`total` dealt in proportion to `shares`, `least` each at least, to whole numbers by the largest remainder."""
    wanted = shares * total / shares.sum()
    numbers = np.maximum(np.floor(wanted + 1e-9), float(least))
    while numbers.sum() < total:
        numbers[np.argmax(np.round(wanted - numbers, 9))] += 1
    while numbers.sum() > total:
        numbers[np.argmax(np.where(numbers > least, numbers - wanted, -np.inf))] -= 1
    return [int(number) for number in numbers]
