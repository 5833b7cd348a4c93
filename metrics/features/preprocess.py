"""From uint8 images to what a network of the Inception family reads: resize and normalisation, each under its name.

Libraries differ here and nowhere else as much: the same images read 10.87 or 10.96 by the resize alone. Preprocess is
the value that a protocol fixes and a fingerprint covers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ...registry import Registry

ResizeFunction = Callable[[Tensor, int], Tensor]

RESIZES: Registry[ResizeFunction] = Registry("resize")
"""Float images (N, C, H, W) of 0 to 255 and a side -> (N, C, side, side)."""
NORMALISATIONS: Registry[Callable[[Tensor], Tensor]] = Registry("normalisation")

_WORDS = {
    "tf1": "TF1 bilinear",
    "half-pixel": "half-pixel bilinear, no antialias,",
    "antialias": "antialiased bilinear",
    "clean": "PIL bicubic in float",
    "tf": "(x - 128)/128",
    "unit": "2x/255 - 1",
}


@dataclass(frozen=True)
class Preprocess:
    """resize and normalise are names of the registries above. Calling it: uint8 (N, C, H, W) -> float of `dtype`.

    Raises ConfigError for an unknown name.
    """

    resize: str = "tf1"
    normalise: str = "tf"
    size: int = 299

    def __post_init__(self) -> None:
        RESIZES[self.resize], NORMALISATIONS[self.normalise]

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            return NORMALISATIONS[self.normalise](RESIZES[self.resize](images.to(dtype), self.size))

    def __str__(self) -> str:
        resize, normalise = (_WORDS.get(name, name) for name in (self.resize, self.normalise))
        return f"{resize} resize to {self.size}x{self.size}, {normalise}"


@RESIZES.register("tf1")
def resize_tf1(images: Tensor, size: int) -> Tensor:
    """TensorFlow 1's bilinear resize of float images (N, C, H, W) to size x size: output pixel i reads at i * H/size,
    with neither half-pixel centres nor antialiasing. Columns, then rows: bit for bit what doing both at once gives."""
    for axis in (3, 2):
        source = images.shape[axis]
        at = torch.arange(size, dtype=images.dtype, device=images.device) * (source / size)
        low = at.long()
        share = (at - low).view(-1, *[1] * (3 - axis))
        below = images.index_select(axis, low)
        above = images.index_select(axis, (low + 1).clamp_max(source - 1))
        images = below + (above - below) * share
    return images


@RESIZES.register("half-pixel")
def resize_half_pixel(images: Tensor, size: int) -> Tensor:
    """torch's bilinear resize, as pytorch-fid calls it."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


@RESIZES.register("antialias")
def resize_antialias(images: Tensor, size: int) -> Tensor:
    """torch's antialiased bilinear resize, as torchmetrics calls it."""
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=True)


@RESIZES.register("clean")
def resize_clean(images: Tensor, size: int) -> Tensor:
    """Pillow's bicubic resize of float channels, clipped to 0..255 and not rounded, as clean-fid calls it (Parmar et
    al. 2022, 2104.11222). Pillow's filter is linear and separable: two matrix products, on any device."""
    rows, columns = (bicubic_matrix(side, size).to(images) for side in images.shape[2:])
    return (rows @ (images @ columns.T)).clamp(0, 255)


@lru_cache(maxsize=16)
def bicubic_matrix(source: int, size: int) -> Tensor:
    """(size, source) float64: Pillow's weights. Keys' cubic with a = -1/2, widened by the factor of a reduction; what
    lies outside the image is left out and the rest scaled to sum to 1. The identity where nothing changes."""
    scale = source / size
    stretch = max(scale, 1.0)
    matrix = torch.zeros(size, source, dtype=torch.float64)
    for i in range(size):
        centre = (i + 0.5) * scale
        first, last = (
            max(0, math.floor(centre - 2 * stretch + 0.5)),
            min(source, math.floor(centre + 2 * stretch + 0.5)),
        )
        at = (torch.arange(first, last, dtype=torch.float64) + 0.5 - centre).abs() / stretch
        near, far = (1.5 * at - 2.5) * at**2 + 1, ((2.5 - 0.5 * at) * at - 4) * at + 2
        weights = torch.where(at < 1, near, torch.where(at < 2, far, 0.0))
        matrix[i, first:last] = weights / weights.sum()
    return matrix


@NORMALISATIONS.register("tf")
def normalise_tf(images: Tensor) -> Tensor:
    """TensorFlow's graph, torch-fidelity, torchmetrics, clean-fid: 0 to 255 -> -1 to 127/128."""
    return (images - 128) / 128


@NORMALISATIONS.register("unit")
def normalise_unit(images: Tensor) -> Tensor:
    """pytorch-fid: 0 to 255 -> -1 to 1."""
    return 2 * (images / 255) - 1


TORCH_FIDELITY = Preprocess()
