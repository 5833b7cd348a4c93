"""One pass over a set of images: every network once per image, for all metrics that need it.

Batches of uint8 images -> collect -> FeatureSet per network -> scores.py. Moments are streamed in float64 and merge
exactly; rows are kept (rows.py) only where a metric needs them, or while they are too few for exact moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..errors import DataError
from .features import FeatureNetwork, Features
from .frechet import Gaussian
from .moments import Moments
from .rows import Rows

Need = Literal["moments", "rows", "logits", "spatial"]
"""Of a network's outputs: moments or rows of the pooled features, rows of the logits, moments of the spatial ones."""

_FLUSH = 512  # rows gathered before they go into the moments: a rank-512 update costs a row little


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What one network makes of one set of images. A field is None where it wasn't needed or the network has none.

    n images (0: unknown); gaussian and spatial: of the pooled and the spatial features; rows (n, d), logits (n, c)
    float32 on the CPU; deviation: how far the pooled features of the first images are from eager float32's, relative to
    their norm, NaN where the network runs in just that.
    """

    n: int
    gaussian: Gaussian | None = None
    spatial: Gaussian | None = None
    rows: Tensor | None = None
    logits: Tensor | None = None
    deviation: float = float("nan")


def collect(
    batches: Iterable[Tensor],
    networks: Mapping[str, FeatureNetwork],
    needs: Mapping[str, frozenset[Need]],
    device: torch.device,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[str, FeatureSet]:
    """Every network over every batch (n, C, H, W), each of one size; needs by the network's name. Raises DataError
    for no images. Network calls have a fixed number of rows, the last one padded, so batching changes no result."""
    gathered = {name: _Gathered(network, needs[name]) for name, network in networks.items()}
    for images in batches:
        on_device = images.to(device, non_blocking=True)
        for one in gathered.values():
            one.add(on_device)
        advance(len(images))
    return {name: one.finish() for name, one in gathered.items()}


@dataclass(eq=False)
class _Stream:
    """Moments of a stream of features, and its rows for as long as `keep` or their number asks for them."""

    keep: bool
    moments: Moments | None = None
    rows: Rows = field(default_factory=Rows)
    waiting: list[Tensor] = field(default_factory=list)
    n: int = 0

    def add(self, features: Tensor) -> None:
        self.n += len(features)
        self.waiting.append(features)
        if self.keep or self.n <= features.shape[1]:
            self.rows.append(features)
        else:
            self.rows.clear()
        if sum(map(len, self.waiting)) >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        if self.waiting:
            moments = Moments.of(torch.cat(self.waiting))
            self.moments = moments if self.moments is None else self.moments.merge(moments)
            self.waiting.clear()

    def gaussian(self) -> Gaussian:
        self._flush()
        few = len(self.rows) and self.n <= self.rows.width
        return Gaussian(self.rows.tensor()) if few else Gaussian(self.moments or Moments.empty(1))


class _Gathered:
    def __init__(self, network: FeatureNetwork, needs: frozenset[Need]) -> None:
        self.network, self.needs = network, needs
        self.pooled, self.spatial = _Stream("rows" in needs), _Stream(keep=False)
        self.logits = Rows()
        self.deviation = float("nan")
        self.n = 0

    def add(self, images: Tensor) -> None:
        size = self.network.rows(images.device)
        for start in range(0, len(images), size):
            index = torch.arange(start, start + size).clamp_(max=len(images) - 1)
            kept = min(size, len(images) - start)
            padded = images[index.to(images.device)]
            self._take(self.network(padded), kept)
            if not self.n and not self.network.exact:
                exact = self.network.exactly(padded).pooled
                self.deviation = float((self.network(padded).pooled.float() - exact).norm() / exact.norm())
            self.n += kept

    def _take(self, features: Features, kept: int) -> None:
        if self.needs & {"moments", "rows"}:
            self.pooled.add(features.pooled[:kept].float())
        if "logits" in self.needs:
            self.logits.append(_present(features.logits, "logits", self.network)[:kept].float())
        if "spatial" in self.needs:
            self.spatial.add(_present(features.spatial, "spatial features", self.network)[:kept].float())

    def finish(self) -> FeatureSet:
        if not self.n:
            raise DataError("expected images, got none")
        return FeatureSet(
            n=self.n,
            gaussian=self.pooled.gaussian() if "moments" in self.needs else None,
            spatial=self.spatial.gaussian() if "spatial" in self.needs else None,
            rows=self.pooled.rows.tensor() if "rows" in self.needs else None,
            logits=self.logits.tensor() if len(self.logits) else None,
            deviation=self.deviation,
        )


def _present(table: Tensor | None, what: str, network: FeatureNetwork) -> Tensor:
    if table is None:
        raise DataError(f"expected a network with {what}, got {network.name}")
    return table
