"""Feature networks: uint8 images -> Features, under a name that says which weights and preprocessing made them.

load_features(name) -> FeatureNetwork -> the distances and scores of the folder above. A network is a file of this
folder and an entry of FEATURE_NETWORKS; what it needs loads with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...errors import DataError
from ...registry import Registry
from ..protocols import fingerprint


class Features(NamedTuple):
    """pooled (N, d): what distances are taken between. logits (N, classes): what the inception score is made of."""

    pooled: Tensor
    logits: Tensor


@dataclass(frozen=True)
class FeatureOptions:
    """weights: the file itself, else it is searched for (weights.py). download: may fetch it. repeat_grey: one channel
    is taken as three equal ones, which the protocol then says."""

    weights: Path | None = None
    download: bool = False
    repeat_grey: bool = False


class FeatureNetwork(nn.Module):
    """A frozen network with its identity: two numbers compare only where their fingerprints are equal.

    name; dimension d of the pooled features; protocol, in words; fingerprint of name, protocol and weights' SHA-256.
    forward(images uint8 (N, C, H, W)) -> Features. Raises DataError for any other input.
    """

    def __init__(
        self,
        network: nn.Module,
        name: str,
        dimension: int,
        protocol: str,
        weights_sha256: str,
        repeat_grey: bool = False,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.dimension = dimension
        self.protocol = f"{protocol}, greyscale repeated to 3 channels" if repeat_grey else protocol
        self.repeat_grey = repeat_grey
        self.fingerprint = fingerprint(name=name, protocol=self.protocol, weights=weights_sha256)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Features:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise DataError(f"expected uint8 images (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
        if self.repeat_grey and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        pooled, logits = self.network(images)
        return Features(pooled, logits)


FEATURE_NETWORKS: Registry[Callable[[FeatureOptions], FeatureNetwork]] = Registry("feature network")


def load_features(name: str, options: FeatureOptions = FeatureOptions()) -> FeatureNetwork:
    """Raises ConfigError for an unknown name or options the network has no use for, LoadError for missing weights."""
    return FEATURE_NETWORKS[name](options)


@FEATURE_NETWORKS.register("inception")
def _inception(options: FeatureOptions) -> FeatureNetwork:
    from .inception import load_inception

    return load_inception(options)


@FEATURE_NETWORKS.register("digits")
def _digits(options: FeatureOptions) -> FeatureNetwork:
    from ...errors import ConfigError
    from .digits import WEIGHTS, DigitsClassifier, load_digits_classifier
    from .weights import sha256

    if options != FeatureOptions():
        raise ConfigError(f"feature network 'digits' has its own weights and takes no options, got {options}")
    network = load_digits_classifier()
    protocol = "digits classifier, penultimate layer; 8x8 greyscale, x/127.5 - 1, no resize, float32"
    return FeatureNetwork(network, "digits", DigitsClassifier.pooled_dimensions, protocol, sha256(WEIGHTS))
