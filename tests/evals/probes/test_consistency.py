"""P7: an oracle's levels belong together; where a band of other slope begins and ends, its neighbours say so."""

from __future__ import annotations

import pytest
import torch
from sigmascope.evals.probes import probe
from sigmascope.fixtures.oracles import Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, OFTEN, PAIR, SIGMAS, curve_of, data_of, faulty, misses


@pytest.mark.parametrize(
    ("oracle", "sigmas"),
    [(GAUSSIAN, SIGMAS), (MIXTURE, SIGMAS), (PAIR, OFTEN)],
    ids=["gaussian", "mixture", "two points"],
)
def test_an_oracle_s_levels_are_consistent(oracle: Oracle, sigmas: Tensor) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 1500), probe("consistency"), "gap", sigmas=sigmas)
    assert len(curve) == len(sigmas)
    assert misses(curve, 0.0, 3 * len(SIGMAS)).empty


def test_a_band_of_smaller_slope_is_found_at_its_edges_with_its_size() -> None:
    """D = mean + a g (x - mean), a = 0.9 in the band; E x_s x_t = l + s^2 for s < t, and g (l + s^2) = l."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        best = GAUSSIAN.denoise(x, sigma)
        return torch.where((sigma > 0.3) & (sigma < 2.0), GAUSSIAN.mean + 0.9 * (best - GAUSSIAN.mean), best)

    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 3000), probe("consistency"), "gap")
    expected, below, gain_below = [], 1.0, torch.ones(16, dtype=torch.float64)  # the clean image, below all levels
    for s in SIGMAS.tolist():
        a, clean = (0.9 if 0.3 < s < 2.0 else 1.0), GAUSSIAN.variances
        gain = clean / (clean + s**2)
        between = below**2 * gain_below * clean + (a**2 - 2 * below * a) * gain * clean
        expected.append(float((2 * (below * a - a**2) * gain * clean).sum() / between.sum()))
        below, gain_below = a, gain
    assert misses(curve, expected, len(SIGMAS)).empty
    # the least level with the smaller slope, and the least above it
    found = misses(curve, 0.0, len(SIGMAS))
    assert found["level"].tolist() == [4, 7]
    assert found["value"].iloc[0] > 0 > found["value"].iloc[1]
