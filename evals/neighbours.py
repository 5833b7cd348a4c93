"""Beside every sample that is kept as an image: the training image nearest to it, and whether that is remarkably near.

Training(train, held_out).beside(kept) -> columns of table `samples`, and the neighbours' pictures.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import DataError
from ..metrics.nearest import nearest
from .data import DataSet
from .scoring import to_uint8

HELD_OUT = 256
"""Held-out images, at most, that say how near to the training images one comes without having seen them."""


class Training:
    """A suite's training images in 8 bits. Raises DataError where they have another shape than the held-out ones."""

    def __init__(self, train: DataSet, held_out: DataSet) -> None:
        if train.images.shape[1:] != held_out.images.shape[1:]:
            shapes = f"{tuple(held_out.images.shape[1:])}, got {tuple(train.images.shape[1:])}"
            raise DataError(f"data.train: expected images of the shape of data.source {shapes} in {train.source}")
        self.images = to_uint8(train.images, (-1.0, 1.0))
        self._held_out = to_uint8(held_out.images[:HELD_OUT], (-1.0, 1.0))

    @cached_property
    def usual(self) -> Tensor:
        """Ratios of held-out images, `(h,)` ascending: what is no memory."""
        return nearest(self._held_out, self.images).ratio.sort().values

    def beside(self, kept: Tensor, tile: int, room: int) -> tuple[pd.DataFrame, np.ndarray]:
        """Of uint8 images `(n, C, H, W)`: a row each, and the neighbours `(k, H, W, C)`, every one once.

        tile: the first neighbour's number in the sheet. room: how many pictures fit; the others' rows say -1.
        """
        found = nearest(kept, self.images)
        shown, place = found.index.unique(return_inverse=True)
        nearer = torch.searchsorted(self.usual, found.ratio).double() / len(self.usual)
        rows = pd.DataFrame(
            {
                "nearest": found.index.numpy(),
                "nearest_distance": found.distance.numpy(),
                "nearest_ratio": found.ratio.numpy(),
                "nearest_heldout": nearer.numpy(),
                "nearest_tile": torch.where(place < room, place + tile, -1).numpy(),
            }
        )
        return rows, self.images[shown[:room]].permute(0, 2, 3, 1).contiguous().numpy()
