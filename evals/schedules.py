"""Forward processes: native time -> Level, and sigma -> native time.

Each schedule is a small frozen value. Its native time may run over [0, 1], over integer indices or be sigma itself; its
ends are part of it. Asking beyond them raises: a level outside the model's range is never moved silently.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from ..errors import ConfigError
from .levels import Level

OffGrid = Literal["interpolate", "snap", "refuse"]


class Schedule(ABC):
    """x_t = alpha(t) x0 + sigma_t(t) eps for t from `first` (least noise) to `last` (most)."""

    first: float
    last: float

    @abstractmethod
    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma_t) at native times, float64, elementwise."""

    @abstractmethod
    def time_of(self, sigma: Tensor) -> Tensor:
        """The native time at which sigma_t / alpha is `sigma`; no range check."""

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor] | None:
        """(d alpha / dt, d sigma_t / dt), or None where the schedule has no derivative."""
        with torch.inference_mode(False), torch.enable_grad():
            time = time.clone().requires_grad_()
            slopes = [
                torch.autograd.grad(value.sum(), time, retain_graph=True)[0] if value.requires_grad else None
                for value in self.coefficients(time)
            ]
        alpha, sigma_t = (torch.zeros_like(time) if slope is None else slope for slope in slopes)
        return alpha.detach(), sigma_t.detach()

    def __call__(self, time: Tensor | float) -> Level:
        """The level at a native time `()` or `(B,)`. Raises ConfigError outside [first, last]."""
        time = torch.as_tensor(time, dtype=torch.float64).cpu()
        low, high = sorted((self.first, self.last))
        if not bool(((time >= low) & (time <= high)).all()):
            raise ConfigError(f"time: expected within [{low:g}, {high:g}] for {self}, got {time.tolist()}")
        alpha, sigma_t = self.coefficients(time)
        return Level(alpha, sigma_t, time, *(self.derivatives(time) or (None, None)))

    def at(self, sigma: Tensor | float) -> Level:
        """The level of noise `sigma` `()` or `(B,)`. Raises ConfigError outside [sigma_min, sigma_max]."""
        sigma = torch.as_tensor(sigma, dtype=torch.float64).cpu()
        slack = 1e-9
        if not bool(((sigma >= self.sigma_min * (1 - slack)) & (sigma <= self.sigma_max * (1 + slack))).all()):
            raise ConfigError(
                f"sigma: expected within [{self.sigma_min:.6g}, {self.sigma_max:.6g}], the range of {self}, "
                f"got {sigma.tolist()}"
            )
        low, high = sorted((self.first, self.last))
        return self(self.time_of(sigma).clamp(low, high))

    def rescaled(self, unit: float) -> Schedule:
        """The same process with data and noise measured in another unit: sigma_t / unit."""
        return self if unit == 1.0 else Rescaled(self, unit)

    @property
    def sigma_min(self) -> float:
        return float(self(self.first).sigma)

    @property
    def sigma_max(self) -> float:
        return float(self(self.last).sigma)


@dataclass(frozen=True)
class Rescaled(Schedule):
    """A schedule whose noise is measured in units of another data range."""

    base: Schedule
    unit: float

    @property
    def first(self) -> float:  # type: ignore[override]
        return self.base.first

    @property
    def last(self) -> float:  # type: ignore[override]
        return self.base.last

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma_t = self.base.coefficients(time)
        return alpha, sigma_t / self.unit

    def derivatives(self, time: Tensor) -> tuple[Tensor, Tensor] | None:
        slopes = self.base.derivatives(time)
        return slopes and (slopes[0], slopes[1] / self.unit)

    def time_of(self, sigma: Tensor) -> Tensor:
        return self.base.time_of(sigma * self.unit)


@dataclass(frozen=True)
class EDM(Schedule):
    """x = x0 + sigma eps with sigma itself as time (Karras et al. 2022, arXiv:2206.00364)."""

    first: float = 0.002
    last: float = 80.0

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(time), time

    def time_of(self, sigma: Tensor) -> Tensor:
        return sigma


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding: sigma geometric in t over [0, 1] (Song et al. 2021, arXiv:2011.13456)."""

    low: float = 0.01
    high: float = 50.0
    first: float = field(default=0.0, init=False)
    last: float = field(default=1.0, init=False)

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(time), self.low * (self.high / self.low) ** time

    def time_of(self, sigma: Tensor) -> Tensor:
        return torch.log(sigma / self.low) / math.log(self.high / self.low)


@dataclass(frozen=True)
class VP(Schedule):
    """Variance preserving, beta linear in t: log alpha = -(t beta_min + t^2 (beta_max - beta_min) / 2) / 2."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    first: float = 1e-3
    last: float = 1.0

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        log_alpha_bar = self._log_alpha_bar(time)
        return torch.exp(0.5 * log_alpha_bar), torch.sqrt(-torch.expm1(log_alpha_bar))

    def time_of(self, sigma: Tensor) -> Tensor:
        return self._time_of_log_alpha_bar(-torch.log1p(sigma**2))

    def _log_alpha_bar(self, time: Tensor) -> Tensor:
        return -time * (self.beta_min + 0.5 * time * (self.beta_max - self.beta_min))

    def _time_of_log_alpha_bar(self, value: Tensor) -> Tensor:
        slope = self.beta_max - self.beta_min
        return -2.0 * value / (self.beta_min + torch.sqrt(self.beta_min**2 - 2.0 * slope * value))


