"""P6: an oracle's Jacobian is a covariance; a rotation in one band, and a negative variance, are found there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses

PLANE = torch.block_diag(*[torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)] * 8)


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
@pytest.mark.parametrize("quantity", ["asymmetry", "negative"])
def test_an_oracle_s_jacobian_is_a_covariance(oracle: Oracle, quantity: str) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 100), probe("symmetry(images=100)"), quantity)
    assert misses(curve, 0.0, 6 * len(SIGMAS)).empty
    assert len(curve) >= 7  # two points far apart have J = 0 at small sigma: nothing to be scored


@pytest.mark.parametrize("predicts", ["x0", "eps", "v"])
def test_rounding_in_float32_is_no_finding(predicts: str) -> None:
    denoiser = as_denoiser(GAUSSIAN, None, predicts, dtype=torch.float32)
    asymmetry = curve_of(denoiser, data_of(GAUSSIAN, 100), probe("symmetry(images=100)"), "asymmetry")
    assert len(asymmetry) >= 8
    assert (asymmetry["value"] < 0.01).all()  # what is allowed for
    negative = curve_of(denoiser, data_of(GAUSSIAN, 100), probe("symmetry(images=100)"), "negative")
    assert (negative["value"] == 0.0).all()


def test_a_rotation_in_one_band_is_found_there_with_its_size() -> None:
    """D + a K (x - mean), K' = -K, K'K = 1: |J - J'|^2 / |J|^2 = 4 a^2 d / (sum g^2 + a^2 d)."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        turned = 0.2 * (x - GAUSSIAN.mean) @ PLANE.T
        return GAUSSIAN.denoise(x, sigma) + torch.where((sigma > 0.3) & (sigma < 2.0), turned, 0.0)

    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 1000), probe("symmetry(basis=2, images=1000)"), "asymmetry")
    band = curve["sigma"].between(0.3, 2.0)
    assert set(misses(curve, 0.0, len(SIGMAS))["level"]) == set(curve["level"][band])
    gains = [GAUSSIAN.variances / (GAUSSIAN.variances + s**2) for s in curve["sigma"][band]]
    expected = [float(4 * 0.04 * 16 / ((g**2).sum() + 0.04 * 16)) for g in gains]
    assert misses(curve[band], expected, 3).empty


def test_a_negative_variance_in_one_band_is_found_there() -> None:
    """Two of 16 eigenvalues are pulled down to -0.5."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        best = GAUSSIAN.denoise(x, sigma)
        pulled = torch.cat((best[:, :14], GAUSSIAN.mean[14:] - 0.5 * (x - GAUSSIAN.mean)[:, 14:]), 1)
        return torch.where((sigma > 0.3) & (sigma < 2.0), pulled, best)

    data = data_of(GAUSSIAN, 100)
    negative = curve_of(faulty(answer), data, probe("symmetry(images=100)"), "negative")
    band = negative["sigma"].between(0.3, 2.0)
    assert set(misses(negative, 0.0, len(SIGMAS))["level"]) == set(negative["level"][band])
    least = curve_of(faulty(answer), data, probe("symmetry(images=100)"), "ritz")
    assert least["value"][band].between(-0.5, -0.2).all()  # never below the least eigenvalue
    eigenvalues = [GAUSSIAN.variances / (GAUSSIAN.variances + s**2) for s in SIGMAS]
    bounds = np.array([[float(g.min()), float(g.max())] for g in eigenvalues])
    assert least["value"][~band].between(bounds[~band, 0], bounds[~band, 1]).all()


def test_a_basis_larger_than_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a basis of 2 to 16, the model's dimensions, got 17"):
        curve_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 20), probe("symmetry(basis=17)"), "ritz")
