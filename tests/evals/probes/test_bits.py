"""P3: on oracles each stratum holds its mutual information; strata add up to -log2 p; a loss shows in its band."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate
from sigmascope.errors import ConfigError
from sigmascope.evals.probes import cost, probe
from sigmascope.evals.probes.bits import code_length, strata, total
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses, rows_of

EDGES = strata(SIGMAS).tolist()
LOOKS = len(SIGMAS)
VARIANCES = GAUSSIAN.variances.numpy()


def information(oracle: Gaussian | Mixture | FiniteSet) -> np.ndarray:
    """Bits per dimension of each stratum.

    O1: E_eps = mean of l / (l + s^2), and dlambda = -2 ds / s, so the integral is mean of ln (l + s^2) / s^2 between
    the ends, and bits are that over 2 ln 2. O2, O3: of mmse / s^2 numerically, to 1e-8.
    """
    if isinstance(oracle, Gaussian):
        at = [np.log2((VARIANCES + s**2) / s**2).mean() / 2 for s in EDGES]
        return -np.diff(at)
    return np.array(
        [
            integrate.quad(lambda u: oracle.mmse(math.exp(u)) * math.exp(-2 * u), math.log(low), math.log(high))[0]
            / (oracle.dimensions * math.log(2.0))
            for low, high in pairwise(EDGES)
        ]
    )


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
def test_a_stratum_holds_its_information(oracle: Gaussian | Mixture | FiniteSet) -> None:
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 600), probe("bits"), "bits", draws=2)
    assert len(curve) == LOOKS
    assert misses(curve, information(oracle), 3 * LOOKS).empty


def test_a_loss_in_one_band_costs_its_bits_there() -> None:
    """eps_hat times 0.7: E_eps grows by 0.3^2 E |eps_hat|^2 = 0.09 (1 - E_eps), in strata that lie in the band."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        eps = (x - GAUSSIAN.denoise(x, sigma)) / sigma
        return x - sigma * torch.where((sigma > EDGES[4]) & (sigma < EDGES[7]), 0.7, 1.0) * eps

    best = information(GAUSSIAN)
    widths = -np.diff(-np.log2(np.square(EDGES)))  # of lambda, in bits
    expected = best + np.where(np.isin(np.arange(LOOKS), (4, 5, 6)), 0.09 * (widths / 2 - best), 0.0)
    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 600), probe("bits"), "bits", draws=2)
    assert misses(curve, expected, 2 * LOOKS).empty
    assert set(misses(curve, best, 2 * LOOKS)["level"]) == {4, 5, 6}


def test_strata_add_up_to_the_code_length() -> None:
    """-log2 p of x0 + s_min eps, N(mean, l + s_min^2): mean of log2 sqrt(2 pi e (l + s_min^2)).

    That is science's (d/2) log 2 pi e - 1/2 integral (d / (1 + SNR) - mmse) dSNR as s_min -> 0: checked by integration.
    """
    rows = rows_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 600), [probe("bits")])
    bits = total(rows, confidence=1 - 1e-4)
    low, high = EDGES[0], EDGES[-1]
    before = np.log2(1 + VARIANCES / high**2).mean() / 2
    closed = np.log2(2 * math.pi * math.e * (VARIANCES + low**2)).mean() / 2
    assert code_length(bits.low, low, before) < closed < code_length(bits.high, low, before)
    assert code_length(information(GAUSSIAN).sum(), low, before) == pytest.approx(closed, abs=1e-12)

    def integrand(log_snr: float) -> float:
        snr = math.exp(log_snr)
        return snr * (1 / (1 + snr) - float((VARIANCES / (1 + VARIANCES * snr)).mean()))

    missing = integrate.quad(integrand, -40, 40, limit=400)[0] / 2
    nats = 0.5 * math.log(2 * math.pi * math.e) - missing
    assert nats / math.log(2) == pytest.approx(np.log2(2 * math.pi * math.e * VARIANCES).mean() / 2, abs=1e-6)


def test_a_total_is_the_sum_of_its_strata() -> None:
    denoiser, data = as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 100)
    curve = curve_of(denoiser, data, probe("bits"), "bits", draws=3)
    assert total(rows_of(denoiser, data, [probe("bits")], draws=3)).value == pytest.approx(curve["value"].sum())


def test_draws_are_spread_over_the_stratum() -> None:
    """8 golden-ratio steps around a circle leave gaps of 0.090 and 0.146, wherever they start."""
    asked: list[Tensor] = []

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma.flatten())
        return GAUSSIAN.denoise(x, sigma)

    rows_of(faulty(answer), data_of(GAUSSIAN, 2), [probe("bits")], draws=8, sigmas=SIGMAS[3:5])
    sigmas = torch.cat(asked)
    own = sigmas[~torch.isin(sigmas, SIGMAS[3:5])].unique()
    assert len(own) == 2 * 2 * 8
    place = (own.log() - SIGMAS[3].log()) / (SIGMAS[4] / SIGMAS[3]).log()
    for start in (0.0, 0.5):  # the two strata of two levels
        inside = ((place - start) * 2)[(place > start) & (place < start + 0.5)]
        assert len(inside) == 16
        gaps = torch.diff(torch.cat([torch.zeros(1), inside.sort().values, torch.ones(1)]).double())
        assert gaps.max() < 0.147


def test_a_band_needs_two_levels_and_an_evaluation_a_row() -> None:
    denoiser = as_denoiser(GAUSSIAN)
    with pytest.raises(ConfigError, match="at least 2 levels"):
        rows_of(denoiser, data_of(GAUSSIAN, 5), [probe("bits")], sigmas=SIGMAS[:1])
    rows_of(denoiser, data_of(GAUSSIAN, 5), [probe("bits")])
    assert denoiser.evaluations == cost([probe("bits")], LOOKS, 1, 5) == 2 * LOOKS * 5
