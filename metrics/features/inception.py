"""The Inception-v3 of FID and of the inception score, as torch-fidelity runs it: uint8 images -> pool3 and logits.

A port of TensorFlow's 2015 graph: 1,008 logits, average pools that leave the padding out, a max pool in the last block,
batch-norm epsilon 1e-3. Modules are named as in the published file, which loads as it is; `fold` then makes the same
function of fewer operations. Architecture: Szegedy et al. 2016 (1512.00567).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import DataError, LoadError
from . import FeatureNetwork, FeatureOptions, Features
from .preprocess import TORCH_FIDELITY, Preprocess
from .weights import KNOWN_WEIGHTS, PublishedWeights, load_weights

WEIGHTS = KNOWN_WEIGHTS["inception"]
PROTOCOL = "Inception-v3 2015-12-05, pool3 and bias-free logits (1008)"
SPATIAL_CHANNELS = 7  # of 17 x 17 positions: what sFID is made of

Pool = Callable[[Tensor], Tensor]
_average: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_maximum: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_reduce: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)


def load_inception(options: FeatureOptions) -> FeatureNetwork:
    """The network with the published weights. Raises LoadError where they are missing, damaged or don't fit."""
    assert isinstance(WEIGHTS, PublishedWeights)
    state, digest = load_weights(WEIGHTS, options.weights, options.download)
    network = InceptionV3(preprocess=options.preprocess)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise LoadError(f"weights with SHA-256 {digest[:16]}... don't fit Inception-v3: {error}") from error
    fold(network)
    return FeatureNetwork(
        network, "inception", network.fc.in_features, f"{PROTOCOL}; {options.preprocess}", digest, options
    )


def fold(network: InceptionV3) -> InceptionV3:
    """In place, for inference: batch norms go into their convolutions, the 1x1 convolutions that read one input become
    one, channels come last. Features move by a few 1e-7 of their norm, which is float32's own error."""
    network.eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, Conv):
            module.fold()
    for module in network.modules():
        if isinstance(module, Block):
            module.merge()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)

    def fold(self) -> None:
        """y = (w*x - mean) scale + shift becomes (w scale)*x + (shift - mean scale), computed in float64."""
        mean, variance = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert variance is not None
        scale = self.bn.weight.double() / (variance.double() + self.bn.eps).sqrt()
        weight = self.conv.weight.double() * scale.view(-1, 1, 1, 1)
        bias = self.bn.bias.double() - mean.double() * scale
        self.conv.weight = nn.Parameter(weight.to(self.conv.weight.dtype), requires_grad=False)
        self.conv.bias = nn.Parameter(bias.to(self.conv.weight.dtype), requires_grad=False)
        self.add_module("bn", nn.Identity())


class Block(nn.Module):
    """A block whose branches begin with 1x1 convolutions of one input, `heads`, and a pool before the last of them.

    An average that leaves padding out commutes with a 1x1 convolution and its bias, so all of them can be one product
    with the average taken of its output; a maximum doesn't, and stays before its own convolution.
    """

    heads: tuple[str, ...]
    pool: Pool = staticmethod(_average)

    def begin(self, x: Tensor) -> list[Tensor]:
        """What every branch starts with; the pool branch, done, comes last."""
        if "merged" not in self._modules:
            return [getattr(self, name)(x) for name in self.heads] + [self._pooled(x)]
        parts = list(torch.split(self.merged(x), self.widths, 1))
        pooled = F.relu(_average(parts.pop())) if self.averages else self._pooled(x)
        return [*(F.relu(part) for part in parts), pooled]

    def merge(self) -> None:
        self.averages = self.pool is _average  # kept as a flag: torch.compile doesn't see that the two are one
        names = (*self.heads, "branch_pool") if self.averages else self.heads
        convolutions = [getattr(self, name).conv for name in names]
        self.widths = [conv.out_channels for conv in convolutions]
        merged = nn.Conv2d(convolutions[0].in_channels, sum(self.widths), 1)
        merged.weight = nn.Parameter(torch.cat([conv.weight for conv in convolutions]), requires_grad=False)
        merged.bias = nn.Parameter(torch.cat([conv.bias for conv in convolutions]), requires_grad=False)
        self.merged = merged
        for name in names:
            delattr(self, name)

    def _pooled(self, x: Tensor) -> Tensor:
        found: Tensor = self.get_submodule("branch_pool")(self.pool(x))
        return found


