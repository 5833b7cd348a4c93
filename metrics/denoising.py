"""Denoising error: mean squared distance between a denoiser's estimate and the clean image, per image and per level.

Pairs (prediction, target) -> denoising_error -> a table of errors in x0 units -> intervals.py, and units.py for the
units of another parameterization.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from ..errors import ConfigError, DataError
from .units import Unit, error_unit_factor

__all__ = ["DenoisingError", "Unit", "denoising_error", "error_unit_factor"]


def denoising_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over all dimensions but the first of (prediction - target)^2, float64, shape (B,). Raises DataError."""
    if prediction.shape != target.shape or prediction.ndim < 2 or prediction[:1].numel() == 0:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise DataError(f"expected prediction and target of one shape (B, ...), got {shapes}")
    return (prediction.double() - target.double()).square().flatten(1).mean(dim=1)


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
