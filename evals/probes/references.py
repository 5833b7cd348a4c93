"""Denoisers known without a network: the best linear ones, and the posterior mean over a finite set of images.

    linear(images)      a Gaussian fitted to them: mean + S (S + s^2)^-1 (x - mean); where there are too many dimensions
                        or too few images for S, the shift-invariant one
    wiener(images)      the shift-invariant one: each frequency of x - mean times P / (P + s^2), P the power spectrum
    finite_set(images)  sum_i w_i x_i with w = softmax(-|x - x_i|^2 / 2 s^2): pure memorisation

On fresh images the best denoiser's error is no larger than any of theirs: E[x0 | x] has the least of all functions of
x. They work in float64 and are fitted once for all probes and models that ask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ...errors import DataError
from ...metrics.moments import Moments
from ..data import DataSet
from ..levels import broadcast
from .probe import Subject

Reference = Callable[[Tensor, Tensor], Tensor]
"""Scaled states x = x0 + sigma eps `(B, *event_shape)` and sigma `(B,)` -> estimates of x0, float64."""

DIMENSIONS_MAX = 4096
"""Largest covariance that is fitted: 128 MiB, and a few minutes of one core for its eigenvectors."""

_BLOCK = 1 << 12  # images held at once, and points weighed at once


def training_set(subject: Subject, wanted_by: str) -> DataSet:
    """Raises DataError where there are none, of another shape, or the held-out images again."""
    train, data = subject.train, subject.data
    if train is None:
        raise DataError(f"probe {wanted_by!r}: expected training images (data.train in a suite), got none")
    if train.images.shape[1:] != data.images.shape[1:]:
        shapes = f"{tuple(train.images.shape[1:])} and {tuple(data.images.shape[1:])}"
        raise DataError(f"probe {wanted_by!r}: expected training and held-out images of one shape, got {shapes}")
    if torch.equal(train.images, data.images):
        raise DataError(f"probe {wanted_by!r}: expected other images to train on than to hold out, got the same")
    return train


@dataclass(frozen=True, eq=False)
class Gaussian:
    """E[x0 | x] for x0 ~ N(mean, U diag(variances) U'); `mean` `(d,)`, `basis` U `(d, d)`."""

    mean: Tensor
    variances: Tensor
    basis: Tensor

    def __call__(self, scaled: Tensor, sigma: Tensor) -> Tensor:
        mean, variances, basis = (part.to(scaled.device) for part in (self.mean, self.variances, self.basis))
        noise = sigma.to(scaled.device, torch.float64).reshape(-1, 1) ** 2
        weights = variances / (variances + noise)
        along = (scaled.double().flatten(1) - mean) @ basis
        return (mean + (weights * along) @ basis.T).reshape(scaled.shape)


@dataclass(frozen=True, eq=False)
class Wiener:
    """The best shift-invariant linear denoiser of deviations from `mean`; `power` E |F(x0 - mean)|^2 per frequency.

    F is the orthonormal Fourier transform over all dimensions of a sample but the first. Where the mean and the power
    are the data's own, the error at a frequency is P s^2 / (P + s^2) whatever the data's distribution: only second
    moments enter. Fields are `(C, *space)`, or one for each row.
    """

    mean: Tensor
    power: Tensor
    images: int

    def __call__(self, scaled: Tensor, sigma: Tensor) -> Tensor:
        mean, power = self.mean.to(scaled.device), self.power.to(scaled.device)
        noise = broadcast(sigma, scaled.double()) ** 2
        spectrum = fourier(scaled.double() - mean) * (power / (power + noise))
        space = tuple(range(2, scaled.ndim))
        return mean + (torch.fft.ifftn(spectrum, dim=space, norm="ortho").real if space else spectrum.real)

    def without(self, image: Tensor) -> Wiener:
        """Fitted to all images but one, for each row of `image` `(B, C, *space)`: a row is no part of its reference."""
        n = self.images
        deviation = image.double() - self.mean
        scatter = (n - 1) * self.power - n / (n - 1) * fourier(deviation).abs().square()
        return Wiener(self.mean - deviation / (n - 1), scatter.clamp_min(0.0) / (n - 2), n - 1)


def fourier(images: Tensor) -> Tensor:
    """`(B, C, *space)` -> the orthonormal transform over space, complex; `(B, d)` has no space and stays as it is."""
    space = tuple(range(2, images.ndim))
    return torch.fft.fftn(images, dim=space, norm="ortho") if space else images.to(torch.complex128)


def linear(images: Tensor) -> Reference:
    """The best linear denoiser that `(N, *event_shape)` images can tell."""
    dimensions = math.prod(images.shape[1:])
    # with fewer, the smallest eigenvalues come out far too small, and the filter trusts the mean too much
    return gaussian(images) if dimensions <= DIMENSIONS_MAX and len(images) >= 2 * dimensions else wiener(images)


# tensors hash by identity: fitted once to each set of images
@lru_cache(maxsize=4)
def gaussian(images: Tensor) -> Gaussian:
    """Fitted with the full covariance: `(N, *event_shape)`."""
    moments = Moments.empty(math.prod(images.shape[1:]))
    for block in images.split(_BLOCK):
        moments = moments.update(block.flatten(1))
    variances, basis = torch.linalg.eigh(moments.covariance)
    return Gaussian(moments.mean, variances.clamp_min(0.0), basis)


@lru_cache(maxsize=4)
def wiener(images: Tensor) -> Wiener:
    """Fitted with a mean per value and a power spectrum per channel: `(N, C, *space)`."""
    n = len(images)
    mean = sum(block.double().sum(0) for block in images.split(_BLOCK)) / n
    scatter = sum(fourier(block.double() - mean).abs().square().sum(0) for block in images.split(_BLOCK))
    return Wiener(torch.as_tensor(mean), torch.as_tensor(scatter) / (n - 1), n)


def finite_set(images: Tensor) -> Reference:
    """The posterior mean over `(N, *event_shape)` images, each as likely as another.

    Points go by in blocks, with running sums of the weights (logsumexp), so memory does not grow with their number.
    Squared distances are taken as |x|^2 - 2 x.y + |y|^2 in float64: their rounding moves a log weight by about
    2^-52 |x|^2 / s^2, 1e-6 at s = 0.002 and 10,000 dimensions.
    """

    def posterior_mean(scaled: Tensor, sigma: Tensor) -> Tensor:
        x = scaled.double().flatten(1)
        inverse = 1.0 / sigma.to(x).reshape(-1, 1) ** 2
        top, total, weighted = torch.full_like(inverse, -torch.inf), torch.zeros_like(inverse), torch.zeros_like(x)
        for block in images.split(_BLOCK):
            points = block.to(x).flatten(1)
            # |x|^2 is common to all points
            log_weights = inverse * (x @ points.T - 0.5 * points.square().sum(1))
            highest = torch.maximum(top, log_weights.amax(1, keepdim=True))
            weights, kept = torch.exp(log_weights - highest), torch.exp(top - highest)
            top, total = highest, kept * total + weights.sum(1, keepdim=True)
            weighted = kept * weighted + weights @ points
        return (weighted / total).reshape(scaled.shape)

    return posterior_mean
