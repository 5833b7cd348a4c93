"""Weightings are their papers' formulas, whatever error they are stated for; shares are of the whole loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate
from sigmascope.errors import ConfigError, DataError
from sigmascope.evals.weightings import WEIGHTINGS, Weighting, weighted, weighting
from sigmascope.metrics.units import error_unit_factor

S = np.logspace(-2, 2, 41)
SNR = 1 / S**2
X0_ERROR = S**2 / (1 + S**2)
"""Of the best denoiser of data N(0, 1)."""


def levels(sigma: np.ndarray, time: np.ndarray, error: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"model": "m", "level": range(len(sigma)), "sigma": sigma, "time": time, "error": error})


@pytest.mark.parametrize("sigma_data", [0.5, 1.0])
def test_edm_weighs_its_raw_output_s_error_evenly(sigma_data: float) -> None:
    """Table 1: lambda(s) c_out(s)^2 = 1 with c_out = s sd / sqrt(s^2 + sd^2); ln s ~ N(-1.2, 1.2^2)."""
    edm = weighting(f"edm(sigma_data={sigma_data})")
    assert edm.density is not None
    np.testing.assert_allclose(edm.loss(S), (S**2 + sigma_data**2) / (S * sigma_data) ** 2)
    np.testing.assert_allclose(edm.loss(S), error_unit_factor(S, "F", sigma_data))

    def moment(order: int) -> float:
        density = edm.density
        assert density is not None
        return float(integrate.quad(lambda u: u**order * np.asarray(density(np.exp(u))), -14, 12)[0])

    assert moment(0) == pytest.approx(1.0)
    assert moment(1) == pytest.approx(-1.2)
    assert moment(2) - moment(1) ** 2 == pytest.approx(1.44)


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_in_the_paper_s_three_forms(gamma: float) -> None:
    """min(SNR, g) on x0, min(SNR, g) / SNR on eps, min(SNR, g) / (SNR + 1) on v."""
    ours = weighting(f"min_snr(gamma={gamma})").loss(S) * X0_ERROR
    least = np.minimum(SNR, gamma)
    for unit, factor in (("x0", least), ("eps", least / SNR), ("v", least / (SNR + 1))):
        np.testing.assert_allclose(ours, factor * X0_ERROR * error_unit_factor(S, unit))


@pytest.mark.parametrize(("k", "gamma"), [(1.0, 0.5), (1.0, 1.0), (2.0, 0.0)])
def test_p2_divides_the_simple_loss(k: float, gamma: float) -> None:
    eps_error = X0_ERROR * error_unit_factor(S, "eps")
    ours = weighting(f"p2(k={k}, gamma={gamma})").loss(S) * X0_ERROR
    np.testing.assert_allclose(ours, eps_error / (k + SNR) ** gamma)


def test_the_defaults_are_the_papers() -> None:
    np.testing.assert_allclose(weighting("min_snr").loss(S), np.minimum(SNR, 5))
    np.testing.assert_allclose(weighting("p2").loss(S), SNR / (1 + SNR))
    assert sorted(WEIGHTINGS) == ["edm", "min_snr", "p2"]


@pytest.mark.parametrize("own", [lambda sigma: 1 / (1 + sigma**2), "1/(1 + sigma**2)"], ids=["function", "formula"])
def test_one_s_own_weighting(own: object) -> None:
    np.testing.assert_allclose(weighting(own).loss(S), 1 / (1 + S**2))  # type: ignore[arg-type]


def test_shares_of_a_loss_that_is_known_in_closed_form() -> None:
    """Time uniform on rectified flow's clock, weight 1 / error: each level's share is the time it stands for."""
    time = np.array([0.1, 0.2, 0.5, 0.8])
    table = levels(time / (1 - time), time, time**2)
    found = weighted(table, Weighting("inverse", lambda sigma: (1 + 1 / sigma) ** 2))
    np.testing.assert_allclose(found["share"], np.array([0.05, 0.2, 0.3, 0.15]) / 0.7)
    assert found["weight"].sum() == pytest.approx(1.0)
    assert list(found.columns[: len(table.columns)]) == list(table.columns)


def test_a_density_counts_by_log_sigma() -> None:
    """The F error of EDM held at 1: shares are the lognormal's mass around each level, symmetric about its mean."""
    sigma = np.exp(np.linspace(-1.2 - 9.0, -1.2 + 9.0, 121))
    table = levels(sigma, sigma, 1 / error_unit_factor(sigma, "F", 0.5))
    found = weighted(table.sample(frac=1.0, random_state=0), weighting("edm"))
    assert found["sigma"].is_monotonic_increasing
    middle = found["share"][60]
    assert found["share"][:60].sum() == pytest.approx((1 - middle) / 2)
    assert middle == pytest.approx(0.15 / (1.2 * np.sqrt(2 * np.pi)))


def test_what_can_t_be_weighed_is_refused() -> None:
    table = levels(S, S, X0_ERROR)
    with pytest.raises(ConfigError, match=r"unknown weighting 'min_snt' \(did you mean 'min_snr'"):
        weighting("min_snt")
    with pytest.raises(ConfigError, match="unknown name 'sigmas'"):
        weighting("1/sigmas")
    with pytest.raises(ConfigError, match="gamma above 0, got -1"):
        weighting("min_snr(gamma=-1)")
    with pytest.raises(ConfigError, match="finite weights of 0 or more"):
        weighted(table, weighting("-sigma"))
    with pytest.raises(DataError, match="one model's table of at least 2 levels, got 82 rows"):
        weighted(pd.concat([table, table]), weighting("p2"))
