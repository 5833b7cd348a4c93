"""P9: on Gaussians of any rank it is the closed form, on O2 image by image; directions lost in a band are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, SIGMAS, curve_of, data_of, faulty, misses, rows_of

FLAT = Gaussian(GAUSSIAN.mean, torch.where(torch.arange(16) < 5, 0.3, 0.0).double())


@pytest.mark.parametrize("oracle", [GAUSSIAN, FLAT], ids=["full rank", "rank 5"])
def test_a_gaussian_has_its_closed_form(oracle: Gaussian) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 800), probe("dimension(images=800)"), "dimension")
    clean = oracle.variances
    expected = [float((clean / (clean + s**2) + clean * s**2 / (clean + s**2) ** 2).sum()) for s in SIGMAS]
    # columns are kept in float32: 16 x 2^-24
    assert misses(curve, expected, 2 * len(SIGMAS)).empty
    assert curve["value"][0] == pytest.approx(float((clean > 0).sum()), rel=0.01)  # the rank, at the least sigma


def test_a_mixture_has_its_own_image_by_image() -> None:
    data = data_of(MIXTURE, 500)
    rows = rows_of(as_denoiser(MIXTURE), data, [probe("dimension(images=500, directions=2)")])
    x = data.images.double()[rows["image"].to_numpy(copy=True)]
    s = torch.from_numpy(rows["sigma"].to_numpy(copy=True))
    total, m = MIXTURE.spread**2 + s**2, MIXTURE.mode
    slope = 1.0 / torch.cosh((x @ m) / total) ** 2
    trace = 16 * MIXTURE.spread**2 / total + (s / total) ** 2 * (m @ m) * slope
    exact = trace + (MIXTURE.denoise(x, s) - x).square().sum(1) / s**2
    rest = (rows["dimension.dimension"] - exact.numpy()).groupby(rows["level"]).agg(["mean", "sem"])
    # 12 looks at 1e-4, and float32 columns of up to 16
    assert (np.abs(rest["mean"]) < 4.5 * rest["sem"] + 2**-19).all()


def test_directions_lost_in_one_band_are_found_there() -> None:
    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        best = GAUSSIAN.denoise(x, sigma)
        lost = torch.cat((best[:, :12], GAUSSIAN.mean[12:].expand(len(x), 4)), 1)
        return torch.where((sigma > 0.3) & (sigma < 2.0), lost, best)

    freedom = curve_of(faulty(answer), data_of(GAUSSIAN, 100), probe("dimension"), "freedom")
    whole = np.array([float((GAUSSIAN.variances / (GAUSSIAN.variances + s**2)).sum()) for s in SIGMAS])
    share = np.array([float((GAUSSIAN.variances / (GAUSSIAN.variances + s**2))[12:].sum()) for s in SIGMAS])
    band = freedom["sigma"].between(0.3, 2.0).to_numpy()
    assert freedom["value"].to_numpy() == pytest.approx(whole - np.where(band, share, 0.0), rel=1e-6)
