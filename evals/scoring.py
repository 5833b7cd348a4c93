"""Numbers about a run's samples: the metrics of the folder `metrics`, against the suite's held-out images.

Scorer, made once per run, keeps the reference's features; scores(images) is one pass over a cell's samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import DataError
from ..metrics.features import FeatureNetwork, load_features
from ..metrics.features.vit import embed_prompts
from ..metrics.one_pass import FeatureSet, Need, collect
from ..metrics.protocols import PROTOCOLS, fingerprint
from ..metrics.scores import METRICS, Question, Score
from .data import DataSet

__all__ = ["METRICS", "Score", "Scorer", "to_uint8"]


class Scorer:
    """Feature networks and the reference's features, made once and used for every set of samples.

    `features` is the network of the metrics that don't have one of their own. Raises ConfigError for unknown names,
    LoadError for missing weights, DataError for data that aren't images.
    """

    def __init__(self, features: str, metrics: list[str], data: DataSet, device: torch.device, batch: int = 64) -> None:
        self.names, self.metrics, self.batch, self.device = metrics, [METRICS[name] for name in metrics], batch, device
        self.protocol = PROTOCOLS["sigmascope"]
        if data.images.ndim != 4:
            raise DataError(f"metrics: expected images (N, C, H, W), got {tuple(data.images.shape)}")
        self.default = features
        names = sorted({metric.network or features for metric in self.metrics})
        self.networks: dict[str, FeatureNetwork] = {name: load_features(name).to(device) for name in names}
        self.digest = data.digest
        self.reference = self._collect(to_uint8(data.images, (-1.0, 1.0)), reference=True)
        self.fingerprint = fingerprint(
            networks=[network.fingerprint for network in self.networks.values()], reference=data.digest
        )

    @property
    def prompted(self) -> list[str]:
        """Those of the metrics that compare each image with its prompt."""
        return [name for name in self.names if METRICS[name].prefix is not None]

    def scores(self, images: Tensor, prompts: Sequence[str] | None = None) -> list[Score]:
        """Every metric of uint8 images `(N, C, H, W)`; `prompts` are what each was made from, where one needs them."""
        found = self._collect(images, reference=False)
        asked = hashlib.sha256("\0".join(prompts or ()).encode()).hexdigest()[:16]
        answers = []
        for metric in self.metrics:
            name = metric.network or self.default
            network, texts = self.networks[name], None
            if metric.prefix is not None:
                texts = embed_prompts(network, [f"{metric.prefix}{prompt}" for prompt in prompts or ()])
            reference = self.reference.get(name)
            question = Question(found[name], reference, network, self.protocol, self.digest, texts, asked)
            answers += metric.score(question)
        return answers

    def _collect(self, images: Tensor, reference: bool) -> dict[str, FeatureSet]:
        needs: dict[str, frozenset[Need]] = {name: frozenset() for name in self.networks}
        for metric in self.metrics:
            needs[metric.network or self.default] |= metric.reference if reference else metric.generated
        wanted = {name: network for name, network in self.networks.items() if needs[name]}
        return collect(images.split(self.batch), wanted, needs, self.device)


def to_uint8(images: Tensor, data_range: tuple[float, float]) -> Tensor:
    """Images in `data_range` -> uint8, rounded to nearest; what lies outside saturates, and the runner counts it."""
    low, high = data_range
    return ((images - low) * (255.0 / (high - low))).round().clamp(0, 255).to(torch.uint8)
