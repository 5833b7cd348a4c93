"""Small denoisers for tests of the harness, loaded by dotted name as a user's would be."""

import torch
from sigmascope.evals.denoiser import Denoiser, Traits, wrap
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import Gaussian
from torch import Tensor, nn


class Toy(nn.Module):
    """A convolution in a class-conditional shell: kernels that a batch size could matter to."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)
        self.label = nn.Embedding(3, 8)
        self.scale = scale

    def forward(self, x_t: Tensor, time: Tensor, class_labels: Tensor) -> Tensor:
        shift = self.label(class_labels)[:, :, None, None] + time[:, None, None, None].log()
        return self.scale * self.last(torch.tanh(self.first(x_t) + shift))


def toy(scale: float = 1.0) -> Denoiser:
    network = Toy(scale).eval()
    return wrap(
        network, EDM(0.02, 20.0), "x0", (1, 4, 4), micro_batch=16, traits=Traits(classes=3, fingerprint=f"toy{scale}")
    )


def other() -> Denoiser:
    return toy(0.9)


def broken() -> Denoiser:
    """Returns NaN at low noise."""
    denoiser = toy()
    whole = denoiser.network

    def network(x_t: Tensor, time: Tensor, cond: dict[str, Tensor]) -> Tensor:
        output = whole(x_t, time, cond)
        return torch.where(time[:, None, None, None] < 0.1, torch.full_like(output, float("nan")), output)

    denoiser.network = network
    return denoiser


def not_a_denoiser() -> int:
    return 3


def wrong_shape() -> Denoiser:
    return wrap(lambda x, t: x[:, :1], EDM(), "x0", (2, 4, 4), micro_batch=16)


def gaussian() -> Denoiser:
    oracle = Gaussian(torch.zeros(16, dtype=torch.float64), torch.full((16,), 0.25, dtype=torch.float64))
    return wrap(
        lambda x, t: oracle.denoise(x.flatten(1).double(), t.double()).reshape(x.shape).float(),
        EDM(0.02, 20.0),
        "x0",
        (1, 4, 4),
        micro_batch=16,
    )


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = 0.5 * torch.randn(40, 1, 4, 4, generator=generator)
    return images, torch.arange(40) % 3


def training() -> Tensor:
    return 2 * torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(1)) - 1


def other_training() -> Tensor:
    return -training()


def rote() -> Denoiser:
    """The mean over the training images given the noisy one, which ends at one of them."""
    known = training().double()

    def mean(x: Tensor, t: Tensor) -> Tensor:
        squares = (x.double()[:, None] - known[None]).square().flatten(2).sum(2)
        weights = torch.softmax(-squares / (2 * t.double()[:, None] ** 2), dim=1)
        return torch.einsum("nk,kchw->nchw", weights, known).float()

    return wrap(mean, EDM(0.02, 20.0), "x0", (1, 4, 4), micro_batch=16)
