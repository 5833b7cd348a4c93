"""P12, churn: does the sampler, started on true noisy images, keep their distribution?

Noise a clean image to s, add noise up to s' = f s, and take the probability-flow ODE back to s by a few of Heun's
steps. For the best denoiser the result is distributed as the noisy images at s again, however often this is done; what
it drifts by is due to the levels between s and s' alone. Around the data's mean m:

    power        (E |x - m|^2 - E |x0 - m|^2 - s^2 d) / (d (s'^2 - s^2)), per loop: the share of the added noise that
                 was left in (positive) or taken out too much; 0 for the best denoiser
    drift        half of the same per variance of x at s: the relative change of the spread per loop; 0
    brightness   E mean(x - x0) / sqrt(s'^2 - s^2), per loop: 0 for the best denoiser

What has mean zero is taken out, or at small s it would hide the rest: the noise n that is in x where the data are
isotropic with the data's variance P, n <- f (n + sqrt(s'^2 - s^2) z) with f^2 = (P + s^2) / (P + s'^2), its product
with x0 - m, and its power less what that is expected to be.

Heun's steps are not exact. Where data are Gaussian with variances l a step from a to b multiplies by 1 + (b - a) / 2
[k_a + k_b (1 + (b - a) k_a)], k = s / (l + s^2), which for any l leaves a power of 0 to 0.0019 with the default factor
and steps (0.0011 with 4 steps): for the best denoiser that is the whole of it.

2 * steps * loops further evaluations, none at levels where s' is out of the model's range.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ...errors import ConfigError
from ...metrics.intervals import Floats
from ..levels import broadcast
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts, mean_product, mean_square, ratio


def _per_root(mean: Floats, added: Floats) -> Floats:
    root: Floats = added**0.5
    return mean / root


def _half(power: Floats, total: Floats) -> Floats:
    change: Floats = power / total / 2.0
    return change


@PROBES.register("churn")
class Churn(Probe):
    name = "churn"
    quantities = (
        Quantity("power", ("power", "added"), ratio, optimal=0.0),
        Quantity("drift", ("power", "total"), _half, optimal=0.0),
        Quantity("brightness", ("mean", "added"), _per_root, optimal=0.0),
    )

    def __init__(self, factor: float = 1.5, steps: int = 3, loops: int = 1, images: int = 64) -> None:
        counts("churn", steps=steps, loops=loops, images=images)
        if not factor > 1.0:
            raise ConfigError(f"probe 'churn': expected a factor above 1, got {factor}")
        self.factor, self.steps, self.loops, self.images = factor, steps, loops, images
        self.evaluations = 2 * steps * loops

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        columns = {name: torch.full_like(seen.error, torch.nan) for name in ("power", "mean", "added", "total")}
        top = seen.level.sigma * self.factor
        rows = torch.nonzero(top <= subject.denoiser.schedule.sigma_max).flatten()
        if len(rows):
            for name, values in self._loops(seen[rows], subject).items():
                columns[name][rows.to(values.device)] = values
        return columns

    def _loops(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        exponents = torch.linspace(1.0, 0.0, self.steps + 1, dtype=torch.float64)[:-1].tolist()
        levels = [subject.denoiser.level(seen.level.sigma * self.factor**exponent) for exponent in exponents]
        levels.append(seen.level)
        high, low = levels[0].sigma, seen.level.sigma
        added = (high**2 - low**2).clamp(min=0.0)
        kept = torch.sqrt((subject.variance + low**2) / (subject.variance + high**2))
        clean, mean = seen.x0.double(), subject.mean.to(seen.x0.device)
        noise = seen.sigma.double() * seen.eps.double()
        x, expected = clean + noise, low**2
        for loop in range(self.loops):
            fresh = broadcast(added.sqrt(), x) * subject.normal(seen, f"{self.name} {loop}").double()
            x, noise, expected = x + fresh, broadcast(kept, x) * (noise + fresh), kept**2 * (expected + added)
            for here, there in pairwise(levels):
                width = broadcast(there.sigma - here.sigma, x)
                slope = subject.ask(x, here, seen.cond).eps
                x = x + width / 2.0 * (slope + subject.ask(x + width * slope, there, seen.cond).eps)
        product = mean_product(broadcast(kept**self.loops, x) * (clean - mean), noise)
        idle = mean_square(clean - mean) + 2.0 * product + mean_square(noise) - (expected - low**2).to(x.device)
        return {
            "power": (mean_square(x - mean) - idle) / self.loops,
            "mean": (x - clean - noise).flatten(1).mean(1) / self.loops,
            "added": added.to(x.device),
            "total": (subject.variance + low**2).to(x.device),
        }
