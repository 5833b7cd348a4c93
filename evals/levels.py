"""The noise coordinate: everything Sigmascope measures is keyed by sigma = sigma_t / alpha_t, whatever the clock.

A model's forward process is x_t = alpha x0 + sigma_t eps, with data at t = 0. The scaled state x_t / alpha has noise of
standard deviation sigma for every model, which is what puts them on one axis. A `Level` carries (alpha, sigma_t), not
only their ratio, so that the pure-noise end (alpha = 0) is representable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError


@dataclass(frozen=True)
class Level:
    """Noise levels of one forward process. All fields are float64 tensors of one shape, `()` or `(B,)`, on the CPU."""

    alpha: Tensor
    """Scale of the clean data in x_t."""
    sigma_t: Tensor
    """Standard deviation of the noise in x_t."""
    time: Tensor
    """The schedule's native time."""
    d_alpha: Tensor | None = None
    """d alpha / d time; None where the schedule is a table."""
    d_sigma_t: Tensor | None = None
    """d sigma_t / d time; None where the schedule is a table."""

    @property
    def sigma(self) -> Tensor:
        """sigma_t / alpha: the noise coordinate, from 0 to infinity."""
        return self.sigma_t / self.alpha

    @property
    def log_snr(self) -> Tensor:
        """log(alpha^2 / sigma_t^2) = -2 log sigma."""
        return 2.0 * (torch.log(self.alpha) - torch.log(self.sigma_t))

    def __getitem__(self, index: slice | Tensor) -> Level:
        """The levels of some rows; a single level `()` stands for every row."""
        if self.alpha.ndim == 0:
            return self
        parts = (self.alpha, self.sigma_t, self.time, self.d_alpha, self.d_sigma_t)
        return Level(*(None if part is None else part[index] for part in parts))  # type: ignore[arg-type]

    def rescaled(self, unit: float) -> Level:
        """The same levels with data and noise measured in another unit: sigma_t / unit."""
        slope = None if self.d_sigma_t is None else self.d_sigma_t / unit
        return Level(self.alpha, self.sigma_t / unit, self.time, self.d_alpha, slope)


def broadcast(value: Tensor, like: Tensor) -> Tensor:
    """`()` or `(B,)` -> something that multiplies `like` `(B, *)`: its dtype, its device, trailing ones."""
    value = value.to(dtype=like.dtype, device=like.device)
    return value if value.ndim == 0 else value.reshape(-1, *(1,) * (like.ndim - 1))


def log_snr_levels(sigma_min: float, sigma_max: float, count: int) -> Tensor:
    """`count` sigmas, uniform in log-SNR (equivalently in log sigma), ascending, float64."""
    if not (0 < sigma_min <= sigma_max < float("inf") and count >= 1):
        raise ConfigError(
            "levels: expected 0 < sigma_min <= sigma_max < inf and a count of at least 1, "
            f"got {sigma_min}, {sigma_max}, {count}"
        )
    ends = torch.tensor([sigma_min, sigma_max], dtype=torch.float64).log()
    sigmas = torch.linspace(float(ends[0]), float(ends[1]), count, dtype=torch.float64).exp()
    sigmas[0], sigmas[-1] = sigma_min, sigma_max if count > 1 else sigma_min
    return sigmas
