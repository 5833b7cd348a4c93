"""Denoising error: mean squared distance between a denoiser's estimate and the clean image, per image and per level.

Pairs (prediction, target) -> denoising_error -> a table of errors -> intervals.py. Errors are in x0 units; a factor per
level turns them into the units of any other parameterization.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigError, DataError

Unit = Literal["x0", "eps", "v", "flow", "F"]


def denoising_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over all dimensions but the first of (prediction - target)^2, float64, shape (B,). Raises DataError."""
    if prediction.shape != target.shape or prediction.ndim < 2 or prediction[:1].numel() == 0:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise DataError(f"expected prediction and target of one shape (B, ...), got {shapes}")
    return (prediction.double() - target.double()).square().flatten(1).mean(dim=1)


def error_unit_factor(sigma: ArrayLike, unit: Unit, sigma_data: float | None = None) -> NDArray[np.float64]:
    """What turns an x0 error at noise level sigma (= sigma_t/alpha_t > 0) into the error of `unit`'s target.

    An error of the network's output reaches x0 through one coefficient c(sigma), so the factor is 1/c^2: eps: c = s;
    v: c = s/sqrt(1+s^2); flow: c = s/(1+s); F (EDM's raw output): c = s sd/sqrt(s^2+sd^2), which needs sigma_data.
    Raises ConfigError for an unknown unit, a missing or non-positive sigma_data, or a sigma that isn't positive.
    """
    s = np.asarray(sigma, dtype=np.float64)
    if not (s > 0).all():
        raise ConfigError(f"expected noise levels above 0, got {s[~(s > 0)].ravel()[0]}")
    if unit == "x0":
        return np.ones_like(s)
    if unit == "eps":
        return 1 / s**2
    if unit == "v":
        return 1 + 1 / s**2
    if unit == "flow":
        return (1 + 1 / s) ** 2
    if unit == "F":
        if sigma_data is None or not sigma_data > 0:
            raise ConfigError(f"unit 'F' needs sigma_data above 0, got {sigma_data}")
        return 1 / s**2 + 1 / sigma_data**2
    raise ConfigError(f"unknown error unit {unit!r}; expected one of: {', '.join(get_args(Unit))}")


class DenoisingError(Metric):  # type: ignore[misc]
    """Mean denoising error at each of a list of levels, accumulated over batches and processes in float64.

    update(prediction, target, level_index): tensors (B, ...) and the index into `sigmas` of each row (B,) or of all.
    compute(): mean (levels,), NaN where nothing was scored. standard_error(): of that mean, NaN below 2 scores; it
    takes scores as independent, so cluster several draws of one image through intervals.py instead.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False
    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, sigmas: Sequence[float]) -> None:
        super().__init__()
        if not len(sigmas):
            raise ConfigError("expected at least one noise level, got none")
        self.sigmas = tuple(float(sigma) for sigma in sigmas)
        for name in ("count", "total", "squares"):
            self.add_state(name, torch.zeros(len(self.sigmas), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor, level_index: Tensor | int) -> None:
        error = denoising_error(prediction, target)
        index = torch.as_tensor(level_index, device=error.device).expand(error.shape)
        if index.is_floating_point() or not ((index >= 0) & (index < len(self.sigmas))).all():
            raise DataError(f"expected level indices from 0 to {len(self.sigmas) - 1}, got {index.unique().tolist()}")
        self.count.index_add_(0, index, torch.ones_like(error))
        self.total.index_add_(0, index, error)
        self.squares.index_add_(0, index, error.square())

    def compute(self) -> Tensor:
        return self.total / self.count

    def standard_error(self) -> Tensor:
        spread = (self.squares - self.total.square() / self.count).clamp_min(0)  # rounding can go below 0
        variance = spread / (self.count - 1)
        return torch.where(self.count > 1, (variance / self.count).sqrt(), torch.nan)
