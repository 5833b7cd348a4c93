"""P8: a stationary Gaussian has 1 in every band; no best denoiser is above; blur is, in its band and level."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sigmascope.errors import ConfigError, DataError
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import curves, probe
from sigmascope.evals.probes.references import fourier, wiener
from sigmascope.evals.probes.spectrum import bands, radius
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import Gaussian, Mixture
from torch import Tensor

from .proving import SIGMAS, data_of, misses, rows_of

SHAPE = (1, 8, 8)
MEAN = torch.linspace(-0.4, 0.4, 64, dtype=torch.float64).reshape(SHAPE)
POWER = 0.5 / (1.0 + (radius(SHAPE[1:]) / 0.1) ** 2).expand(SHAPE)
"""Of each frequency: falls as natural images' does."""
EDGES = (0.0625, 0.125, 0.25, 0.5)


def best(x: Tensor, sigma: Tensor, gain: Tensor | float = 1.0) -> Tensor:
    """E[x0 | x] of the stationary Gaussian, times a gain per frequency."""
    filtered = gain * POWER / (POWER + sigma**2) * fourier(x - MEAN)
    return MEAN + torch.fft.ifftn(filtered, dim=(2, 3), norm="ortho").real


def images(answer: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...] = SHAPE) -> Denoiser:
    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return answer(x, sigma.reshape(-1, *(1,) * (x.ndim - 1)).to(x.dtype))

    return wrap(network, EDM(), "x0", shape, micro_batch=256, dtype=torch.float64)


def stationary(count: int, seed: int) -> DataSet:
    white = Noise(seed).normal(torch.arange(count), "data", 0, SHAPE, torch.float64)
    drawn = MEAN + torch.fft.ifftn(POWER.sqrt() * fourier(white), dim=(2, 3), norm="ortho").real
    return DataSet(drawn.float(), None, "stationary")


def errors(
    train: DataSet,
    excess: Callable[[float], Tensor | float] = lambda s: 0.0,
    mean: Tensor = MEAN,
    power: Tensor = POWER,
) -> pd.DataFrame:
    """Error of the best denoiser and `excess`, and of the filter fitted to `train`: a column each, by (slice, level).

    A filter with gain g = Q / (Q + s^2) about m makes (1 - g)^2 (P + |F(m - mean)|^2) + g^2 s^2.
    """
    fitted = wiener(train.images)
    found = {}
    for level, s in enumerate(SIGMAS.tolist()):
        gain = fitted.power / (fitted.power + s**2)
        about = power + fourier((fitted.mean - mean)[None])[0].abs().square()
        theirs = (1 - gain) ** 2 * about + gain**2 * s**2
        ours = power * s**2 / (power + s**2) + excess(s)
        parts = {"ours": bands(ours.sqrt()[None], EDGES), "theirs": bands(theirs.sqrt()[None], EDGES)}
        for band in parts["ours"]:
            found[f"frequency {NAMES[band]}", level] = {whose: float(part[band]) for whose, part in parts.items()}
    return pd.DataFrame(found).T


NAMES = ("0-0.0625", "0.0625-0.125", "0.125-0.25", "0.25-0.5", "0.5 and up")
LOOKS = 4 * len(SIGMAS)


def curve_of(denoiser: Denoiser, data: DataSet, train: DataSet | None, quantity: str = "over_wiener") -> pd.DataFrame:
    spectrum = probe("spectrum")
    found = curves(rows_of(denoiser, data, [spectrum], train=train), [spectrum])
    return found[found["quantity"] == quantity]


def at(curve: pd.DataFrame, errors: pd.DataFrame) -> np.ndarray:
    """Their ratio, in the order of the curve's rows."""
    rows = errors.loc[list(zip(curve["slice"], curve["level"], strict=True))]
    return (rows["ours"] / rows["theirs"]).to_numpy()


def test_a_stationary_gaussian_makes_the_filter_s_error_in_every_band() -> None:
    train = stationary(500, 5)
    curve = curve_of(images(best), stationary(400, 6), train)
    assert len(curve) == LOOKS  # an 8 x 8 image has no frequency in the second octave
    assert misses(curve, at(curve, errors(train)), LOOKS).empty


def test_the_filter_makes_the_error_of_wiener_s_formula() -> None:
    """With the data's own mean and power, P s^2 / (P + s^2): read off the columns, under a large reference."""
    rows = rows_of(images(best), stationary(400, 6), [probe("spectrum")], train=stationary(5_000, 5))
    for level, s in enumerate(SIGMAS.tolist()):
        least = bands((POWER * s**2 / (POWER + s**2)).sqrt()[None], EDGES)
        for band in (0, 2, 3, 4):
            seen = rows.loc[rows["level"] == level, f"spectrum.wiener_{band}"]
            reach = stats.norm.isf(1e-4 / LOOKS / 2) * seen.sem()
            # a fitted mean adds 1/n of the error, a fitted power at most 1/2n
            assert abs(seen.mean() - float(least[band])) < reach + 1.5 / 5_000 * float(least[band])


