"""Features for 8x8 handwritten digits: a small classifier, for the bundled models and the demo.

Its own name, "digits": a distance on these features is a "Fréchet distance (digits)", never an FID.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import DataError, LoadError
from . import Features

WEIGHTS = Path(__file__).with_name("digits.safetensors")


class DigitsClassifier(nn.Module):
    """uint8 images (N, 1, 8, 8), pixel = round((x + 1) * 127.5) for x in [-1, 1], to features. 73 k parameters."""

    pooled_dimensions = 64

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.GroupNorm(8, 32),
            nn.SiLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.GroupNorm(8, 64),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.GroupNorm(8, 64),
            nn.SiLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 64),
            nn.SiLU(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Features:
        """Raises DataError unless the images are uint8 (N, 1, 8, 8)."""
        if images.dtype != torch.uint8 or images.shape[1:] != (1, 8, 8):
            raise DataError(f"expected uint8 images (N, 1, 8, 8), got {images.dtype} {tuple(images.shape)}")
        pooled = self.body(images.to(self.head.weight.dtype) / 127.5 - 1)
        return Features(pooled, self.head(pooled))


def load_digits_classifier() -> DigitsClassifier:
    """The committed weights, in eval mode. Raises LoadError when they are missing."""
    if not WEIGHTS.is_file():
        raise LoadError(f"expected the digits classifier's weights at {WEIGHTS.name} beside {Path(__file__).name}")
    network = DigitsClassifier()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval().requires_grad_(False)
