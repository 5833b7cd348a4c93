"""CMMD: squared maximum mean discrepancy of CLIP image embeddings under a Gaussian kernel, times 1000.

    k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), sigma = 10, |x| = |y| = 1       (Jayasumana et al. 2024, 2401.09603)

Embeddings of two sets -> cmmd. The estimate is the biased one, diagonal included, as published.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .kernel import kernel_products
from .two_sets import FeatureTables, checked_pair

SIGMA = 10.0
SCALE = 1000.0


def cmmd(generated: Tensor, real: Tensor) -> float:
    """Of embeddings (n, d) and (m, d) of any length; never below 0 but for rounding. Raises DataError."""
    x, r = (normalize(table.double(), dim=1) for table in checked_pair(generated, real))
    one_x, one_r = (torch.full((len(t), 1), 1 / len(t), dtype=torch.float64, device=t.device) for t in (x, r))
    within = one_x.T @ kernel_products(x, x, _gaussian, one_x)[0]
    others = one_r.T @ kernel_products(r, r, _gaussian, one_r)[0]
    across = one_x.T @ kernel_products(x, r, _gaussian, one_r)[0]
    return SCALE * float(within + others - 2 * across)


class CMMD(FeatureTables):
    """`cmmd` of two streams of embeddings (n, d). compute(): a float64 scalar."""

    higher_is_better = False

    def compute(self) -> Tensor:
        return self.scalar(cmmd(*self.tables()))


def _gaussian(products: Tensor, dimension: int) -> Tensor:
    """Less 1, which the distance doesn't see: the kernel of unit vectors is near 1, and its digits are in the rest."""
    return products.sub_(1).div_(SIGMA**2).expm1_()
