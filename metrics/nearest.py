"""Which image of a reference set is nearest to each of some others, and is that nearer than chance would have it?

Two sets of uint8 images -> nearest -> Nearest. With training images for the reference, a small ratio is what a
memorized image looks like: Carlini et al., "Extracting training data from diffusion models" (2301.13188), section 5.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import DataError
from .two_sets import BLOCK, blocks

NEIGHBOURS = 50
"""Over so many nearest images the usual distance is averaged, as in the paper."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """Of each image, `(n,)`: number of its nearest reference image, the lowest of equals; how far that is, the root of
    the mean squared difference of values, 1 being from black to white; that distance over the mean distance of the
    NEIGHBOURS nearest (of all, where there are fewer): 0 for a copy, 1 where no image is nearer than the others."""

    index: Tensor
    distance: Tensor
    ratio: Tensor


def nearest(images: Tensor, reference: Tensor) -> Nearest:
    """Of uint8 images `(n, ...)` among others `(m, ...)`, m >= 2, in pixels.

    The mean in the ratio is over many neighbours, so that an image the set holds twice doesn't hide its copies, as it
    would in a ratio of nearest to second. Squared distances are sums of at most 255^2 in float64, hence exact while an
    image has fewer than 2^37 values, whatever the blocks. Memory: a block of the reference in float64, and n x BLOCK.

    Raises DataError for other types, for shapes that differ, for fewer than two reference images.
    """
    if images.dtype != torch.uint8 or reference.dtype != torch.uint8:
        raise DataError(f"expected uint8 images, got {images.dtype} and {reference.dtype}")
    if images.ndim < 2 or images.shape[1:] != reference.shape[1:]:
        raise DataError(f"expected images of one shape, got {tuple(images.shape[1:])} and {tuple(reference.shape[1:])}")
    if len(reference) < 2:
        raise DataError(f"expected at least two reference images, got {len(reference)}")
    points = images.flatten(1).double()
    kept = min(NEIGHBOURS, len(reference))
    best = torch.full((len(images), 0), torch.inf, dtype=torch.float64, device=images.device)
    index = torch.zeros_like(best, dtype=torch.int64)
    for rows in blocks(len(reference), BLOCK):
        others = reference[rows].to(images.device).flatten(1).double()
        found = torch.addmm(others.square().sum(1)[None], points, others.T, alpha=-2)
        numbers = torch.arange(rows.start, rows.stop, device=images.device).expand_as(found)
        # stable, so that of equals the lowest number stays first
        best, order = torch.cat((best, found), 1).sort(dim=1, stable=True)
        best, index = best[:, :kept], torch.cat((index, numbers), 1).gather(1, order[:, :kept])
    squares = (best + points.square().sum(1, keepdim=True)) / points.shape[1]
    distances = squares.sqrt() / 255.0
    usual = distances.mean(1)
    ratio = torch.where(usual > 0, distances[:, 0] / usual, 0.0)
    return Nearest(index[:, 0], distances[:, 0], ratio)
