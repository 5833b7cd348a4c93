"""One Brownian path per sample, a function of (seed, sample id) alone: what stochastic solvers draw from.

Its clock is log2 sigma. A solver takes the path's increment over its step, so a refined grid sees the same path, and
the samples of a stochastic solver converge, one by one, as its steps shrink. Every octave of sigma has an increment of
its own, split dyadically by Lévy's midpoint construction; an increment is a weighted sum of some twenty normals, each
from its own counter, and nothing is stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...errors import ConfigError
from ..noise import Noise

DEPTH = 10
TICKS = 1 << DEPTH
"""Ticks per octave: levels are rounded to a factor of 2^(1/1024) = 1.0007 to be read off the path."""

_LOWEST = -1100  # below the octave of the smallest float64
_AT_ONCE = 2**22  # normals drawn in one go, to bound memory


@dataclass
class BrownianPath:
    """The paths of some samples; it remembers where it was last asked, as the next step begins there."""

    noise: Noise
    sample_ids: Tensor
    event_shape: tuple[int, ...]
    _known: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def increment(self, sigma: float, sigma_next: float) -> Tensor:
        """W(sigma) - W(sigma_next) `(B, *event_shape)`, float64, of variance `octaves(sigma, sigma_next)`.

        Increments over neighbouring intervals add up to the increment over their union. Raises ConfigError unless
        sigma > sigma_next > 0 are told apart by the clock.
        """
        high, low = _ticks(sigma, sigma_next)
        whole = [_node(octave, 0) for octave in range(low // TICKS, high // TICKS)]
        return self._inside(high) - self._inside(low) + self._sum(dict.fromkeys(whole, 1.0))

    def _inside(self, tick: int) -> Tensor:
        """The path from the lower end of the tick's octave to the tick."""
        if tick not in self._known:
            self._known[tick] = self._sum(weights(tick))
            while len(self._known) > 2:  # a step's two ends
                del self._known[next(iter(self._known))]
        return self._known[tick]

    def _sum(self, weights: dict[int, float]) -> Tensor:
        """Weighted sum of the nodes' normals."""
        total = torch.zeros(len(self.sample_ids), *self.event_shape, dtype=torch.float64, device=self.sample_ids.device)
        nodes, each = list(weights), max(1, _AT_ONCE // max(1, total.numel()))
        for start in range(0, len(nodes), each):
            part = torch.tensor(nodes[start : start + each], device=total.device)
            ids = self.sample_ids.repeat(len(part))
            steps = part.repeat_interleave(len(self.sample_ids))
            normals = self.noise.normal(ids, "brownian", steps, self.event_shape, torch.float64)
            weight = torch.tensor([weights[node] for node in part.tolist()], dtype=torch.float64, device=total.device)
            # row by row in one order: no matrix product, whose summation depends on the batch
            for factor, normal in zip(weight, normals.reshape(len(part), *total.shape), strict=True):
                total += factor * normal
        return total


def octaves(sigma: float, sigma_next: float) -> float:
    """The clock's time between two levels, as the path has it."""
    high, low = _ticks(sigma, sigma_next)
    return (high - low) / TICKS


def weights(tick: int) -> dict[int, float]:
    """Nodes and weights of W(tick) - W(lower end of its octave), after Lévy.

    W(t) = t Z_0 + sum_n 2^-(n/2 + 1) hat(2^n t - k) Z_(n,k) for t in [0, 1): at each depth n one hat is not zero.
    """
    octave, inside = divmod(tick, TICKS)
    t = inside / TICKS
    found = {_node(octave, 0): t}
    for depth in range(DEPTH):
        k, within = divmod(t * (1 << depth), 1.0)
        hat = 1.0 - abs(2.0 * within - 1.0)
        found[_node(octave, (1 << depth) + int(k))] = math.pow(2.0, -0.5 * depth - 1.0) * hat
    return {node: weight for node, weight in found.items() if weight}


def _node(octave: int, place: int) -> int:
    """The counter of one normal: 0 is the octave's whole increment, 2^n + k the k-th midpoint at depth n."""
    return (octave - _LOWEST) * TICKS + place


def _ticks(sigma: float, sigma_next: float) -> tuple[int, int]:
    if not 0 < sigma_next < sigma < math.inf:
        raise ConfigError(f"Brownian path: expected 0 < sigma_next < sigma < inf, got {sigma_next}, {sigma}")
    high, low = (round(TICKS * math.log2(value)) for value in (sigma, sigma_next))
    if high == low:
        raise ConfigError(
            f"Brownian path: expected levels a factor of 2^(1/{TICKS}) apart, got {sigma_next:.8g} and {sigma:.8g}; "
            "take fewer steps"
        )
    return high, low