@dataclass(frozen=True)
class SubVP(VP):
    """Sub-VP (arXiv:2011.13456): alpha as VP's, sigma_t = 1 - alpha^2, so alpha^2 + sigma_t^2 < 1."""

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        log_alpha_bar = self._log_alpha_bar(time)
        return torch.exp(0.5 * log_alpha_bar), -torch.expm1(log_alpha_bar)

    def time_of(self, sigma: Tensor) -> Tensor:
        # alpha solves alpha^2 + sigma alpha - 1 = 0
        return self._time_of_log_alpha_bar(2.0 * torch.log(2.0 / (sigma + torch.sqrt(sigma**2 + 4.0))))


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha = cos((t + o)/(1 + o) pi/2) / cos(o/(1 + o) pi/2), variance preserving (arXiv:2102.09672)."""

    offset: float = 0.008
    first: float = 1e-3
    last: float = 0.999

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        alpha = torch.cos(self._angle(time)) / math.cos(self._start)
        # 1 - alpha^2 by the product of sines: no cancellation near t = 0
        spread = torch.sin(self._angle(time) - self._start) * torch.sin(self._angle(time) + self._start)
        return alpha, torch.sqrt(spread) / math.cos(self._start)

    def time_of(self, sigma: Tensor) -> Tensor:
        # sin^2(angle) = (sigma^2 + sin^2(start)) / (1 + sigma^2)
        sine = torch.sqrt((sigma**2 + math.sin(self._start) ** 2) / (1.0 + sigma**2))
        cosine = math.cos(self._start) / torch.sqrt(1.0 + sigma**2)
        return torch.atan2(sine, cosine) * 2.0 / math.pi * (1.0 + self.offset) - self.offset

    @property
    def _start(self) -> float:
        return self.offset / (1.0 + self.offset) * math.pi / 2

    def _angle(self, time: Tensor) -> Tensor:
        return (time + self.offset) / (1.0 + self.offset) * (math.pi / 2)


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """x_t = (1 - t) x0 + t eps (Liu et al., arXiv:2209.03003; the linear path of flow matching, arXiv:2210.02747).

    At t = 1 alpha is 0 and sigma infinite: representable, and defined for flow, v and x0 networks.
    """

    first: float = 0.0
    last: float = 1.0

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        return 1.0 - time, time

    def time_of(self, sigma: Tensor) -> Tensor:
        return torch.where(torch.isinf(sigma), torch.ones_like(sigma), sigma / (1.0 + sigma))


@dataclass(frozen=True, eq=False)
class Table(Schedule):
    """A variance-preserving or -exploding table over integer times 0 .. T-1, least noise first.

    Between its entries log sigma is linear in time (what k-diffusion and diffusers do) under `off_grid="interpolate"`;
    "snap" moves a sigma to the nearest entry and says so by the Level it returns; "refuse" raises.
    """

    log_sigma: Tensor
    """`(T,)` float64, increasing; the last may be infinite (zero terminal SNR)."""
    preserving: bool = True
    """alpha^2 + sigma_t^2 = 1, else alpha = 1."""
    off_grid: OffGrid = "interpolate"
    unit: float = 1.0
    """sigma_t is measured in this; log_sigma is already."""

    def __post_init__(self) -> None:
        if self.off_grid not in ("interpolate", "snap", "refuse"):
            raise ConfigError(f"off_grid: expected 'interpolate', 'snap' or 'refuse', got {self.off_grid!r}")
        rising = self.log_sigma.ndim == 1 and len(self.log_sigma) > 1 and bool((self.log_sigma.diff() > 0).all())
        if not rising or bool(torch.isinf(self.log_sigma[0])):
            raise ConfigError(
                "schedule table: expected at least two noise levels, strictly increasing from a finite log sigma, "
                f"got {self.log_sigma.tolist()[:8]}"
            )

    @classmethod
    def from_betas(cls, betas: Tensor, off_grid: OffGrid = "interpolate") -> Table:
        """From the per-step variances of DDPM `(T,)`. log(1 - beta) is summed in float64, safe at both ends."""
        betas = torch.as_tensor(betas, dtype=torch.float64).cpu()
        if not bool(((betas > 0) & (betas <= 1)).all()):
            raise ConfigError(f"betas: expected values in (0, 1], got [{float(betas.min())}, {float(betas.max())}]")
        return cls._from_log_alpha_bar(torch.cumsum(torch.log1p(-betas), 0), off_grid)

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Tensor, off_grid: OffGrid = "interpolate") -> Table:
        """From the cumulative products abar_t `(T,)`, decreasing from just under 1; 0 only at the very end."""
        values = torch.as_tensor(alphas_cumprod, dtype=torch.float64).cpu()
        if not bool(((values >= 0) & (values < 1)).all()):
            raise ConfigError(
                f"alphas_cumprod: expected values in [0, 1), got [{float(values.min())}, {float(values.max())}]"
            )
        return cls._from_log_alpha_bar(torch.log(values), off_grid)

    @classmethod
    def from_sigmas(cls, sigmas: Tensor, off_grid: OffGrid = "interpolate") -> Table:
        """A variance-exploding table `(T,)`: alpha = 1, sigma increasing."""
        return cls(torch.log(torch.as_tensor(sigmas, dtype=torch.float64).cpu()), preserving=False, off_grid=off_grid)

    @classmethod
    def _from_log_alpha_bar(cls, log_alpha_bar: Tensor, off_grid: OffGrid) -> Table:
        return cls(0.5 * (torch.log(-torch.expm1(log_alpha_bar)) - log_alpha_bar), off_grid=off_grid)

    @property
    def first(self) -> float:  # type: ignore[override]
        return 0.0

    @property
    def last(self) -> float:  # type: ignore[override]
        return float(len(self.log_sigma) - 1)

    def coefficients(self, time: Tensor) -> tuple[Tensor, Tensor]:
        below = time.floor().long()
        fraction = time - below
        if self.off_grid != "interpolate" and bool((fraction != 0).any()):
            raise ConfigError(f"time: expected an integer index ({self.off_grid} policy), got {time.tolist()}")
        above = (below + 1).clamp(max=len(self.log_sigma) - 1)
        low, high = self.log_sigma[below], self.log_sigma[above]
        if bool((torch.isinf(high) & (fraction > 0)).any()):
            raise ConfigError(
                f"time: no level between the last finite entry and zero terminal SNR, got {time.tolist()}"
            )
        log_sigma = torch.where(fraction == 0, low, low + fraction * (high - low))
        if not self.preserving:
            return torch.ones_like(log_sigma), log_sigma.exp()
        # alpha^2 = sigmoid(log-SNR): exact at both ends
        log_sigma = log_sigma + math.log(self.unit)
        return torch.sigmoid(-2.0 * log_sigma).sqrt(), torch.sigmoid(2.0 * log_sigma).sqrt() / self.unit

    def rescaled(self, unit: float) -> Table:
        return replace(self, log_sigma=self.log_sigma - math.log(unit), unit=self.unit * unit)

    def derivatives(self, time: Tensor) -> None:
        return None

    def time_of(self, sigma: Tensor) -> Tensor:
        wanted = torch.log(sigma)
        above = torch.searchsorted(self.log_sigma, wanted).clamp(1, len(self.log_sigma) - 1)
        low, high = self.log_sigma[above - 1], self.log_sigma[above]
        fraction = torch.where(
            torch.isinf(wanted), 1.0, torch.where(torch.isinf(high), 0.0, (wanted - low) / (high - low))
        )
        nearest = above - 1 + fraction.round()
        if self.off_grid == "snap":
            return nearest
        if bool((torch.isinf(high) & torch.isfinite(wanted) & (wanted > low + 1e-9)).any()):
            raise ConfigError(
                f"sigma: no level between the last finite entry and zero terminal SNR, got {sigma.tolist()}"
            )
        time = above - 1 + fraction
        on_grid = (time - nearest).abs() < 1e-9
        if self.off_grid == "refuse" and not bool(on_grid.all()):
            raise ConfigError(f"sigma: expected one of the table's {len(self.log_sigma)} levels, got {sigma.tolist()}")
        return torch.where(on_grid, nearest, time)

    def __repr__(self) -> str:
        kind = "VP" if self.preserving else "VE"
        return f"Table({kind}, {len(self.log_sigma)} levels, off_grid={self.off_grid!r})"
