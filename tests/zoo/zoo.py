"""What an animal of the zoo is: a foreign network, the fields that declare it, and the peer's own function for x0."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sigmascope.evals.denoiser import Denoiser, wrap
from torch import Tensor, nn

Peer = Callable[[Tensor, Tensor, Denoiser], Tensor]
"""(x_t, native time of every row, our denoiser) -> x0, in the peer's own units."""

SINGLE, HALF = 2e-3, 3e-2
"""Of the largest value: a network twice, in float32 or bfloat16, through two arrangements of the same formula."""


@dataclass(frozen=True)
class Animal:
    """One model of the zoo."""

    network: Any
    fields: Mapping[str, Any]
    """The declaration: what a user would give `wrap` beside the network. A preset is one field."""
    peer: Peer
    times: tuple[float, ...]
    """Native times to compare at."""
    cond: dict[str, Tensor] | None = None
    tolerance: float = SINGLE

    def denoiser(self) -> Denoiser:
        return wrap(self.network, **self.fields)


ZOO: dict[str, Callable[[], Animal]] = {}


def animal(make: Callable[[], Animal]) -> Callable[[], Animal]:
    ZOO[make.__name__] = make
    return make


def awake(module: Any, seed: int = 0) -> Any:
    """Weights that matter: many networks start with layers at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def rows(value: Tensor, like: Tensor) -> Tensor:
    """One value per row, shaped to multiply `like`."""
    return value.reshape(-1, *(1,) * (like.ndim - 1)).to(like)


def each(one: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor) -> Tensor:
    """A peer that takes one time per call, row by row: (one row of x, its time) -> one row."""
    return torch.cat([one(x[i : i + 1], t[i]) for i in range(len(x))])


class Backbone(nn.Module):
    """A network of one's own, as azula, k-diffusion and flow_matching wrap them."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, channels, 3, padding=1)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        output: Tensor = self.inside(x) * (1 + torch.sin(rows(t.expand(len(x)), x)))
        return output
