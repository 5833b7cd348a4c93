"""LPIPS (Zhang et al. 2018, 1801.03924): the distance between what an ImageNet network makes of two images.

A backbone's published weights (weights.py) and the linear weights that ship with torchmetrics -> load_lpips -> LPIPS,
the network that torchmetrics runs, without torchvision. pairs.py gives it its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
import torchmetrics
from torch import Tensor, nn

from ..errors import ConfigError, LoadError
from .features import FeatureOptions
from .features.weights import KNOWN_WEIGHTS, PublishedWeights, load_weights

Backbone = Literal["alex", "vgg"]

# Convolutions (outputs, kernel, stride, padding), each followed by a ReLU, and max pools (kernel, stride).
_ALEX = [(64, 11, 4, 2), (3, 2), (192, 5, 1, 2), (3, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)]
_VGG = [
    *[(64, 3, 1, 1)] * 2, (2, 2),
    *[(128, 3, 1, 1)] * 2, (2, 2),
    *[(256, 3, 1, 1)] * 3, (2, 2),
    *[(512, 3, 1, 1)] * 3, (2, 2),
    *[(512, 3, 1, 1)] * 3,
]  # fmt: skip
# The layers compared, by their place among torchvision's `features`; each is a ReLU.
_BACKBONES: dict[str, tuple[list[tuple[int, ...]], tuple[int, ...]]] = {
    "alex": (_ALEX, (1, 4, 7, 9, 11)),
    "vgg": (_VGG, (3, 8, 15, 22, 29)),
}
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, for images in [-1, 1]
LEAST = {"alex": 31, "vgg": 16}
"""Pixels a side below which a pool of the backbone has nothing left."""


class LPIPS(nn.Module):
    """Pairs of images (n, 3, H, W) in [-1, 1] -> (n,): at each compared layer the squared difference of activations
    scaled to length 1 over channels, weighted by channel and averaged over places; summed over layers."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise ConfigError(f"unknown backbone {backbone!r}; expected one of: {', '.join(_BACKBONES)}")
        layers, self.compared = _BACKBONES[backbone]
        self.features = nn.Sequential(*_stacked(layers))
        convolved = [self.features[index - 1] for index in self.compared]
        widths = [layer.out_channels for layer in convolved if isinstance(layer, nn.Conv2d)]
        self.weights = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in widths)
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        x = (torch.cat([images, targets]) - self.mean) / self.std
        total = x.new_zeros(len(images))
        weights = iter(self.weights)
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.compared:
                unit = x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
                first, second = unit.chunk(2)
                total = total + ((first - second).square() * next(weights)).sum(dim=1).mean(dim=(1, 2))
        return total


def load_lpips(backbone: Backbone, options: FeatureOptions) -> tuple[LPIPS, str]:
    """The network and the SHA-256 of its backbone's weights. Raises LoadError that says how to get them."""
    network = LPIPS(backbone)
    known = KNOWN_WEIGHTS[f"lpips-{backbone}"]
    assert isinstance(known, PublishedWeights)
    state, digest = load_weights(known, options.weights, options.download)
    prefix = "features."
    convolutions = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    try:
        network.features.load_state_dict(convolutions)
    except RuntimeError as error:
        raise LoadError(f"weights with SHA-256 {digest[:16]}... don't fit LPIPS's {backbone}: {error}") from error
    linear = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models" / f"{backbone}.pth"
    if not linear.is_file():
        raise LoadError(f"expected LPIPS's linear weights in torchmetrics, at {linear.name}, got none there")
    found = torch.load(linear, map_location="cpu", weights_only=True)
    for index, weight in enumerate(network.weights):
        weight.copy_(found[f"lin{index}.model.1.weight"])
    return network, digest


def _stacked(layers: list[tuple[int, ...]]) -> Iterator[nn.Module]:
    channels = 3
    for layer in layers:
        if len(layer) == 2:
            yield nn.MaxPool2d(*layer)
            continue
        outputs, kernel, stride, padding = layer
        yield nn.Conv2d(channels, outputs, kernel, stride, padding)
        yield nn.ReLU()
        channels = outputs
