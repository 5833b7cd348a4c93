"""P8, spectrum: the error at each spatial frequency beside that of the best shift-invariant linear filter.

    over_wiener   sum over the band's frequencies of E |F(D - x0)|^2, over the same of Wiener's filter
    avoidable     share of the whole denoising error that the filter would save in the band; negative where it is worse

F is the Fourier transform. The filter multiplies each frequency of x - mean by P / (P + s^2), on the same noisy images,
and so makes P s^2 / (P + s^2) of error there (N. Wiener, "Extrapolation, Interpolation, and Smoothing of Stationary
Time Series", 1949). P = E |F(x0 - mean)|^2 is the power spectrum of the data less their mean image, of each channel.

The best denoiser has at most 1 in every band, exactly 1 for Gaussian data with a stationary covariance: a coefficient
of E[x0 | x] has the least error of any function of x, the filter's included, whatever P the filter has. For that the
filter must not have seen the image: mean and P are those of the training images, or else of all held-out images but
the one at hand. Above 1 is worse than a linear filter: in the highest bands blur or noise, in one of them a grid.

A band is named by its frequencies in cycles per pixel: 0.5 is Nyquist's, and a diagonal reaches 0.71. On small images a
band may hold no frequency; then it has no curve. Sequences and volumes have the same of their one or three dimensions.

No further evaluations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ...errors import ConfigError, DataError
from ...metrics.intervals import Floats
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, ratio
from .references import Wiener, fourier, training_set, wiener


def _avoidable(error: Floats, wiener: Floats, whole: Floats) -> Floats:
    share: Floats = (error - wiener) / whole
    return share


@PROBES.register("spectrum")
class Spectrum(Probe):
    name = "spectrum"

    def __init__(self, edges: Sequence[float] = (0.0625, 0.125, 0.25, 0.5)) -> None:
        """
        Args:
            edges: between bands, ascending, in cycles per pixel; octaves up to Nyquist's frequency.
        """
        self.edges = tuple(float(edge) for edge in edges)
        if not self.edges or any(low >= high for low, high in pairwise((0.0, *self.edges))):
            raise ConfigError(f"probe 'spectrum': expected ascending edges above 0, got {edges}")
        names = [f"{low:g}-{high:g}" for low, high in pairwise((0.0, *self.edges))] + [f"{self.edges[-1]:g} and up"]
        self.quantities = tuple(
            quantity
            for band, name in enumerate(names)
            for quantity in (
                Quantity("over_wiener", (f"error_{band}", f"wiener_{band}"), ratio, slice=f"frequency {name}"),
                Quantity(
                    "avoidable", (f"error_{band}", f"wiener_{band}", "error"), _avoidable, slice=f"frequency {name}"
                ),
            )
        )

    def check(self, subject: Subject) -> None:
        shape = subject.denoiser.event_shape
        if len(shape) < 2:
            raise ConfigError(f"probe 'spectrum': expected images (channels, ...), got samples of shape {shape}")
        if subject.train is not None:
            training_set(subject, self.name)
        elif len(subject.data.images) < 3:
            raise DataError(f"probe 'spectrum': expected at least 3 images, got {len(subject.data.images)}")

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {"error": seen.error}
        errors = bands(fourier((seen.prediction.x0 - seen.x0).double()), self.edges)
        filtered = bands(_filtered(seen, subject), self.edges)
        for band in errors:
            found |= {f"error_{band}": errors[band], f"wiener_{band}": filtered[band]}
        return found


def _filtered(seen: Evaluations, subject: Subject) -> Tensor:
    """The filter's error, by frequency: nothing is subtracted from nearly its equal."""
    reference = _reference(seen, subject)
    power, noise = reference.power, seen.sigma.double() ** 2
    signal, eps = fourier(seen.x0.double() - reference.mean), fourier(seen.eps.double())
    return (power * seen.sigma.double() * eps - noise * signal) / (power + noise)


def _reference(seen: Evaluations, subject: Subject) -> Wiener:
    fitted = wiener((subject.train or subject.data).images)
    fitted = Wiener(fitted.mean.to(seen.x0.device), fitted.power.to(seen.x0.device), fitted.images)
    return fitted if subject.train else fitted.without(seen.x0)


def bands(spectrum: Tensor, edges: Sequence[float]) -> dict[int, Tensor]:
    """`(B, C, *space)` -> each band's part of the mean square `(B,)` float64, by its number; they add up to the whole.

    A band that holds no frequency is absent.
    """
    frequencies = radius(tuple(spectrum.shape[2:])).to(spectrum.device).flatten()
    band = torch.bucketize(frequencies, torch.tensor(edges, dtype=torch.float64, device=spectrum.device), right=True)
    power = spectrum.abs().square().mean(1).flatten(1) / len(frequencies)
    return {number: power[:, band == number].sum(1) for number in band.unique().tolist()}


def radius(shape: tuple[int, ...]) -> Tensor:
    """Distance of each of `torch.fft.fftn`'s frequencies from 0, in cycles per pixel: `shape`, float64."""
    axes = torch.meshgrid(*(torch.fft.fftfreq(size, dtype=torch.float64) for size in shape), indexing="ij")
    return torch.stack(axes).square().sum(0).sqrt()
