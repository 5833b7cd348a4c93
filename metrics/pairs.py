"""Metrics of pairs of images, one value per pair: PSNR, SSIM, MS-SSIM by torchmetrics, LPIPS by its definition.

PAIR_METRICS[name](options) -> PairMetric; uint8 pairs -> its values (n,) -> the mean with its interval. Their
torchmetrics.Metric classes are torchmetrics'; what is fixed here is the scale: 8-bit values, data range 255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ..errors import DataError
from ..registry import Registry
from .features import FeatureOptions
from .lpips import LEAST, Backbone, load_lpips


@dataclass(frozen=True)
class PairMetric:
    """title: what the number is called. values: uint8 (n, C, H, W), twice -> float64 (n,). protocol, in words; weights:
    the SHA-256 of those it stands on."""

    title: str
    values: Callable[[Tensor, Tensor], Tensor]
    protocol: str
    weights: str = ""


PAIR_METRICS: Registry[Callable[[FeatureOptions], PairMetric]] = Registry("pair metric")
"""Metrics of pairs of images by name. Making one raises LoadError where it needs weights that aren't at hand."""

_MS_SSIM_LEAST = 176  # five scales of an 11-pixel window, as torchmetrics counts them


def psnr(images: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of every pair; infinite for equal images."""
    first, second = _checked(images, targets)
    values = [
        peak_signal_noise_ratio(a, b, data_range=255.0) if not torch.equal(a, b) else torch.tensor(torch.inf)
        for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(values).double()


def ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) of every pair, Gaussian window of 11 pixels."""
    found = structural_similarity_index_measure(*_checked(images, targets, 11), data_range=255.0, reduction="none")
    return _each(found)


def ms_ssim(images: Tensor, targets: Tensor) -> Tensor:
    """Multi-scale structural similarity (Wang et al. 2003), five scales: images of at least 176 pixels."""
    pair = _checked(images, targets, _MS_SSIM_LEAST)
    return _each(multiscale_structural_similarity_index_measure(*pair, data_range=255.0, reduction="none"))


def lpips(backbone: Backbone, options: FeatureOptions) -> PairMetric:
    """LPIPS on AlexNet or VGG-16 (lpips.py), greyscale taken as three equal channels. Raises LoadError for missing
    weights."""
    network, digest = load_lpips(backbone, options)

    @torch.inference_mode()
    def values(images: Tensor, targets: Tensor) -> Tensor:
        _checked(images, targets, LEAST[backbone])
        first, second = (table.float().expand(-1, 3, -1, -1) / 127.5 - 1 for table in (images, targets))
        found: Tensor = network.to(images.device)(first, second)
        return found.double()

    title = {"alex": "LPIPS", "vgg": "LPIPS (VGG)"}[backbone]
    named = {"alex": "AlexNet", "vgg": "VGG-16"}[backbone]
    return PairMetric(title, values, f"linear weights 0.1 on {named} of ImageNet, no resize", digest)


def _plain(title: str, values: Callable[[Tensor, Tensor], Tensor]) -> Callable[[FeatureOptions], PairMetric]:
    return lambda options: PairMetric(title, values, "8-bit values, data range 255, torchmetrics")


PAIR_METRICS.register("psnr")(_plain("PSNR", psnr))
PAIR_METRICS.register("ssim")(_plain("SSIM", ssim))
PAIR_METRICS.register("ms_ssim")(_plain("MS-SSIM", ms_ssim))
PAIR_METRICS.register("lpips")(partial(lpips, "alex"))
PAIR_METRICS.register("lpips_vgg")(partial(lpips, "vgg"))


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
