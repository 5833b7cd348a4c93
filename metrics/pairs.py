"""Metrics of pairs of images, one value per pair: PSNR, SSIM, MS-SSIM and LPIPS, all torchmetrics' own.

uint8 pairs -> PAIR_METRICS[name] -> (n,) -> the mean with its interval. Their torchmetrics.Metric classes are
torchmetrics'; what is fixed here is the scale: 8-bit values, data range 255.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    learned_perceptual_image_patch_similarity,
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ..errors import DataError, LoadError
from ..registry import Registry

PairMetric = Callable[[Tensor, Tensor], Tensor]

PAIR_METRICS: Registry[PairMetric] = Registry("pair metric")
"""Metrics of pairs of images uint8 (n, C, H, W): float64 (n,)."""

_MS_SSIM_LEAST = 176  # five scales of an 11-pixel window, as torchmetrics counts them


@PAIR_METRICS.register("psnr")
def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB; infinite for equal images."""
    first, second = _checked(images, targets)
    values = [
        peak_signal_noise_ratio(a, b, data_range=255.0) if not torch.equal(a, b) else torch.tensor(torch.inf)
        for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(values).double()


@PAIR_METRICS.register("ssim")
def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), Gaussian window of 11 pixels."""
    found = structural_similarity_index_measure(*_checked(images, targets, 11), data_range=255.0, reduction="none")
    return _each(found)


@PAIR_METRICS.register("ms_ssim")
def ms_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Multi-scale structural similarity (Wang et al. 2003), five scales: images of at least 176 pixels."""
    pair = _checked(images, targets, _MS_SSIM_LEAST)
    return _each(multiscale_structural_similarity_index_measure(*pair, data_range=255.0, reduction="none"))


@PAIR_METRICS.register("lpips")
def lpips(images: Tensor, targets: Tensor) -> Tensor:
    """Learned perceptual distance (Zhang et al. 2018), AlexNet. Raises LoadError where torchvision or weights lack."""
    first, second = (table / 255 for table in _checked(images, targets))
    try:
        found = learned_perceptual_image_patch_similarity(first, second, "alex", reduction="none", normalize=True)
    except (ModuleNotFoundError, OSError) as error:
        raise LoadError(
            f"lpips needs torchvision (pip install torchvision) and its AlexNet weights: {error}"
        ) from error
    return _each(found)


def _each(values: Tensor | tuple[Tensor, ...]) -> Tensor:
    table = values if isinstance(values, Tensor) else values[0]
    return table.detach().double().reshape(-1)


def _checked(images: Tensor, targets: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    for table in (images, targets):
        if table.dtype != torch.uint8 or table.ndim != 4 or not len(table):
            raise DataError(f"expected pairs of uint8 images (n, C, H, W), got {table.dtype} {tuple(table.shape)}")
    if images.shape != targets.shape:
        raise DataError(f"expected pairs of one shape, got {tuple(images.shape)} and {tuple(targets.shape)}")
    if min(images.shape[2:]) < least:
        raise DataError(f"expected images of at least {least} pixels a side, got {tuple(images.shape[2:])}")
    return images.double(), targets.double()
