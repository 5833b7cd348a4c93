"""P2: the best denoiser has no excess; the known ones have their closed forms; lost detail is found in its band."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.evals.probes import probe
from sigmascope.evals.probes.excess_error import ExcessError
from sigmascope.evals.probes.references import finite_set, gaussian, linear, wiener
from sigmascope.fixtures.oracles import FiniteSet, Gaussian, Mixture, Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of, faulty, misses

LOOKS = len(SIGMAS)


def second_moments(oracle: Gaussian | Mixture) -> tuple[Tensor, Tensor]:
    """Mean and covariance."""
    if isinstance(oracle, Gaussian):
        return oracle.mean, torch.diag(oracle.variances)
    spread = oracle.spread**2 * torch.eye(oracle.dimensions, dtype=torch.float64)
    return torch.zeros_like(oracle.mode), spread + torch.outer(oracle.mode, oracle.mode)


def over_linear(oracle: Gaussian | Mixture, train: Tensor) -> list[float]:
    """MMSE over the error of m + G (x - m): tr (I-G) S (I-G)' + |(I-G)(m - mean)|^2 + s^2 tr G G'."""
    mean, covariance = second_moments(oracle)
    fitted = gaussian(train)
    found = []
    for s in SIGMAS.tolist():
        gain = fitted.basis @ torch.diag(fitted.variances / (fitted.variances + s**2)) @ fitted.basis.T
        rest = torch.eye(len(mean), dtype=torch.float64) - gain
        error = (rest @ covariance @ rest.T).trace() + (rest @ (fitted.mean - mean)).square().sum()
        found.append(oracle.mmse(s) / float(error + s**2 * gain.square().sum()))
    return found


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
def test_the_best_denoiser_beside_the_best_linear_one(oracle: Gaussian | Mixture) -> None:
    train = data_of(oracle, 800, 12)
    closed = over_linear(oracle, train.images)
    curve = curve_of(as_denoiser(oracle), data_of(oracle, 800), probe("excess_error"), "over_linear", train=train)
    assert misses(curve, closed, 2 * LOOKS).empty
    if isinstance(oracle, Mixture):
        assert min(closed) < 0.9  # two modes are more than a line can tell


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
def test_the_best_denoiser_has_no_excess(oracle: Oracle) -> None:
    train, data = data_of(oracle, 300, 12), data_of(oracle, 301)
    for quantity, bound in (("over_set", 1.0), ("excess", 0.0)):
        curve = curve_of(as_denoiser(oracle), data, probe("excess_error"), quantity, train=train)
        assert misses(curve[curve["value"] > bound], bound, 6 * LOOKS).empty
    itself = ExcessError({"oracle": oracle.denoise})
    # x_t is kept in float32: a relative error of 2^-24 in x is one of up to 80 * 2^-24 in x0
    for quantity, nothing in (("over_oracle", 1.0), ("excess", 0.0)):
        curve = curve_of(as_denoiser(oracle), data, itself, quantity)
        assert (curve["value"] - nothing).abs().max() < 2e-5


def test_a_finite_set_s_own_denoiser_is_its_set_s() -> None:
    train, data = data_of(PAIR, 300, 12), data_of(PAIR, 301)
    even = FiniteSet(train.images.double())  # the two points as often as they were drawn
    curve = curve_of(as_denoiser(even), data, probe("excess_error"), "over_set", train=train)
    # nothing is scored where both errors underflow to 0
    assert len(curve) >= 8
    assert (curve["value"] - 1.0).abs().max() < 2e-5


def test_lost_detail_is_found_in_its_band() -> None:
    """D pulled a third of the way to the mean: worse than linear, by (1/3)^2 of D's own power."""

    def answer(x: Tensor, sigma: Tensor) -> Tensor:
        estimate = GAUSSIAN.denoise(x, sigma)
        lost = torch.where((sigma > 0.05) & (sigma < 0.5), 1 / 3, 0.0)
        return estimate - lost * (estimate - GAUSSIAN.mean)

    train = data_of(GAUSSIAN, 800, 12)
    closed = np.array(over_linear(GAUSSIAN, train.images))
    band = ((SIGMAS > 0.05) & (SIGMAS < 0.5)).numpy()
    for level, s in enumerate(SIGMAS.tolist()):
        power = float((GAUSSIAN.variances**2 / (GAUSSIAN.variances + s**2)).sum())
        closed[level] *= 1 + band[level] * power / 9 / GAUSSIAN.mmse(s)
    curve = curve_of(faulty(answer), data_of(GAUSSIAN, 400), probe("excess_error"), "over_linear", train=train)
    assert misses(curve, closed, LOOKS).empty
    assert set(misses(curve[curve["value"] > 1], 1.0, LOOKS)["level"]) == set(np.flatnonzero(band))


def test_the_posterior_mean_is_exact_at_small_noise_and_over_many_points() -> None:
    points = torch.randn(5000, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.002, 0.05, 1.0, 80.0], dtype=torch.float64)
    # between two points, where the weights are most sensitive
    x = (points[:4] + points[-4:]) / 2 + 0.1 * sigma[:, None] * points[100:104]
    exact = FiniteSet(points).denoise(x, sigma)
    # a log weight moves by 2^-52 |x|^2 / s^2 = 4e-9 at the least noise, |x|^2 ~ 64
    torch.testing.assert_close(finite_set(points)(x, sigma), exact, rtol=0, atol=1e-7)


def test_too_few_images_for_a_covariance_leave_the_shift_invariant_filter() -> None:
    few, many = (torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(n)) for n in (31, 32))
    assert linear(few) is wiener(few)
    assert linear(many) is gaussian(many)


def test_the_filter_of_images_is_linear_and_keeps_what_has_no_noise() -> None:
    drawn = torch.randn(50, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    quiet = wiener(drawn)(drawn[:3], torch.full((3,), 1e-6))
    torch.testing.assert_close(quiet, drawn[:3].double(), rtol=0, atol=1e-6)
    loud = wiener(drawn)(drawn[:3], torch.full((3,), 1e6))
    torch.testing.assert_close(loud, drawn.double().mean(0).expand(3, -1, -1, -1), rtol=0, atol=1e-6)


def test_training_images_are_needed_and_may_not_be_the_held_out_ones() -> None:
    data = data_of(GAUSSIAN, 50)
    for train, message in (
        (None, r"expected training images \(data.train in a suite\), got none"),
        (data_of(GAUSSIAN, 50), "expected other images to train on than to hold out"),
        (data_of(Mixture(torch.ones(3).double(), 0.1), 50), r"of one shape, got \(3,\) and \(16,\)"),
    ):
        for name in ("excess_error", "memorisation"):
            with pytest.raises(DataError, match=message):
                curve_of(as_denoiser(GAUSSIAN), data, probe(name), "excess", train=train)
