"""Grids of noise levels: (schedule, steps) -> the sigmas a solver visits, `(steps + 1,)`, descending, the last 0.

Levels come from the model's own range; a model that reaches sigma = 0 or infinity (a flow on [0, 1]) is visited within
[FLOOR, CEILING] where a grid needs a finite ratio.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ...errors import ConfigError
from ...registry import Registry
from ..levels import log_snr_levels
from ..schedules import Schedule, Table

FLOOR, CEILING = 2e-3, 1e3


class Grid(Protocol):
    def __call__(self, schedule: Schedule, steps: int) -> Tensor: ...


GRIDS: Registry[Grid] = Registry("grid")


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


def _counted(steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"steps: expected at least 1, got {steps}")
    return steps


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat((sigmas, sigmas.new_zeros(1)))
