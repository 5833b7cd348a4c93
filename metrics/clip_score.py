"""CLIP score: cosine between the embeddings of an image and of its prompt (Hessel et al. 2021, 2104.08718).

Embeddings of pairs -> clip_similarity -> clip_score, in one of the two scales that go by that name: they differ by a
factor of 40, and in whether an image that contradicts its prompt counts below 0. Prompts come from prompts.py.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from torchmetrics import Metric

from ..errors import ConfigError, DataError

Scale = Literal["torchmetrics", "hessel"]


def clip_similarity(images: Tensor, texts: Tensor) -> Tensor:
    """Cosine of every pair of embeddings (n, d): (n,) in float64. Raises DataError for differing shapes
    and values that aren't finite."""
    if images.shape != texts.shape or images.ndim != 2 or not images.numel():
        raise DataError(f"expected pairs of embeddings (n, d), got {tuple(images.shape)} and {tuple(texts.shape)}")
    if not (images.isfinite().all() and texts.isfinite().all()):
        raise DataError("expected finite embeddings, got values that aren't")
    return cosine_similarity(images.double(), texts.double(), dim=1)


def clip_score(similarity: Tensor, scale: Scale = "torchmetrics") -> float:
    """Of cosines (n,). torchmetrics: max(mean(100 cos), 0). hessel: mean(2.5 max(cos, 0)), every pair clamped alone.

    Raises ConfigError for another scale, DataError for no pairs or values that aren't finite.
    """
    if scale not in get_args(Scale):
        raise ConfigError(f"unknown scale {scale!r}; expected one of: {', '.join(get_args(Scale))}")
    if not similarity.numel() or not similarity.isfinite().all():
        raise DataError(f"expected finite similarities of at least one pair, got {similarity.tolist()[:4]}")
    values = similarity.double()
    if scale == "torchmetrics":
        return max(float(100 * values.mean()), 0.0)
    return float((2.5 * values.clamp_min(0)).mean())


class CLIPScore(Metric):  # type: ignore[misc]
    """`clip_score` of a stream of pairs of embeddings. compute(): a float64 scalar; exact over processes."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    total: Tensor
    positive: Tensor
    count: Tensor

    def __init__(self, scale: Scale = "torchmetrics") -> None:
        super().__init__()
        if scale not in get_args(Scale):
            raise ConfigError(f"unknown scale {scale!r}; expected one of: {', '.join(get_args(Scale))}")
        self.scale: Scale = scale
        for name in ("total", "positive", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, images: Tensor, texts: Tensor) -> None:
        similarity = clip_similarity(images, texts)
        self.total += similarity.sum()
        self.positive += similarity.clamp_min(0).sum()
        self.count += len(similarity)

    def compute(self) -> Tensor:
        if not self.count:
            raise DataError("a CLIP score needs pairs, got none")
        if self.scale == "torchmetrics":
            return (100 * self.total / self.count).clamp_min(0)
        return 2.5 * self.positive / self.count
