"""Numbers about a set of samples: one pass of a feature network, then every metric asked for.

A score names what it is by the features it stands on: FID and Inception score on Inception's, "Fréchet distance
(digits)" on others. It carries its protocol in words and as a fingerprint; scores of different fingerprints do not
compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from ..metrics.features import FeatureNetwork, Features, joined, load_features
from ..metrics.frechet import Gaussian, frechet_distance, frechet_influence
from ..metrics.inception_score import inception_score_influence
from ..metrics.protocols import fingerprint
from ..registry import Registry
from .data import DataSet


@dataclass(frozen=True)
class Score:
    """One row of the table `metrics`, but for the setting it was measured in."""

    metric: str
    value: float
    low: float
    high: float
    """The 95% interval, for the reference set as it is."""
    n: int
    """Samples."""
    protocol: str
    fingerprint: str


@dataclass(frozen=True)
class Reference:
    """What samples are compared with."""

    features: Features
    gaussian: Gaussian
    digest: str


SetMetric = Callable[[Features, Reference, FeatureNetwork], Score]

METRICS: Registry[SetMetric] = Registry("metric")
"""Metrics of a set of samples, by the name a suite uses."""

_Z95 = 1.959964


@METRICS.register("frechet_distance")
def _frechet(generated: Features, reference: Reference, network: FeatureNetwork) -> Score:
    """Fréchet distance at this N, not corrected for its bias; its interval needs more samples than dimensions."""
    count, dimension = generated.pooled.shape
    if count > dimension:
        influence = frechet_influence(generated.pooled, reference.gaussian)
        value, half = influence.value, _Z95 * influence.standard_error
    else:
        value, half = frechet_distance(generated.pooled, reference.gaussian), math.nan
    name = "FID" if network.name == "inception" else f"Fréchet distance ({network.name})"
    protocol = f"{network.protocol}; pooled features, ddof 1, against {reference.gaussian.n} images"
    return Score(
        name,
        value,
        value - half,
        value + half,
        count,
        protocol,
        fingerprint(metric=name, network=network.fingerprint, reference=reference.digest),
    )


@METRICS.register("inception_score")
def _inception_score(generated: Features, reference: Reference, network: FeatureNetwork) -> Score:
    """Inception score over all samples at once (no splits), with the interval of its influence values."""
    if generated.logits is None:
        raise ConfigError(f"inception_score: expected a network that classifies, got {network.name}")
    influence = inception_score_influence(generated.logits)
    name = "Inception score" if network.name == "inception" else f"Inception score ({network.name})"
    half = _Z95 * influence.standard_error
    return Score(
        name,
        math.exp(influence.value),
        math.exp(influence.value - half),
        math.exp(influence.value + half),
        len(generated.logits),
        f"{network.protocol}; all samples at once, no splits",
        fingerprint(metric=name, network=network.fingerprint, convention="plain"),
    )


class Scorer:
    """A feature network and the reference's features, made once and used for every set of samples."""

    def __init__(self, features: str, metrics: list[str], data: DataSet, device: torch.device, batch: int = 64) -> None:
        self.metrics, self.batch = [METRICS[name] for name in metrics], batch
        self.network = load_features(features).to(device)
        self.device = device
        if data.images.ndim != 4:
            raise DataError(f"metrics: expected images (N, C, H, W), got {tuple(data.images.shape)}")
        reference = self.features(to_uint8(data.images, (-1.0, 1.0)))
        self.reference = Reference(reference, Gaussian(reference.pooled), data.digest)
        self.fingerprint = fingerprint(network=self.network.fingerprint, reference=data.digest)

    def features(self, images: Tensor) -> Features:
        """uint8 images `(N, C, H, W)` -> features in float64 on the CPU, in batches of one size."""
        parts = []
        for start in range(0, len(images), self.batch):
            rows = torch.arange(start, start + self.batch).clamp(max=len(images) - 1)  # the last batch is padded
            part = self.network(images[rows].to(self.device))
            kept = min(self.batch, len(images) - start)
            parts.append(Features._make(None if table is None else table[:kept].double().cpu() for table in part))
        return joined(parts)

    def scores(self, images: Tensor) -> list[Score]:
        """Every metric of uint8 images `(N, C, H, W)`."""
        features = self.features(images)
        return [metric(features, self.reference, self.network) for metric in self.metrics]


def to_uint8(images: Tensor, data_range: tuple[float, float]) -> Tensor:
    """Images in `data_range` -> uint8, rounded to nearest; what lies outside saturates, and the runner counts it."""
    low, high = data_range
    return ((images - low) * (255.0 / (high - low))).round().clamp(0, 255).to(torch.uint8)
