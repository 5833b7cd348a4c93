"""Feature networks: uint8 images -> Features, under a name that says which weights and preprocessing made them.

load_features(name) -> FeatureNetwork -> the distances and scores of the folder above. A network is a file of this
folder and an entry of FEATURE_NETWORKS; what it needs loads with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ...errors import ConfigError, DataError
from ...registry import Registry
from ..protocols import fingerprint
from .preprocess import TORCH_FIDELITY, Preprocess

Precision = Literal["float32", "tf32", "bfloat16"]


class Features(NamedTuple):
    """pooled (N, d): what distances are taken between. logits (N, classes): what the inception score is made of.
    spatial (N, e): what sFID is made of. None where a network has no such output."""

    pooled: Tensor
    logits: Tensor | None = None
    spatial: Tensor | None = None


def joined(parts: Sequence[Features]) -> Features:
    """Batches of one network, one after the other. Raises DataError for none."""
    if not parts:
        raise DataError("expected images, got none")

    def column(index: int) -> Tensor | None:
        tables = [table for part in parts if (table := part[index]) is not None]
        return torch.cat(tables) if tables else None

    return Features(torch.cat([part.pooled for part in parts]), column(1), column(2))


@dataclass(frozen=True)
class FeatureOptions:
    """How a network is found and run. Everything but `weights` and `download` changes the numbers, so it is in the
    protocol.

    weights: the file or folder itself, else it is searched for (weights.py). download: may fetch it. repeat_grey: one
    channel is taken as three equal ones. preprocess: Inception's resize and normalisation. precision, compiled: other
    arithmetic than eager float32; what it does to the features is measured and told with every number.
    """

    weights: Path | None = None
    download: bool = False
    repeat_grey: bool = False
    preprocess: Preprocess = TORCH_FIDELITY
    precision: Precision = "float32"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            expected = ", ".join(get_args(Precision))
            raise ConfigError(f"unknown precision {self.precision!r}; expected one of: {expected}")


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
        options: FeatureOptions = FeatureOptions(),
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.name = name
        self.dimension = dimension
        self.options = options
        marks = [protocol, options.precision]
        marks += ["compiled"] if options.compiled else []
        marks += ["greyscale repeated to 3 channels"] if options.repeat_grey else []
        self.protocol = ", ".join(marks)
        self.weights_sha256 = weights_sha256
        self.fingerprint = fingerprint(name=name, protocol=self.protocol, weights=weights_sha256)
        self._fast = torch.compile(self.network) if options.compiled else self.network

    @property
    def exact(self) -> bool:
        """Whether it runs in eager float32, which every other way is measured against."""
        return self.options.precision == "float32" and not self.options.compiled

    def forward(self, images: Tensor) -> Features:
        return self._run(self._fast, images, self.options.precision)

    def exactly(self, images: Tensor) -> Features:
        """The features in eager float32, whatever the options."""
        return self._run(self.network, images, "float32")

    @torch.inference_mode()
    def _run(self, network: Callable[[Tensor], Any], images: Tensor, precision: Precision) -> Features:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise DataError(f"expected uint8 images (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
        if self.options.repeat_grey and images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        with arithmetic(precision, images.device):
            rows = self.rows(images.device)
            parts = [Features(*network(images[start : start + rows])) for start in range(0, len(images), rows)]
        return parts[0] if len(parts) == 1 else joined(parts)

    @staticmethod
    def rows(device: torch.device) -> int:
        """Images per call of the network. On a CPU few, whose activations stay in its caches: measured 1.15 times as
        fast as 32; on a GPU many."""
        return 4 if device.type == "cpu" else 128


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """TF32 off, which torch leaves on in convolutions, unless asked for; bfloat16 by autocast."""
    allowed, matmul = precision == "tf32", torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = allowed
    try:
        with (
            torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed),
            torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            yield
    finally:
        matmul.allow_tf32 = before


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
    from .digits import WEIGHTS, DigitsClassifier, load_digits_classifier
    from .weights import sha256

    if replace(options, precision="float32", compiled=False) != FeatureOptions():
        raise ConfigError(f"feature network 'digits' has its own weights and takes no options, got {options}")
    network = load_digits_classifier()
    protocol = "digits classifier, penultimate layer; 8x8 greyscale, x/127.5 - 1, no resize"
    return FeatureNetwork(network, "digits", DigitsClassifier.pooled_dimensions, protocol, sha256(WEIGHTS), options)


@FEATURE_NETWORKS.register("dinov2")
def _dinov2(options: FeatureOptions) -> FeatureNetwork:
    from .vit import load_dinov2

    return load_dinov2(options)


def _clip(name: str) -> None:
    @FEATURE_NETWORKS.register(name)
    def load(options: FeatureOptions) -> FeatureNetwork:
        from .vit import load_clip

        return load_clip(name, options)


for _name in ("clip", "clip-b-32", "clip-l", "clip-l-336"):
    _clip(_name)