_same = partial(Conv, kernel=3, padding=1)
_wide = partial(Conv, kernel=(1, 7), padding=(0, 3))
_tall = partial(Conv, kernel=(7, 1), padding=(3, 0))


class BlockA(Block):
    """35 x 35: factors of 5x5 and 3x3."""

    heads = ("branch1x1", "branch5x5_1", "branch3x3dbl_1")

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inputs, 64, 1)
        self.branch5x5_1 = Conv(inputs, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _same(64, 96)
        self.branch3x3dbl_3 = _same(96, 96)
        self.branch_pool = Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, five, three, pooled = self.begin(x)
        return torch.cat([one, self.branch5x5_2(five), self.branch3x3dbl_3(self.branch3x3dbl_2(three)), pooled], 1)


class BlockB(nn.Module):
    """35 x 35 to 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _same(64, 96)
        self.branch3x3dbl_3 = Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, _reduce(x)], 1)


class BlockC(Block):
    """17 x 17: 7x7 as rows and columns. forward: the block's output and that of its first branch."""

    heads = ("branch1x1", "branch7x7_1", "branch7x7dbl_1")

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1 = Conv(768, inner, 1)
        self.branch7x7_2 = _wide(inner, inner)
        self.branch7x7_3 = _tall(inner, 192)
        self.branch7x7dbl_1 = Conv(768, inner, 1)
        self.branch7x7dbl_2 = _tall(inner, inner)
        self.branch7x7dbl_3 = _wide(inner, inner)
        self.branch7x7dbl_4 = _tall(inner, inner)
        self.branch7x7dbl_5 = _wide(inner, 192)
        self.branch_pool = Conv(768, 192, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        one, seven, double, pooled = self.begin(x)
        seven = self.branch7x7_3(self.branch7x7_2(seven))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(double))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([one, seven, double, pooled], 1), one


class BlockD(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Conv(768, 192, 1)
        self.branch7x7x3_2 = _wide(192, 192)
        self.branch7x7x3_3 = _tall(192, 192)
        self.branch7x7x3_4 = Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, _reduce(x)], 1)


class BlockE(Block):
    """8 x 8: 3x3 split into a row and a column side by side."""

    heads = ("branch1x1", "branch3x3_1", "branch3x3dbl_1")

    def __init__(self, inputs: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = Conv(inputs, 320, 1)
        self.branch3x3_1 = Conv(inputs, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _same(448, 384)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, three, double, pooled = self.begin(x)
        double = self.branch3x3dbl_2(double)
        branches = [one, self.branch3x3_2a(three), self.branch3x3_2b(three)]
        branches += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), pooled]
        return torch.cat(branches, 1)


class InceptionV3(nn.Module):
    """uint8 (N, 3, H, W) -> pooled (N, 2048), logits (N, 1008) and spatial (N, 2023), the first 7 channels of the 1x1
    branch of Mixed_6d, which TensorFlow's graph calls mixed_6/conv. The bias of the logits is left out, as the
    inception score has it, unless `logits_bias`. Raises DataError for other inputs."""

    def __init__(self, logits_bias: bool = False, preprocess: Preprocess = TORCH_FIDELITY) -> None:
        super().__init__()
        self.logits_bias = logits_bias
        self.preprocess = preprocess
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _same(32, 64)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1280, _average)
        self.Mixed_7c = BlockE(2048, _maximum)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, images: Tensor) -> Features:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise DataError(f"expected uint8 images (N, 3, H, W), got {images.dtype} {tuple(images.shape)}")
        x = self.preprocess(images, self.fc.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = _reduce(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = _reduce(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x, _ = self.Mixed_6b(x)
        x, _ = self.Mixed_6c(x)
        x, narrow = self.Mixed_6d(x)
        spatial = narrow[:, :SPATIAL_CHANNELS].flatten(1)
        x, _ = self.Mixed_6e(x)
        pooled = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))
        logits = F.linear(pooled, self.fc.weight, self.fc.bias if self.logits_bias else None)
        return Features(pooled, logits, spatial)
