"""What a coalition is worth: v(T) of its samples' features, with one influence value per sample.

Features of a coalition and of the base, a fixed reference -> Influence -> inference.py. All coalitions share their
seeds, so the differences between them are paired, seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...errors import ConfigError, DataError
from ...metrics.features import FeatureNetwork
from ...metrics.frechet import Gaussian, frechet_distance, frechet_influence
from ...metrics.intervals import Influence
from ...metrics.kernel import kernel_distance_influence
from ...registry import Registry

Value = Callable[[Tensor, Tensor], Influence]
"""Features `(N, d)` of a coalition's samples and of the base's, row by row the same seeds -> v and its influence."""


@dataclass(frozen=True)
class Metric:
    """A way to value samples, made for a reference `(M, d)`."""

    make: Callable[[Tensor | None], Value]
    title: Callable[[FeatureNetwork | None], str]


VALUES: Registry[Metric] = Registry("metric of attribution")
"""By the name `sigmascope attribute --metrics` uses; less is better in all of them."""


def kernel_distance(reference: Tensor | None) -> Value:
    """Unbiased squared MMD (`metrics.kernel`): what to infer from, at any number of seeds."""
    real = _required(reference)
    return lambda features, base: kernel_distance_influence(features, real)


def frechet(reference: Tensor | None) -> Value:
    """Fréchet distance, to be shown: biased at N seeds, by nearly the same in every coalition, so that differences keep
    little of it. Influence values, and so intervals, need more seeds than dimensions; they are NaN otherwise."""
    real = Gaussian(_required(reference))

    def value(features: Tensor, base: Tensor) -> Influence:
        if len(features) > features.shape[1]:
            return frechet_influence(features, real)
        return Influence(frechet_distance(features, real), np.nan, np.full(len(features), np.nan))

    return value


def drift(reference: Tensor | None) -> Value:
    """Mean squared distance of each sample's features from the base's own, per dimension. It says how far samples move,
    not whether they get worse; it needs no reference and few seeds."""

    def value(features: Tensor, base: Tensor) -> Influence:
        moved = (features.double() - base.double()).square().mean(1).numpy()
        return Influence(float(moved.mean()), 0.0, moved - moved.mean())

    return value


def _required(reference: Tensor | None) -> Tensor:
    if reference is None:
        raise ConfigError("expected data to compare samples with, got none; only drift needs no data")
    if len(reference) < 2:
        raise DataError(f"expected at least 2 real images to compare samples with, got {len(reference)}")
    return reference


def _named(inception: str, otherwise: str) -> Callable[[FeatureNetwork | None], str]:
    def title(network: FeatureNetwork | None) -> str:
        if network is not None and network.name == "inception":
            return inception
        return f"{otherwise} ({network.name if network else 'samples as they are'})"

    return title


VALUES.register("kernel_distance")(Metric(kernel_distance, _named("KID", "Kernel distance")))
VALUES.register("frechet_distance")(Metric(frechet, _named("FID", "Fréchet distance")))
VALUES.register("drift")(Metric(drift, _named("Drift (inception)", "Drift")))
