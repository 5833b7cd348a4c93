"""Vendi score: the effective number of different samples in one set (Friedman & Dieng 2023, 2210.02410).

exp of the entropy of the eigenvalues of K/n, K the cosine similarities of the features: 1 where all agree in direction,
n where all are orthogonal. Features of a set -> vendi_score. Diversity alone: noise scores high.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.special import entr
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from ..errors import DataError
from .moments import checked_features


def vendi_score(features: Tensor) -> float:
    """Of features (n, d). X X'/n and X'X/n share their eigenvalues, so memory is that of the smaller one.

    Raises DataError for an empty set or a sample of length 0, which has no direction.
    """
    x = checked_features(features)
    if not len(x) or not (x.norm(dim=1) > 0).all():
        raise DataError(f"expected features other than 0, got {int((x.norm(dim=1) == 0).sum())} zeros of {len(x)}")
    x = normalize(x, dim=1)
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    values = torch.linalg.eigvalsh(gram / len(x)).clamp_min(0)  # rounding can go below 0
    return float(entr(values).sum().exp())


class VendiScore(Metric):  # type: ignore[misc]
    """`vendi_score` of a stream of features (n, d). compute(): a float64 scalar."""

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    features: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("features", [], dist_reduce_fx="cat")

    def update(self, features: Tensor) -> None:
        self.features.append(features)

    def compute(self) -> Tensor:
        if not len(self.features):
            raise DataError("a Vendi score needs samples, got none")
        return torch.tensor(vendi_score(dim_zero_cat(self.features)), dtype=torch.float64, device=self.device)
