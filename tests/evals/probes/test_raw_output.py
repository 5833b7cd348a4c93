"""Raw output: an oracle's error in its network's own units has a closed form for every parameterization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.evals.denoiser import wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.parameterization import PARAMETERIZATIONS
from sigmascope.evals.probes import Subject, evaluate, probe
from sigmascope.evals.probes.raw_output import from_raw, raw_output
from sigmascope.evals.schedules import EDM, VP, RectifiedFlow, Schedule
from sigmascope.fixtures.oracles import as_denoiser
from sigmascope.metrics.units import Unit, error_unit_factor

from .proving import GAUSSIAN, PAIR, SIGMAS, curve_of, data_of, faulty, misses

LOOKS = 6 * len(SIGMAS)


@pytest.mark.parametrize(
    ("predicts", "schedule"),
    [("x0", EDM()), ("eps", EDM()), ("v", EDM()), ("flow", RectifiedFlow()), ("F", EDM()), ("eps", VP())],
)
def test_an_oracles_raw_error_is_its_mmse_in_the_networks_units(predicts: Unit, schedule: Schedule) -> None:
    curve = curve_of(as_denoiser(GAUSSIAN, schedule, predicts), data_of(GAUSSIAN, 400), probe("raw_output"), "raw")
    factor = error_unit_factor(SIGMAS, predicts, 0.5 if predicts == "F" else None)
    expected = factor * [GAUSSIAN.mmse(s) / 16 for s in SIGMAS.tolist()]
    # x_t and the output are carried in float32: what that adds is far below the interval everywhere
    assert misses(curve, expected, LOOKS).empty


def test_gains_turn_the_raw_error_into_that_of_the_estimate() -> None:
    data, denoiser = data_of(GAUSSIAN, 50), as_denoiser(GAUSSIAN, RectifiedFlow(), "flow")
    raw, gain = (curve_of(denoiser, data, probe("raw_output"), name)["value"] for name in ("raw", "gain_x0"))
    # flow velocity: x0 = x_t - t u, so the gain is t = s / (1 + s); never above 1
    np.testing.assert_allclose(gain, SIGMAS / (1 + SIGMAS), rtol=1e-6)
    error = [float(np.mean(part)) for part in np.split(_errors(denoiser, data), len(SIGMAS))]
    np.testing.assert_allclose(raw * gain**2, error, rtol=1e-5)


def _errors(denoiser: object, data: object) -> np.ndarray:
    subject = Subject(denoiser, data, SIGMAS, Noise(0))  # type: ignore[arg-type]
    return torch.cat([seen.error for seen in evaluate(subject, 1)]).numpy()


def test_the_raw_error_of_a_network_on_another_range_is_in_its_own_units() -> None:
    """On [0, 1] the network's x0 is half as large: its mean squared error is a quarter."""

    def network(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return (PAIR.denoise(2 * x.double() - 1, 2 * sigma) + 1) / 2

    unit = wrap(network, EDM(), "x0", (16,), data_range=(0.0, 1.0), micro_batch=64, dtype=torch.float64)
    data = data_of(PAIR, 100)
    ours = curve_of(unit, data, probe("raw_output"), "raw")["value"]
    plain = curve_of(as_denoiser(PAIR), data, probe("raw_output"), "raw")["value"]
    np.testing.assert_allclose(ours, plain / 4, rtol=1e-3, atol=1e-7)  # x is carried in float32


@pytest.mark.parametrize("predicts", ["x0", "eps", "v", "score", "F"])
def test_the_raw_output_is_recovered_from_the_predictions(predicts: str) -> None:
    denoiser = as_denoiser(GAUSSIAN, EDM(), predicts)
    (seen,) = evaluate(Subject(denoiser, data_of(GAUSSIAN, 20), SIGMAS, Noise(0)), 1)
    level = seen.level
    expected = PARAMETERIZATIONS[predicts].from_x0(seen.prediction.x0.double(), seen.scaled.double(), level)
    got = raw_output(denoiser, seen)
    # x0_hat, of size 4 at most, is in float32: 2^-22 of x0 is 2^-22 / gain of the output; the rest is of its own size
    gain, _ = denoiser.parameterization.gains(level)
    assert ((got - expected).abs() <= 2**-20 * (1 / gain[:, None] + expected.abs())).all()
    torch.testing.assert_close(from_raw(denoiser, seen, got), seen.prediction.x0.double(), rtol=1e-4, atol=1e-4)


def test_values_put_exactly_on_an_end_are_found_where_they_are() -> None:
    def clip(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        x0 = GAUSSIAN.denoise(x, sigma)
        return torch.where((sigma > 0.05) & (sigma < 0.5), x0.clamp(-1, 1), x0)

    data = data_of(GAUSSIAN, 300)
    curve = curve_of(faulty(clip), data, probe("raw_output"), "clipped")
    band = curve["sigma"].between(0.05, 0.5)
    assert (curve["low"][band] > 0.005).all()
    assert (curve["value"][~band] < 1e-3).all()
    assert (curve_of(as_denoiser(GAUSSIAN), data, probe("raw_output"), "clipped")["value"] < 1e-3).all()