def test_without_training_images_each_image_s_reference_is_all_others() -> None:
    curve = curve_of(images(best), stationary(400, 6), None)
    # the best denoiser never has more than a filter; this one at most 1.5 / n more than the best filter
    assert misses(curve[curve["value"] > 1.0], 1.0, LOOKS).empty
    assert misses(curve[curve["value"] < 1.0 - 1.5 / 399], 1.0 - 1.5 / 399, LOOKS).empty


def test_a_reference_without_an_image_is_one_fitted_to_the_others() -> None:
    drawn = stationary(20, 7).images
    without, refitted = wiener(drawn).without(drawn[3:4]), wiener(torch.cat([drawn[:3], drawn[4:]]))
    torch.testing.assert_close(without.mean[0], refitted.mean)
    torch.testing.assert_close(without.power[0], refitted.power, rtol=1e-9, atol=1e-12)
    assert without.images == refitted.images == 19


@pytest.mark.parametrize("oracle", ["uneven", "two modes"])
def test_the_best_denoiser_is_never_above_a_filter(oracle: str) -> None:
    """Neither stationary nor, the second, Gaussian: well below 1 somewhere, above it nowhere."""
    known = {
        "uneven": Gaussian(MEAN.flatten(), torch.logspace(-2, 0, 64, dtype=torch.float64)),
        "two modes": Mixture(MEAN.flatten(), 0.2),
    }[oracle]
    data, train = (
        DataSet(drawn.images.reshape(-1, *SHAPE), None, "oracle")
        for drawn in (data_of(known, 400, 11), data_of(known, 300, 12))
    )

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        return known.denoise(x.flatten(1), sigma.flatten()).reshape(x.shape)

    curve = curve_of(images(answer), data, train)
    assert misses(curve[curve["value"] > 1.0], 1.0, 2 * LOOKS).empty
    assert curve["value"].min() < 0.9


def test_blur_is_found_in_its_band() -> None:
    """Half of what the denoiser has from a quarter cycle up, at some levels: |1 - g|^2 P^2 / (P + s^2) more error."""
    gain = torch.where(radius(SHAPE[1:]) >= 0.25, 0.5, 1.0)

    def blurred(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where((sigma > 0.05) & (sigma < 0.5), best(x, sigma, gain), best(x, sigma))

    def excess(s: float) -> Tensor | float:
        return (1 - gain) ** 2 * POWER**2 / (POWER + s**2) if 0.05 < s < 0.5 else 0.0

    train = stationary(500, 5)
    curve = curve_of(images(blurred), stationary(400, 6), train)
    assert misses(curve, at(curve, errors(train, excess)), LOOKS).empty
    # of the whole error, what the filter saves in a band
    share = curve_of(images(blurred), stationary(400, 6), train, "avoidable")
    closed = errors(train, excess)
    whole = closed["ours"].groupby(level=1).transform("sum")
    saved = ((closed["ours"] - closed["theirs"]) / whole).loc[list(zip(share["slice"], share["level"], strict=True))]
    assert misses(share, saved.to_numpy(), LOOKS).empty
    above = misses(curve[curve["value"] > 1.0], 1.0, LOOKS)
    levels = [level for level, s in enumerate(SIGMAS.tolist()) if 0.05 < s < 0.5]
    assert set(zip(above["slice"], above["level"], strict=True)) == {
        (f"frequency {NAMES[band]}", level) for band in (3, 4) for level in levels
    }


def test_bands_share_out_the_error() -> None:
    rows = rows_of(images(best), stationary(20, 6), [probe("spectrum")])
    parts = rows[[f"spectrum.error_{band}" for band in (0, 2, 3, 4)]].sum(axis=1)
    np.testing.assert_allclose(parts, rows["error"], rtol=1e-5)


@pytest.mark.parametrize("shape", [(2, 16), (1, 4, 6, 8)], ids=["sequence", "volume"])
def test_sequences_and_volumes_have_bands_too(shape: tuple[int, ...]) -> None:
    """White data of variance 1: x / (1 + s^2) is both the best denoiser and the filter."""
    data, train = (DataSet(Noise(seed).normal(torch.arange(200), "data", 0, shape), None, "white") for seed in (1, 2))
    curve = curve_of(images(lambda x, sigma: x / (1 + sigma**2), shape), data, train)
    closed = errors(train, mean=torch.zeros(shape).double(), power=torch.ones(shape).double())
    assert len(curve) == len(closed) >= 3 * len(SIGMAS)
    assert misses(curve, at(curve, closed), len(curve)).empty


def test_what_has_no_frequencies_is_refused() -> None:
    flat = data_of(Mixture(MEAN.flatten(), 0.2), 10)
    with pytest.raises(ConfigError, match=r"expected images \(channels, ...\), got samples of shape \(64,\)"):
        rows_of(images(lambda x, sigma: x, (64,)), flat, [probe("spectrum")])
    with pytest.raises(ConfigError, match="expected ascending edges above 0"):
        probe("spectrum(edges=(0.5, 0.25))")
    with pytest.raises(DataError, match="at least 3 images, got 2"):
        rows_of(images(best), stationary(2, 6), [probe("spectrum")])
