"""P7, consistency: do the answers at two noise levels belong to one distribution?

For s < t the noisy images are nested: x_t is x_s with more noise, so D_t = E [D_s | x_t] for the best denoiser, and

    E |D_s|^2 = E |D_t|^2 + E |D_s - D_t|^2,    that is    E <D_s - D_t, D_t> = 0

Between each level t and the one below it, s, around the data's mean m, which the same equation allows:

    gap   2 E <D_s - D_t, D_t - m> / E |D_s - D_t|^2: 0 for the best denoiser. Negative: the answers at t vary more than
          those at s account for, positive: less

    gain  share of the denoising error at t that multiplying D_t - m by a number would remove: what its being too large
          or too small costs; 0 for the best denoiser

The gap is in units of what is learnt about the image between t and s. x_s = x0 + s e_s comes from x_t = x0 + t eps and
fresh noise z: e_s = (s/t) eps + sqrt(1 - s^2/t^2) z. Below the least level there is the clean image itself, D_0 = x0.

One further evaluation, none at the least level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...metrics.intervals import Floats
from ..levels import broadcast
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, mean_product, mean_square, ratio


def _gain(product: Floats, power: Floats, error: Floats) -> Floats:
    share: Floats = (product / 2.0) ** 2 / (power * error)
    return share


@PROBES.register("consistency")
class Consistency(Probe):
    name = "consistency"
    evaluations = 1
    quantities = (
        Quantity("gap", ("product", "between"), ratio, optimal=0.0),
        Quantity("gain", ("product", "power", "error"), _gain, optimal=0.0),
    )

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        below, here = seen.x0.double(), seen.prediction.x0.double()
        rows = torch.nonzero(seen.index > 0).flatten()
        if len(rows):
            part = seen[rows]
            below[rows.to(below.device)] = self._below(part, subject).double()
        between = below - here
        mean = subject.mean.to(seen.x0.device)
        return {
            "product": 2.0 * mean_product(between, here - mean),
            "between": mean_square(between),
            "power": mean_square(here - mean),
            "error": seen.error,
        }

    def _below(self, seen: Evaluations, subject: Subject) -> Tensor:
        """D at the next lower level, of rows that have one."""
        level = subject.levels[seen.index - 1]
        share = level.sigma / seen.level.sigma
        fresh = broadcast((1.0 - share**2).clamp(min=0.0).sqrt(), seen.x0) * subject.normal(seen, self.name)
        eps = broadcast(share, seen.x0) * seen.eps + fresh
        return subject.ask(seen.x0 + broadcast(level.sigma, seen.x0) * eps, level, seen.cond).x0

    def cost(self, levels: int, draws: int, images: int) -> int:
        return super().cost(levels - 1, draws, images)
