"""S9 on two Gaussians: the guided flow ends at L_c^w L_u^(1-w), which is not the tilted law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.conditioning import Guidance, guided
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import EDM
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe
from torch import Tensor

from .recursions import pick, whole

CONDITIONAL, UNCONDITIONAL = 0.3, 1.2
IDS = torch.arange(600)
LOW, HIGH = 0.002, 80.0


def network(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
    variance = torch.where(y == 0, CONDITIONAL, UNCONDITIONAL)
    return x * (variance / (variance + t**2))[:, None].to(x)


def model() -> Denoiser:
    return wrap(network, EDM(LOW, HIGH), "x0", (4,), call="x, t, class_labels", classes=1, micro_batch=256)


def course(denoiser: Denoiser, steps: int = 40) -> Course:
    def cond(ids: Tensor) -> dict[str, Tensor]:
        return {"class_labels": torch.zeros_like(ids)}

    data = DataSet(torch.stack([torch.ones(4), -torch.ones(4)] * 2), None, "mean 0")
    return Course(denoiser, lambda: solver("heun"), steps, GRIDS["karras"], Noise(0), cond, data)


def grown(scale: float, low: float, high: float) -> float:
    """ln of a variance's factor between two levels under guidance of a scale."""

    def part(variance: float) -> float:
        return math.log((variance + low**2) / (variance + high**2))

    return scale * part(CONDITIONAL) + (1 - scale) * part(UNCONDITIONAL)


def spread(steps: int, scale: float, interval: tuple[float, float]) -> float:
    """A linear solver scales every sample alike: four are as good as a thousand."""
    walked = course(guided(model(), Guidance(1.0, {"class_labels": 1})), steps)
    low, high = interval
    sweep = f"guidance_sweep(scales=({scale},), intervals=(({low}, {high}),))"
    value, error = whole(
        trace(walked, IDS[:4], [trajectory_probe(sweep)]), "spread", f"scale {scale:g} at {low:g}-{high:g}"
    )
    assert error < 1e-5
    return value


@pytest.mark.parametrize("scale", [0.0, 2.0, 3.0])
def test_the_flow_ends_at_the_geometric_mean_of_the_variances_not_at_the_tilted_law(scale: float) -> None:
    coarse, fine = (spread(steps, scale, (0.0, 1e9)) for steps in (60, 120))
    expected = grown(scale, 0.0, HIGH) - grown(1.0, 0.0, HIGH)
    # of order 2, Heun leaves a third of the difference between N and 2 N steps; half of it is allowed
    assert abs(fine - expected) < 0.5 * abs(fine - coarse)
    # the law itself, of which the start at 80 lacks at most 1.2 / 6400 times the exponents
    assert grown(scale, 0.0, HIGH) - grown(1.0, 0.0, HIGH) == pytest.approx(
        (scale - 1) * math.log(CONDITIONAL / UNCONDITIONAL), abs=1e-3
    )
    if scale > 1:
        tilted = 1 / (scale / CONDITIONAL + (1 - scale) / UNCONDITIONAL)
        assert abs(fine - math.log(tilted / CONDITIONAL)) > 10 * abs(fine - coarse)


def test_within_an_interval_the_law_holds_for_its_part() -> None:
    low, high = 0.3, 3.0
    value = spread(240, 3.0, (low, high))
    # at both edges one step of Heun's is guided in part; the widest steps in there are those at the upper edge
    sigmas = GRIDS["karras"](EDM(LOW, HIGH), 240).numpy()
    at = int(np.argmin(np.abs(sigmas - high)))
    edge = abs(grown(3.0, sigmas[at + 2], sigmas[at - 2]) - grown(1.0, sigmas[at + 2], sigmas[at - 2]))
    expected = grown(3.0, low, high) - grown(1.0, low, high)
    assert abs(value - expected) < edge
    assert abs(value) > 10 * edge


def test_the_gap_is_that_of_the_two_denoisers() -> None:
    walked = course(guided(model(), Guidance(1.0, {"class_labels": 1})))
    sweep = trajectory_probe("guidance_sweep(scales=(2.0,))")
    rows = trace(walked, IDS, [sweep])
    gap, sigmas = pick(rows, "gap"), walked.sigmas.numpy()[:-1]
    variance = HIGH**2 * (CONDITIONAL + sigmas**2) / (CONDITIONAL + HIGH**2)
    expected = variance * sigmas**2 * (1 / (CONDITIONAL + sigmas**2) - 1 / (UNCONDITIONAL + sigmas**2)) ** 2
    # 4.5 standard errors, and twice what Heun's 40 steps leave of a variance
    assert (np.abs(gap["value"] - expected) < 4.5 * gap["error"] + 0.02 * expected).all()
    assert walked.denoiser.evaluations == cost(walked, [sweep]) * len(IDS)


def test_outside_counts_values_beyond_the_range() -> None:
    rows = trace(course(guided(model(), Guidance(1.0, {"class_labels": 1}))), IDS, [trajectory_probe("guidance_sweep")])
    value, error = whole(rows, "outside", "scale 2")
    deviation = math.sqrt(CONDITIONAL**2 / UNCONDITIONAL)
    expected = math.erfc(1 / deviation / math.sqrt(2))
    assert abs(value - expected) < 4.5 * error


def test_a_model_without_guidance_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a model with guidance"):
        trace(course(model()), IDS[:4], [trajectory_probe("guidance_sweep")])
    with pytest.raises(ConfigError, match="expected finite scales"):
        trajectory_probe("guidance_sweep(intervals=((2.0, 1.0),))")
