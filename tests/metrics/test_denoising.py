"""Denoising error: by hand, against the conversion formulas of each parameterization, and accumulated per level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError
from sigmascope.metrics.denoising import DenoisingError, denoising_error
from sigmascope.metrics.units import error_unit_factor

SIGMAS = np.array([0.002, 0.3, 1.0, 7.0, 80.0])


def pair(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 2, 3, 3, generator=generator), torch.randn(n, 2, 3, 3, generator=generator)


def test_mean_over_dimensions_in_float64() -> None:
    prediction, target = pair()
    expected = [((p.double() - t.double()).numpy() ** 2).mean() for p, t in zip(prediction, target, strict=True)]
    error = denoising_error(prediction, target)
    assert error.dtype == torch.float64
    np.testing.assert_allclose(error, expected, rtol=1e-14)
    big = torch.full((1, 4), 1e4)
    assert (
        float(denoising_error(big + 2**-10, big)) == 2**-20
    )  # bfloat16 or a float32 difference of squares would miss it


@pytest.mark.parametrize("unit", ["x0", "eps", "v", "flow", "F"])
def test_unit_factors_follow_from_the_conversions(unit: str) -> None:
    """Shift the raw output by delta, convert to x0, and see how far x0 went: factor = (delta / shift)^2."""
    sd, delta, x = 0.5, 0.01, 0.7
    for s, factor in zip(SIGMAS, error_unit_factor(SIGMAS, unit, sigma_data=sd), strict=True):  # type: ignore[arg-type]
        vp = 1 / np.sqrt(1 + s**2), s / np.sqrt(1 + s**2)
        to_x0 = {
            "x0": lambda out: out,
            "eps": lambda out, s=s: x - s * out,
            "v": lambda out, vp=vp: vp[0] * x - vp[1] * out,
            "flow": lambda out, s=s: x - s / (1 + s) * out,
            "F": lambda out, s=s: sd**2 / (s**2 + sd**2) * x + s * sd / np.sqrt(s**2 + sd**2) * out,
        }[unit]
        shift = to_x0(1 + delta) - to_x0(1.0)
        # The shift keeps eps * x / shift of its digits: least at s = 0.002, where it is 2e-5.
        assert factor == pytest.approx((delta / shift) ** 2, rel=1e-10)


def test_unit_factor_refuses_what_has_no_answer() -> None:
    with pytest.raises(ConfigError, match="unknown error unit 'u'; expected one of: x0, eps, v, flow, F"):
        error_unit_factor(SIGMAS, "u")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"above 0, got 0\.0"):
        error_unit_factor([0.0, 1.0], "eps")
    with pytest.raises(ConfigError, match="needs sigma_data above 0, got None"):
        error_unit_factor(SIGMAS, "F")


def test_metric_per_level() -> None:
    prediction, target = pair()
    levels = torch.tensor([0, 2, 2, 4] * 3)
    metric = DenoisingError(SIGMAS.tolist())
    for rows in torch.arange(12).split(5):
        metric.update(prediction[rows], target[rows], levels[rows])
    error = denoising_error(prediction, target)
    mean, standard_error = metric.compute(), metric.standard_error()
    for level in (0, 2, 4):
        scores = error[levels == level]
        assert float(mean[level]) == pytest.approx(float(scores.mean()), rel=1e-12)
        assert float(standard_error[level]) == pytest.approx(float(scores.std() / len(scores) ** 0.5), rel=1e-9)
    assert mean[[1, 3]].isnan().all()  # not scored, which isn't 0


def test_metric_takes_one_level_for_a_batch_and_sums_over_processes() -> None:
    prediction, target = pair()
    ranks = [DenoisingError([0.1, 1.0]) for _ in range(2)]
    ranks[0].update(prediction[:4], target[:4], 1)
    ranks[1].update(prediction[4:], target[4:], 1)
    for name, value in ranks[1].metric_state.items():  # what dist_reduce_fx="sum" does
        setattr(ranks[0], name, getattr(ranks[0], name) + value)
    assert float(ranks[0].compute()[1]) == pytest.approx(float(denoising_error(prediction, target).mean()), rel=1e-12)


def test_what_cannot_be_scored_raises() -> None:
    prediction, target = pair()
    with pytest.raises(DataError, match=r"one shape \(B, ...\), got \(12, 2, 3, 3\) and \(12, 2, 3\)"):
        denoising_error(prediction, target[..., 0])
    metric = DenoisingError(SIGMAS.tolist())
    with pytest.raises(DataError, match=r"level indices from 0 to 4, got \[5\]"):
        metric.update(prediction, target, 5)
    with pytest.raises(DataError, match="level indices"):
        metric.update(prediction, target, torch.full((12,), -1))
    with pytest.raises(ConfigError, match="at least one noise level"):
        DenoisingError([])
