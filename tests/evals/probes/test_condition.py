"""Condition use on the mixture, whose side is the condition: closed forms throughout, and ln 2 of information."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, Traits, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import probe
from sigmascope.evals.probes.condition import information
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import as_denoiser

from .proving import MIXTURE, SIGMAS, curve_of, data_of, misses, rows_of

SIDE = torch.stack((-MIXTURE.mode, MIXTURE.mode))


def conditional(drop: bool = False) -> Denoiser:
    """The mixture's denoiser told the side: 0 below, 1 above, 2 unknown. `drop` makes it deaf for sigma in 0.5-8."""

    def network(x: torch.Tensor, sigma: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        x, s = x.double(), sigma.reshape(-1, 1)
        total = MIXTURE.spread**2 + s**2
        told = (MIXTURE.spread**2 * x + s**2 * SIDE[class_labels.clamp(max=1)]) / total
        deaf = (class_labels[:, None] == 2) | ((s > 0.5) & (s < 8.0) if drop else torch.zeros_like(s, dtype=torch.bool))
        return torch.where(deaf, MIXTURE.denoise(x, sigma), told)

    return wrap(network, EDM(), "x0", (16,), micro_batch=256, dtype=torch.float64, traits=Traits(classes=3))


def sided(images: int) -> DataSet:
    data = data_of(MIXTURE, images)
    side = Noise(11).normal(torch.arange(images), "oracle data", 0, (17,), torch.float64)[:, 0] > 0
    return DataSet(data.images, side.long(), "mixture")


@pytest.mark.parametrize("quantity", ["shuffled", "use"])
def test_the_worth_of_the_side_has_a_closed_form(quantity: str) -> None:
    curve = curve_of(conditional(), sided(1500), probe("condition(null=2)"), quantity)
    known, power = MIXTURE.spread**2, float(MIXTURE.mode @ MIXTURE.mode)
    expected = []
    for sigma in SIGMAS.tolist():
        total = known + sigma**2
        told = 16 * known * sigma**2 / total
        wrong = told + sigma**4 / total**2 * 4 * power
        expected.append((wrong if quantity == "shuffled" else MIXTURE.mmse(sigma)) / told)
    # below 1e-4 of an error the flips of the mixture are too rare for an interval: there the ratio is 1
    common = np.array(expected) > 1 + 1e-3
    assert misses(curve[common], np.array(expected)[common], 2 * len(SIGMAS)).empty
    assert (curve["value"][~common] < 1 + 2e-3).all()


def test_a_dropped_condition_is_found_where_it_is_dropped() -> None:
    curve = curve_of(conditional(drop=True), sided(400), probe("condition(null=2)"), "shuffled")
    band = curve["sigma"].between(0.5, 8.0)
    assert band.sum() >= 3
    assert (curve["value"][band] == 1.0).all()
    assert (curve["low"][~band & (curve["sigma"] > 0.2)] > 1.0).all()


def test_the_information_between_image_and_side_is_ln_2() -> None:
    """Well separated sides: one bit, but for what lies beyond the levels and between the trapezes."""
    sigmas = log_snr_levels(0.1, 80.0, 40)
    rows = rows_of(conditional(), sided(1500), [probe("condition(null=2)")], sigmas=sigmas)
    # the estimate of 40 levels' means at n = 1500 has a relative standard error of a few per cent
    assert information(rows, 16) == pytest.approx(math.log(2), rel=0.1)


def test_an_unconditional_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a model with a condition"):
        rows_of(as_denoiser(MIXTURE), sided(10), [probe("condition")])
    with pytest.raises(ConfigError, match="at least two classes"):
        rows_of(conditional(), data_of(MIXTURE, 10), [probe("condition")])
