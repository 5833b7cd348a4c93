"""Grids of noise levels: (schedule, steps) -> the sigmas a solver visits, `(steps + 1,)`, descending, the last 0.

A suite names one, or says the levels themselves, without the 0: `sigmas(80, 12.5, 2.1, 0.4, 0.002)`. Levels come from
the model's own range; a model that reaches sigma = 0 or infinity (a flow on [0, 1]) is visited within [FLOOR, CEILING]
where a grid needs a finite ratio.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ...errors import ConfigError
from ...registry import Registry, parts
from ..levels import log_snr_levels
from ..schedules import Schedule, Table

FLOOR, CEILING = 2e-3, 1e3


class Grid(Protocol):
    def __call__(self, schedule: Schedule, steps: int) -> Tensor: ...


class Grids(Registry[Grid]):
    """Grids by name; `sigmas(...)` with levels in parentheses is made of them."""

    def __getitem__(self, name: str) -> Grid:
        if name.partition("(")[0] == "sigmas":
            _, levels, options = parts(self.kind, name)
            return _given(name, [*levels, *options.values()])
        try:
            return super().__getitem__(name)
        except ConfigError as error:
            raise ConfigError(f"{error}, or levels of one's own: {EXAMPLE}") from error


EXAMPLE = "sigmas(80, 5, 0.4, 0.002)"
GRIDS: Registry[Grid] = Grids("grid")


def finite_range(schedule: Schedule) -> tuple[float, float]:
    """The schedule's sigma range, with an end at 0 or infinity replaced by FLOOR or CEILING."""
    if isinstance(schedule, Table):
        finite = schedule.log_sigma[torch.isfinite(schedule.log_sigma)].exp()
        return float(finite[0]), float(finite[-1])
    return max(schedule.sigma_min, FLOOR), min(schedule.sigma_max, CEILING)


@GRIDS.register("karras")
def karras(schedule: Schedule, steps: int, rho: float = 7.0) -> Tensor:
    """sigma^(1/rho) linear from the model's sigma_max to its sigma_min (arXiv:2206.00364, eq. 5), then 0."""
    low, high = (end ** (1.0 / rho) for end in finite_range(schedule))
    return _to_zero((torch.linspace(high, low, _counted(steps), dtype=torch.float64)) ** rho)


@GRIDS.register("log_snr")
def log_snr(schedule: Schedule, steps: int) -> Tensor:
    """Uniform in log-SNR from the model's sigma_max to its sigma_min, then 0 (arXiv:2211.01095)."""
    low, high = finite_range(schedule)
    return _to_zero(log_snr_levels(low if steps > 1 else high, high, _counted(steps)).flip(0))


@GRIDS.register("linear")
def linear(schedule: Schedule, steps: int) -> Tensor:
    """`steps` levels equidistant in the model's native time from its last towards its first, then 0."""
    times = torch.linspace(schedule.last, schedule.first, _counted(steps) + 1, dtype=torch.float64)
    return _to_zero(schedule(times[:-1]).sigma)


@GRIDS.register("trailing")
def trailing(schedule: Schedule, steps: int) -> Tensor:
    """Indices T - 1, T - 1 - T/n, ...: starts at the last level (arXiv:2305.08891, table 2)."""
    if not isinstance(schedule, Table):
        raise ConfigError(f"grid 'trailing': expected a table of levels, got {schedule}; try 'linear'")
    count = len(schedule.log_sigma)
    if _counted(steps) > count:
        raise ConfigError(f"grid 'trailing': expected at most {count} steps, got {steps}")
    return _to_zero(schedule(torch.round(torch.arange(steps, 0, -1, dtype=torch.float64) * count / steps) - 1).sigma)


def grid_name(levels: Sequence[float]) -> str:
    """The grid of these levels above 0, descending, as a suite names it: six digits, ten at the ends of the range."""
    last = len(levels) - 1
    return f"sigmas({', '.join(f'{level:.{10 if index in (0, last) else 6}g}' for index, level in enumerate(levels))})"


def _given(name: str, levels: Sequence[object]) -> Grid:
    """The grid of the levels in `name`. Raises ConfigError unless they are finite, above 0 and descending."""
    numbers = [float(level) for level in levels if isinstance(level, (int, float)) and 0 < level < math.inf]
    if not numbers or len(numbers) < len(levels) or any(low >= high for high, low in itertools.pairwise(numbers)):
        raise ConfigError(f"grid {name!r}: expected finite levels above 0, descending, such as {EXAMPLE}")

    def grid(schedule: Schedule, steps: int) -> Tensor:
        if steps != len(numbers):
            raise ConfigError(f"grid {name!r}: has {len(numbers)} steps, got {steps}")
        levels = torch.tensor(numbers, dtype=torch.float64)
        schedule.at(levels)  # raises outside the model's range
        return _to_zero(levels)

    return grid


def _counted(steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"steps: expected at least 1, got {steps}")
    return steps


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat((sigmas, sigmas.new_zeros(1)))
