"""P12: churned images keep an oracle's power, but for Heun's own error, which O1 gives exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from sigmascope.errors import ConfigError
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses


def heun(sigma: float, factor: float = 1.5, steps: int = 3, loops: int = 1, weak: tuple[float, ...] = ()) -> float:
    """The drift of power on O1, eps times 0.98 between the two levels of `weak`."""
    clean, variance = GAUSSIAN.variances, GAUSSIAN.variances + sigma**2
    nodes = [sigma * factor ** (1 - step / steps) for step in range(steps + 1)]

    def slope(s: float) -> Tensor:
        return (0.98 if weak and weak[0] < s < weak[1] else 1.0) * s / (clean + s**2)

    added = nodes[0] ** 2 - sigma**2
    for _ in range(loops):
        variance = variance + added
        for a, b in pairwise(nodes):
            variance = variance * (1 + (b - a) / 2 * (slope(a) + slope(b) * (1 + (b - a) * slope(a)))) ** 2
    return float((variance - clean - sigma**2).mean()) / added / loops


@pytest.mark.parametrize("loops", [1, 3])
def test_a_gaussian_drifts_by_heun_s_error_alone(loops: int) -> None:
    churn = probe(f"churn(images=400, loops={loops})")
    curve = curve_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 400), churn, "power")
    assert len(curve) == len(SIGMAS) - 1  # above the last level there is no room
    expected = [heun(s, loops=loops) for s in curve["sigma"]]
    assert misses(curve, expected, 2 * len(SIGMAS)).empty
    assert all(0 <= drift < 0.0019 for drift in expected)
    brightness = curve_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 400), churn, "brightness")
    assert misses(brightness, 0.0, 2 * len(SIGMAS)).empty


@pytest.mark.parametrize("oracle", [MIXTURE, PAIR], ids=["mixture", "two points"])
@pytest.mark.parametrize("quantity", ["power", "brightness"])
def test_an_oracle_keeps_its_distribution(oracle: Oracle, quantity: str) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 400), probe("churn(images=400)"), quantity)
    reach = stats.t.isf(1e-4 / 4 / len(SIGMAS) / 2, 399) * curve["error"]
    # what Heun's steps may leave
    assert (np.abs(curve["value"]) < reach + 0.0019).all()


def test_a_noise_estimate_two_percent_too_small_is_found_where_it_acts() -> None:
    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        eps = (x - GAUSSIAN.denoise(x, sigma)) / sigma
        return x - sigma * torch.where((sigma > 1.5) & (sigma < 30.0), 0.98, 1.0) * eps

    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 1500), probe("churn(images=1500)"), "power")
    assert misses(curve, [heun(s, weak=(1.5, 30.0)) for s in curve["sigma"]], len(SIGMAS)).empty
    found = curve[curve["low"] > 0.005]
    assert found["level"].tolist() == [6, 7, 8, 9]
    # inside the band (s' / s)^(2 * 0.02) is left of s^2, where the noise outweighs the data
    assert curve["value"][8] == pytest.approx((1.5**0.04 - 1) / 1.25, rel=0.02)


def test_a_factor_that_adds_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a factor above 1, got 1"):
        probe("churn(factor=1)")
