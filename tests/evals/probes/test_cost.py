"""What a probe says it costs is what it asks of the network, or more where levels at the ends leave nothing to ask."""

from __future__ import annotations

import pytest
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, cost, measure, probe
from sigmascope.fixtures.oracles import as_denoiser

from .proving import GAUSSIAN, SIGMAS, data_of


@pytest.mark.parametrize(
    ("text", "skipped"),
    [
        ("calibration", 0),
        ("sure(images=5)", 0),
        ("sure(directions=3, images=20)", 0),
        ("dimension(images=7)", 0),
        ("symmetry(basis=3, images=5)", 0),
        ("consistency", 0),
        ("mismatch(images=5)", 3 * 5 * 2),  # EDM's range ends at the last level
        ("churn(images=5, steps=2, loops=2)", 8 * 5 * 2),
        ("time_resolution(images=5)", 0),
    ],
)
def test_the_cost_is_known_before(text: str, skipped: int) -> None:
    denoiser, told = as_denoiser(GAUSSIAN), []
    chosen = [probe(text)]
    measure(Subject(denoiser, data_of(GAUSSIAN, 10), SIGMAS, Noise(0)), chosen, 2, progress=told.append)
    assert denoiser.evaluations == sum(told) == cost(chosen, len(SIGMAS), 2, 10) - skipped
