"""Small networks with seeded weights: real convolutions, attention and group norms, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
import torch


def _tiny_unet(**options: object) -> diffusers.UNet2DModel:
    with torch.random.fork_rng():
        torch.manual_seed(20)
        return diffusers.UNet2DModel(
            sample_size=8,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 16),
            norm_num_groups=4,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            **options,
        ).eval()


@pytest.fixture(scope="session")
def tiny_unet() -> Callable[..., diffusers.UNet2DModel]:
    """A 1 x 8 x 8 U-Net; options go to diffusers' class."""
    return _tiny_unet


@pytest.fixture
def toy_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python:toy:NAME` of a suite is found, as a user's own module would be."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
