"""Metrics of pairs: closed forms, torchmetrics' own values, refusals."""

from __future__ import annotations

import math

import pytest
import torch
import torchmetrics.image
from sigmascope.errors import DataError
from sigmascope.metrics.features import FeatureOptions
from sigmascope.metrics.pairs import PAIR_METRICS


def pair(n: int = 3, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, 246, (n, 3, size, size), generator=generator, dtype=torch.uint8)
    return first, first + torch.randint(0, 10, first.shape, generator=generator, dtype=torch.uint8)


def values(name: str, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return PAIR_METRICS[name](FeatureOptions()).values(first, second)


def test_psnr_closed_form() -> None:
    first, _ = pair()
    first = first.clamp(max=200)
    found = values("psnr", first, first + 5)
    assert found.tolist() == pytest.approx([20 * math.log10(255 / 5)] * 3, rel=1e-6)
    assert values("psnr", first, first).tolist() == [math.inf] * 3


@pytest.mark.parametrize(("name", "size"), [("ssim", 24), ("ms_ssim", 176)])
def test_structure_is_torchmetrics(name: str, size: int) -> None:
    first, second = pair(2, size)
    classes = {
        "ssim": torchmetrics.image.StructuralSimilarityIndexMeasure,
        "ms_ssim": torchmetrics.image.MultiScaleStructuralSimilarityIndexMeasure,
    }
    peer = classes[name](data_range=255.0)
    found = values(name, first, second)
    assert found.shape == (2,)
    assert float(found.mean()) == pytest.approx(float(peer(first.double(), second.double())), rel=1e-6)
    assert values(name, first, first).tolist() == pytest.approx([1, 1], rel=1e-12)


def test_refusals() -> None:
    first, second = pair()
    with pytest.raises(DataError, match="uint8 images"):
        values("psnr", first.float(), second)
    with pytest.raises(DataError, match="one shape"):
        values("ssim", first, second[:2])
    with pytest.raises(DataError, match="at least 176 pixels"):
        values("ms_ssim", first, second)
