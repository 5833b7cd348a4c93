"""MIND: the sliced 2-Wasserstein distance of two sets of features, squared, times 3 d (Berthet et al., 2605.06797).

Every random direction sorts both sets; the mean squared difference of order statistics is that direction's distance.
Features of two sets -> mind. No covariance, so it means something with fewer samples than dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..errors import ConfigError
from .two_sets import FeatureTables, blocks, checked_pair

_AT_ONCE = 64  # directions: what bounds the memory


def mind(generated: Tensor, real: Tensor, directions: int = 1000, seed: int = 2020) -> float:
    """Of features (n, d) and (m, d). Of differing sizes, the larger set is thinned at random to the smaller; thinning
    and directions follow `seed` as torch-fidelity draws them. Raises DataError, ConfigError for no directions."""
    if directions < 1:
        raise ConfigError(f"expected at least 1 direction, got {directions}")
    x, r = checked_pair(generated, real, least=1)
    generator = torch.Generator().manual_seed(seed)
    n, d = min(len(x), len(r)), x.shape[1]
    x, r = (t if len(t) == n else t[torch.randperm(len(t), generator=generator)[:n].to(t.device)] for t in (x, r))
    drawn = normalize(torch.randn(directions, d, generator=generator), dim=1).to(x)
    total = 0.0
    for some in blocks(directions, _AT_ONCE):
        sorted_x, sorted_r = ((t @ drawn[some].T).sort(dim=0).values for t in (x, r))
        total += float((sorted_x.double() - sorted_r.double()).square().mean(dim=0).sum())
    return 3 * d * total / directions


class MIND(FeatureTables):
    """`mind` of two streams of features (n, d). compute(): a float64 scalar."""

    higher_is_better = False

    def __init__(self, directions: int = 1000, seed: int = 2020) -> None:
        super().__init__()
        self.directions, self.seed = directions, seed

    def compute(self) -> Tensor:
        return self.scalar(mind(*self.tables(), self.directions, self.seed))
