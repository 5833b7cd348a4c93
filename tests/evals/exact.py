"""Exact denoisers in milliseconds, for tests of `inspect`: small images of four classes, on any path and clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from sigmascope.evals.data import DataSet
from sigmascope.evals.declaration import output, time_function
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.levels import broadcast
from sigmascope.evals.paths import path
from torch import Tensor, nn
from torch.nn.functional import interpolate

CLASSES, SHAPE, SPREAD = 4, (1, 8, 8), 0.1


def prototypes() -> tuple[Tensor, Tensor]:
    """40 smooth images `(40, 64)` in [-1, 1] and their classes."""
    coarse = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images = torch.tanh(interpolate(coarse, size=8, mode="bilinear")).flatten(1)
    return images, torch.arange(40) % CLASSES


def data(count: int = 48) -> DataSet:
    """Drawn from the very distribution that `Exact` knows."""
    images, labels = prototypes()
    chosen = torch.arange(count) * 7 % len(images)
    noise = SPREAD * torch.randn(count, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return DataSet((images[chosen] + noise).float().reshape(count, *SHAPE), labels[chosen], "exact")


class Exact(nn.Module):
    """E[x0 | x_t, class] for prototypes + SPREAD z, said as `predicts` on `process`, asked at time `clock`."""

    def __init__(self, process: Any, predicts: str, clock: str) -> None:
        super().__init__()
        self.schedule = path(process)
        self.parameterization, self.scale = output(predicts)
        times = torch.linspace(self.schedule.first, self.schedule.last, 2001, dtype=torch.float64)
        received = time_function(clock, self.schedule)(self.schedule(times)).double()
        order = received.argsort()
        self.times, self.received = times[order], received[order]
        self.points, self.classes = prototypes()
        self.label_embedding = nn.Embedding(CLASSES, 1)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor, t: Tensor, class_labels: Tensor) -> Tensor:
        level = self.schedule(self._native(t.double()))
        inside = x.double() / (broadcast(self.scale(level), x) if self.scale else 1.0)
        scaled, sigma = (inside / broadcast(level.alpha, x)).flatten(1), level.sigma.reshape(-1, 1).clamp(min=1e-4)
        total = SPREAD**2 + sigma**2
        distance = torch.cdist(scaled, self.points).square() / (2 * total)
        distance = distance.masked_fill(self.classes[None] != class_labels[:, None], torch.inf)
        center = torch.softmax(-distance, 1) @ self.points
        x0 = self.dropout((SPREAD**2 * scaled + sigma**2 * center) / total)
        c0, c1 = self.parameterization.direction(level)
        told = c0.reshape(-1, 1) * x0 + c1.reshape(-1, 1) * (scaled - x0) / sigma
        return told.reshape(x.shape).to(x)

    def _native(self, t: Tensor) -> Tensor:
        """The native time at which the network receives `t`, linear between 2001 of them; the ends outside."""
        place = torch.searchsorted(self.received, t).clamp(1, len(self.received) - 1)
        low, high = self.received[place - 1], self.received[place]
        share = ((t - low) / (high - low)).clamp(0, 1)
        return torch.lerp(self.times[place - 1], self.times[place], share)


@dataclass(frozen=True)
class Known:
    """An exact network and how to declare it rightly."""

    path: Any
    output: str
    time: str = "t"
    fields: dict[str, Any] = field(default_factory=dict)

    def declared(self, change: Callable[[nn.Module], None] = lambda network: None, **wrong: Any) -> Denoiser:
        network = Exact(self.path, self.output, self.time)
        network.eval()
        change(network)
        fields = {"path": self.path, "output": self.output, "time": self.time, "classes": CLASSES, **wrong}
        return wrap(network, event_shape=SHAPE, micro_batch=36, **fields)
