"""An exact denoiser in coarse steps: the solver. A faulty one in fine steps: the model. With numbers that are so."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from sigmascope.errors import DataError
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, curves, measure, probe
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import EDM
from sigmascope.evals.trajectories import Course, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian
from sigmascope.reports.figures.model_or_solver import model_or_solver as figure
from sigmascope.reports.model_or_solver import Answer, answer, model_errors, model_or_solver
from torch import Tensor

from . import synthetic

SPREAD, FAULT, BAND = 0.5, 0.1, (0.3, 3.0)
ORACLE = Gaussian(torch.zeros(8, dtype=torch.float64), torch.full((8,), SPREAD**2, dtype=torch.float64))
DATA = DataSet(ORACLE.data(torch.arange(400), Noise(1)).float(), None, "a Gaussian")
SIGMAS = log_snr_levels(0.002, 80.0, 24)
SETTING = {"model": "one", "sampler": "euler", "steps": 6, "grid": "karras", "guidance": ""}


def denoiser(fault: Callable[[Tensor], Tensor]) -> Denoiser:
    """Its noise estimate is too large by `fault(sigma)`."""

    def network(x: Tensor, t: Tensor) -> Tensor:
        right = ORACLE.denoise(x.double(), t.double())
        return (x.double() + (1 + fault(t.double()))[:, None] * (right - x.double())).to(x)

    return wrap(network, EDM(), "x0", (8,), micro_batch=256)


def asked(one: Denoiser, sampler: str, steps: int) -> Answer:
    probes = [probe("calibration")]
    rows = measure(Subject(one, DATA, SIGMAS, Noise(0)), probes, 1)
    errors = rows.groupby("level")["error"].mean()
    course = Course(one, lambda: solver(sampler), steps, GRIDS["karras"], Noise(0), data=DATA)
    moved = trace(course, torch.arange(40), [trajectory_probe("local_error")])
    return answer(model_errors(curves(rows, probes), errors, SPREAD), moved[moved["quantity"] == "size"], SETTING)


def test_coarse_steps_of_an_exact_denoiser_are_the_solvers_fault() -> None:
    one = asked(denoiser(torch.zeros_like), "euler", 6)
    assert one.culprit == "the sampler"
    assert one.model == 0.0
    # a step of Euler's misses |f - flow| of the state, of whose variance f^2 is left for the next
    sigmas, expected = GRIDS["karras"](EDM(), 6).numpy(), 0.0
    variance = sigmas[0] ** 2
    for a, b in pairwise(sigmas):
        f, flow = 1 + (b - a) * a / (SPREAD**2 + a**2), math.sqrt((SPREAD**2 + b**2) / (SPREAD**2 + a**2))
        expected += abs(f - flow) * math.sqrt(variance / (SPREAD**2 + b**2))
        variance *= f**2
    # every step scales the same 320 normals, whose root mean square is known to 1 / sqrt(640): 4.5 times that
    assert abs(one.solver / expected - 1) < 4.5 / math.sqrt(640)
    assert one.solver_low < one.solver < one.solver_high
    assert "most of what is left is the sampler's. The sampler's steps move samples by" in one.text
    assert "no error of the model is proven" in one.text


def test_a_faulty_denoiser_in_fine_steps_is_the_models_fault() -> None:
    low, high = BAND
    one = asked(denoiser(lambda s: FAULT * ((s >= low) & (s <= high))), "heun", 40)
    assert one.culprit == "the model"
    # x - D is off by FAULT (x - D*), of mean square FAULT^2 s^4 / (l + s^2); over l + s^2 and per e-fold, that is
    # FAULT s^2 / (l + s^2), whose integral over ln s is FAULT / 2 ln(l + s^2)
    exact = FAULT / 2 * math.log((SPREAD**2 + high**2) / (SPREAD**2 + low**2))
    # the band's ends fall between levels 0.46 apart in ln sigma: half a level at each end, at its height
    slack = 0.23 * FAULT * sum(s**2 / (SPREAD**2 + s**2) for s in BAND)
    assert abs(one.model - exact) < slack + 0.05 * exact
    proven = one.levels[one.levels["size"] > 0]
    assert (proven["sigma"].between(low, high)).all()
    assert set(proven["because"]) == {"calibration slope"}
    # the figure holds both
    drawn = figure([one], {"one": "#0072B2"})
    filled = next(trace for trace in drawn.data if trace.fill == "tozeroy")
    np.testing.assert_array_equal(filled.y, 100 * one.levels["size"])
    area = np.trapezoid(filled.y, np.log(filled.x)) / 100
    assert area == pytest.approx(one.model)
    steps = next(trace for trace in drawn.data if trace.mode == "lines" and trace.fill is None and len(trace.x) > 1)
    x, y = np.array(steps.x, float)[1:-1], np.array(steps.y, float)[1:-1]
    assert np.sum(y[::2] * np.log(x[::2] / x[1::2])) / 100 == pytest.approx(one.solver)


def test_a_run_without_the_measurements_says_what_to_add() -> None:
    with pytest.raises(DataError, match=r'add sampling.probes = \["local_error"\]'):
        model_or_solver(synthetic.run({"alone": "eps"}))  # type: ignore[arg-type]
