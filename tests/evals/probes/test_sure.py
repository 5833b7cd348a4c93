"""P5: SURE is the error of any smooth denoiser, kappa is 1 for the best; a slope that is wrong is found in its band."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sigmascope.evals.probes import curves, probe
from sigmascope.fixtures.oracles import Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, OFTEN, PAIR, SIGMAS, curve_of, data_of, faulty, misses, rows_of

LOOKS = 2 * 3 * len(SIGMAS)


@pytest.mark.parametrize(
    ("oracle", "sigmas"),
    [(GAUSSIAN, SIGMAS), (MIXTURE, SIGMAS), (PAIR, OFTEN)],
    ids=["gaussian", "mixture", "two points"],
)
def test_an_oracle_s_error_is_its_jacobian_s_variance(oracle: Oracle, sigmas: Tensor) -> None:
    rows = rows_of(as_denoiser(oracle), data_of(oracle, 1000), [sure := probe("sure(images=1000)")], sigmas=sigmas)
    found = curves(rows, [sure])
    for quantity in ("ratio", "kappa"):
        curve = found[found["quantity"] == quantity]
        assert len(curve) == len(sigmas)
        assert misses(curve, 1.0, LOOKS).empty
    # s^2 div D is the error that nobody can beat
    means = rows.groupby("sigma")["sure.variance"].agg(["mean", "sem"])
    expected = [oracle.mmse(s) / 16 for s in means.index]
    assert (np.abs(means["mean"] - expected) < 4.9 * means["sem"] + 1e-6).all()  # 36 looks at 1e-4


def test_a_slope_too_steep_in_one_band_is_found_there() -> None:
    """D = mean + a g (x - mean), a = 1.5: the error grows, the claimed variance too; SURE knows both."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        best = GAUSSIAN.denoise(x, sigma)
        return torch.where((sigma > 0.3) & (sigma < 2.0), GAUSSIAN.mean + 1.5 * (best - GAUSSIAN.mean), best)

    found = curves(
        rows_of(faulty(answer), data_of(GAUSSIAN, 1000), [sure := probe("sure(images=1000, directions=2)")]), [sure]
    )
    kappa, ratio = (found[found["quantity"] == name].reset_index(drop=True) for name in ("kappa", "ratio"))
    band = kappa["sigma"].between(0.3, 2.0)
    assert band.sum() == 3
    assert misses(ratio, 1.0, LOOKS).empty
    assert set(misses(kappa, 1.0, len(SIGMAS))["level"]) == set(kappa["level"][band])
    expected = []
    for s in kappa["sigma"]:
        a, clean = (1.5 if 0.3 < s < 2.0 else 1.0), GAUSSIAN.variances
        g = a * clean / (clean + s**2)
        error = ((1 - g) ** 2 * clean + g**2 * s**2).sum()
        expected.append(float(error / (s**2 * g.sum())))
    assert misses(kappa, expected, len(SIGMAS)).empty


def test_answers_that_are_no_function_of_the_image_are_no_risk_estimate() -> None:
    """Dropout left on: noise in the answer that SURE can't see, for it does not follow the image."""
    generator = torch.Generator().manual_seed(3)

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        return GAUSSIAN.denoise(x, sigma) + 0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)

    ratio = curve_of(faulty(answer), data_of(GAUSSIAN, 300), probe("sure(images=300)"), "ratio")
    # differences of noise over 2h: J is all noise, 0.5 / h in size
    assert (ratio["error"][:8] > 10.0).all()


def test_errors_are_the_spread_over_repetitions() -> None:
    """100 runs on 40 images of their own: 99 var / mean(error^2) is chi^2 at 99; 3 looks at 1e-4."""
    sure = probe("sure(images=4000)")
    rows = rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 4000), [sure], sigmas=SIGMAS[2:9:3])
    found = pd.concat([curves(part, [sure]) for _, part in rows.groupby(rows["image"] // 40)])
    low, high = stats.chi2.ppf([1e-4 / 6, 1 - 1e-4 / 6], 99)
    for _, repeated in found[found["quantity"] == "kappa"].groupby("level"):
        assert len(repeated) == 100
        assert low < 99 * repeated["value"].var() / repeated["error"].pow(2).mean() < high
