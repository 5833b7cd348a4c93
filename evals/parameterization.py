"""What a network predicts: x0, eps, v, the score, a flow velocity or EDM's F. One hub converts them all.

Every one of them is a direction in the plane of (x0, eps): the output is p = c0 x0 + c1 eps, with (c0, c1) a function
of the level alone. The noisy input is another direction, x_t = alpha x0 + sigma_t eps, so x0 and eps solve a 2 x 2
system:

    det = alpha c1 - sigma_t c0
    x0  = (c1 x_t - sigma_t p) / det
    eps = (alpha p - c0 x_t) / det

The two are exact together: no difference of nearly equal tensors at small sigma, no division by alpha at large, and a
network that does not determine x0 at a level (eps at alpha = 0) has det = 0, which raises. The same numbers give the
gain from an error in the output to an error in x0, |sigma_t / det|, and in eps, |alpha / det|.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError, ModelError
from ..registry import Registry
from .levels import Level, broadcast

Direction = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Prediction:
    """Clean data and noise as a network sees them in x_t, `(B, *)`; alpha x0 + sigma_t eps = x_t by construction."""

    x0: Tensor
    eps: Tensor


@dataclass(frozen=True)
class Parameterization:
    """A named direction p = c0 x0 + c1 eps."""

    name: str
    direction: Callable[[Level], Direction]
    """Level -> (c0, c1), float64, of the level's shape."""

    def predict(self, output: Tensor, x_t: Tensor, level: Level) -> Prediction:
        """Network output and input `(B, *)` -> (x0, eps). Raises ModelError where they are undetermined."""
        c0, c1 = self.direction(level)
        det = self._determinant(level)

        def scaled(weight: Tensor, tensor: Tensor) -> Tensor:
            return broadcast(weight / det, tensor) * tensor

        return Prediction(
            x0=scaled(c1, x_t) - scaled(level.sigma_t, output), eps=scaled(level.alpha, output) - scaled(c0, x_t)
        )

    def to_x0(self, output: Tensor, x_t: Tensor, level: Level) -> Tensor:
        """E[x0 | x_t] from the network's output; shapes `(B, *)`."""
        return self.predict(output, x_t, level).x0

    def from_x0(self, x0: Tensor, x_t: Tensor, level: Level) -> Tensor:
        """The output a network of this parameterization gives when it believes in `x0`. Needs sigma_t > 0."""
        c0, c1 = self.direction(level)
        if bool((level.sigma_t == 0).any()):
            raise ModelError(f"{self.name} from x0: expected sigma_t > 0 (at 0 the noise is undetermined), got 0")
        on_x0 = c0 - c1 * level.alpha / level.sigma_t
        return broadcast(on_x0, x_t) * x0 + broadcast(c1 / level.sigma_t, x_t) * x_t

    def gains(self, level: Level) -> tuple[Tensor, Tensor]:
        """Factors from an error in the output to the error in (x0, eps), at each level."""
        det = self._determinant(level)
        return (level.sigma_t / det).abs(), (level.alpha / det).abs()

    def _determinant(self, level: Level) -> Tensor:
        c0, c1 = self.direction(level)
        det = level.alpha * c1 - level.sigma_t * c0
        if bool(((det == 0) | ~torch.isfinite(det)).any()):
            raise ModelError(
                f"a {self.name} network does not determine x0 at alpha = {level.alpha.tolist()}, "
                f"sigma_t = {level.sigma_t.tolist()}"
            )
        return det


def _radius(level: Level) -> Tensor:
    return torch.hypot(level.alpha, level.sigma_t)


def _flow(level: Level) -> Direction:
    if level.d_alpha is None or level.d_sigma_t is None:
        raise ConfigError("flow velocity is d x_t / dt: expected a schedule with derivatives, got a table")
    return level.d_alpha, level.d_sigma_t


def _x0(level: Level) -> Direction:
    return torch.ones_like(level.alpha), torch.zeros_like(level.alpha)


def _eps(level: Level) -> Direction:
    return torch.zeros_like(level.alpha), torch.ones_like(level.alpha)


def _score(level: Level) -> Direction:
    return torch.zeros_like(level.alpha), -1.0 / level.sigma_t


def _v(level: Level) -> Direction:
    return -level.sigma_t / _radius(level), level.alpha / _radius(level)


def edm(sigma_data: float = 0.5) -> Parameterization:
    """The raw output F of EDM's preconditioning, D = c_skip x + c_out F (arXiv:2206.00364, table 1), x = x_t / alpha.

    F is -v measured in units of sigma_data.
    """
    if not sigma_data > 0:
        raise ConfigError(f"sigma_data: expected a positive number, got {sigma_data}")

    def direction(level: Level) -> Direction:
        scale = torch.hypot(level.sigma_t, sigma_data * level.alpha)
        return level.sigma_t / (sigma_data * scale), -sigma_data * level.alpha / scale

    return Parameterization(f"F(sigma_data={sigma_data:g})", direction)


X0 = Parameterization("x0", _x0)
EPS = Parameterization("eps", _eps)
V = Parameterization("v", _v)
SCORE = Parameterization("score", _score)
FLOW = Parameterization("flow", _flow)

PARAMETERIZATIONS: Registry[Parameterization] = Registry("parameterization")
for _parameterization in (X0, EPS, V, SCORE, FLOW):
    PARAMETERIZATIONS.register(_parameterization.name)(_parameterization)
PARAMETERIZATIONS.register("F")(edm())
