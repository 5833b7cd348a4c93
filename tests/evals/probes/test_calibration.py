"""P4: on an oracle its numbers are 1; a slope 2% too small in one band is found in that band, with its size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import Oracle, as_denoiser

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses

LOOKS = 3 * 3 * len(SIGMAS)


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
@pytest.mark.parametrize("quantity", ["slope", "power", "stein"])
def test_an_oracle_is_calibrated(oracle: Oracle, quantity: str) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 1500), probe("calibration"), quantity)
    assert len(curve) == len(SIGMAS)
    assert misses(curve, 1.0, LOOKS).empty
    assert (curve["optimal"] == 1.0).all()


def test_the_noise_estimate_has_the_power_that_the_mmse_leaves() -> None:
    """E |eps_hat|^2 = d - MMSE / s^2, an equation for the column itself."""
    from .proving import rows_of

    rows = rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 2000), [probe("calibration")])
    means = rows.groupby("level")["calibration.power"].agg(["mean", "sem"])
    expected = [1 - GAUSSIAN.mmse(s) / s**2 / 16 for s in SIGMAS.tolist()]
    # 12 looks at 1e-4: 4.5 standard errors
    assert (np.abs(means["mean"] - expected) < 4.5 * means["sem"]).all()


def test_a_noise_estimate_two_percent_too_small_is_found_in_its_band() -> None:
    """eps_hat times 0.98 makes the slope 1/0.98, with gain (0.02/0.98)^2 E|eps_hat|^2 / E|eps - eps_hat|^2."""

    def answer(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        eps = (x - GAUSSIAN.denoise(x, sigma)) / sigma
        return x - sigma * torch.where((sigma > 1.0) & (sigma < 8.0), 0.98, 1.0) * eps

    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 1500), probe("calibration"), "slope")
    band = (curve["sigma"] > 1.0) & (curve["sigma"] < 8.0)
    assert band.sum() == 2
    assert set(misses(curve, 1.0, len(SIGMAS))["level"]) == set(curve["level"][band])
    assert misses(curve[band], 1 / 0.98, 3).empty
    gain = curve_of(faulty(answer), data_of(GAUSSIAN, 1500), probe("calibration"), "gain")[band]
    mmse = np.array([GAUSSIAN.mmse(s) / s**2 / 16 for s in gain["sigma"]])
    power = 1 - mmse
    rest = mmse + 0.02**2 * power
    # 5 standard errors, and the first-order error of a jackknifed ratio at n = 1500
    assert (np.abs(gain["value"] - (1 - (1 - power) / rest)) < 5 * gain["error"] + 1e-4).all()
