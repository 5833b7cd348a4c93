"""S1, S2 and S4 on the Gaussian oracle: linear solvers are products of scalars, so every sample's error is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import GRIDS, solver
from sigmascope.evals.schedules import RectifiedFlow, Schedule
from sigmascope.evals.trajectories import Course, cost, trace, trajectory_probe, walk
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

from .recursions import Floats, data, euler, heun, pick, whole

VARIANCES = torch.logspace(-1, 1, 8, dtype=torch.float64)
GAUSSIAN = Gaussian(torch.zeros(8, dtype=torch.float64), VARIANCES)
MODES = VARIANCES.numpy()
DATA = data(GAUSSIAN, 500)
SPREAD = math.sqrt(float(DATA.images.var(0, correction=0).mean()))
IDS = torch.arange(24)
Factor = Callable[[Floats, float, float], Floats]
LINEAR: list[tuple[str, Factor]] = [("euler", euler), ("heun", heun)]


def course(
    sampler: str, steps: int, grid: str = "karras", schedule: Schedule | None = None, with_data: bool = True
) -> Course:
    denoiser = as_denoiser(GAUSSIAN, schedule)
    return Course(denoiser, lambda: solver(sampler), steps, GRIDS[grid], Noise(0), data=DATA if with_data else None)


def exact(sigma: float, sigma_next: float) -> Floats:
    return np.asarray(np.sqrt((MODES + sigma_next**2) / (MODES + sigma**2)))


def product(factor: Factor, sigmas: Tensor) -> Floats:
    """What a solver makes of each mode on its way over a grid."""
    ends = zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True)
    return np.asarray(np.prod([factor(MODES, high, low) for high, low in ends], axis=0))


@pytest.mark.parametrize(("sampler", "factor"), LINEAR)
def test_each_step_misses_what_its_factor_says(sampler: str, factor: Factor) -> None:
    here = course(sampler, 12)
    walked = walk(here, IDS)
    rows = trace(here, IDS, [trajectory_probe("local_error")])
    error, size, share = (pick(rows, name)["value"] for name in ("error", "size", "share"))
    sizes, moved = [], []
    for index in range(12):
        sigma, sigma_next = (float(end) for end in walked.sigmas[index : index + 2])
        state = walked.states[index].double().numpy()
        if sigma_next == 0:  # from the model's least level to its prediction: nothing to miss
            assert error[index] < 1e-12
            continue
        missed = np.square((factor(MODES, sigma, sigma_next) - exact(sigma, sigma_next)) * state).mean(1)
        reach = math.hypot(SPREAD, sigma_next)
        # the reference's own error, 1e-4 of the spread at most, and float32 states of size sigma
        off = 1e-4 * reach + 2.0**-23 * sigma
        assert abs(math.sqrt(error[index]) - math.sqrt(missed.mean())) < off
        assert size[index] == pytest.approx(math.sqrt(error[index]) / reach, rel=1e-9)
        sizes.append(size[index])
        moved.append(float(np.sqrt(missed).mean()) / reach)
    assert share.sum() == pytest.approx(1.0, abs=1e-9)
    # each of the 12 may be off by what is said above, against their sum
    assert share[:11].to_numpy() == pytest.approx(np.array(moved) / sum(moved), abs=12 * 1e-4 / sum(moved))
    # the sum of all sizes bounds the whole error to first order: twice it surely does
    end = np.square((product(factor, walked.sigmas[:-1]) - exact(80.0, 0.002)) * walked.states[0].double().numpy())
    assert math.sqrt(end.mean()) / SPREAD < 2 * sum(sizes)


def test_a_multistep_solver_is_judged_with_its_history() -> None:
    """2M begins as DDIM does, and errs less from then on."""
    probes = [trajectory_probe("local_error")]
    with_history, without = (
        pick(trace(course(name, 20), IDS[:8], probes), "size")["value"] for name in ("dpmpp_2m", "ddim")
    )
    assert with_history[0] == pytest.approx(without[0], rel=1e-3)  # no history yet; float32 states of 80
    assert with_history[8] < 0.5 * without[8]


def test_what_it_costs_is_known_beforehand() -> None:
    probes = [trajectory_probe(name) for name in ("local_error(width=0.3)", "order", "refinement", "transport")]
    for here in (course("heun", 4), course("euler", 3, "linear", RectifiedFlow())):
        trace(here, IDS[:3], probes)
        assert here.denoiser.evaluations == 3 * cost(here, probes)


def test_what_draws_noise_and_what_has_no_data_is_not_scored() -> None:
    noisy = course("ddpm", 6)
    probes = [trajectory_probe(name) for name in ("local_error", "order", "refinement")]
    assert trace(noisy, IDS[:4], probes).empty
    assert cost(noisy, probes) == 6
    bare = trace(course("euler", 6, with_data=False), IDS[:4], probes[:1])
    assert set(bare["quantity"]) == {"error"}
    flow = trace(course("euler", 6, "linear", RectifiedFlow()), IDS[:4], probes[:1])
    assert 0 not in set(flow["index"])  # from pure noise


@pytest.mark.parametrize(("sampler", "factor", "order"), [("euler", euler, 1.0), ("heun", heun, 2.0)])
def test_the_order_is_observed(sampler: str, factor: Factor, order: float) -> None:
    here = course(sampler, 24, "log_snr")
    rows = trace(here, IDS[:8], [trajectory_probe("order")])
    start = walk(here, IDS[:8]).states[0].double().numpy()
    errors = []
    for cut in (1, 2, 4):
        levels = torch.logspace(math.log10(80), math.log10(0.002), 23 * cut + 1, dtype=torch.float64)
        errors.append(float(np.square((product(factor, levels) - exact(80.0, 0.002)) * start).mean()))
        got, _ = whole(rows, "error", f"x{cut}")
        # float32 states, and a reference of order 4 at half the width of the one above: 1e-5 of the spread
        assert math.sqrt(got) == pytest.approx(math.sqrt(errors[-1]), abs=1e-5 * SPREAD)
    slope, _ = whole(rows, "order")
    assert slope == pytest.approx(math.log(errors[0] / errors[2]) / (4 * math.log(2)), abs=0.01)
    assert slope == pytest.approx(order, abs=0.1)  # the exact product's own: 24 to 96 steps are not infinitely many


@pytest.mark.parametrize(("sampler", "factor"), LINEAR)
def test_refining_a_band_gains_what_the_products_say(sampler: str, factor: Factor) -> None:
    here = course(sampler, 9)
    rows = pick(trace(here, IDS[:8], [trajectory_probe("refinement(groups=4)")]), "gain")["value"]
    sigmas = here.sigmas
    start = walk(here, IDS[:8]).states[0].double().numpy()
    right = exact(80.0, 0.002) * euler(MODES, 0.002, 0.0)
    base = np.square((product(factor, sigmas) - right) * start).mean()
    for group in ([0, 1], [2, 3], [4, 5], [6, 7]):
        finer = sigmas.tolist()
        for index in reversed(group):
            finer.insert(index + 1, math.sqrt(finer[index] * finer[index + 1]))
        refined = np.square((product(factor, torch.tensor(finer, dtype=torch.float64)) - right) * start).mean()
        for index in group:
            # the reference moves both distances by 1e-4 of the spread at most
            assert rows[index] == pytest.approx(1 - refined / base, abs=4e-4 * SPREAD / math.sqrt(base))
    assert 8 not in rows.index  # the step to 0


def test_impossible_arguments_are_refused() -> None:
    for text in ("local_error(width=0.0)", "refinement(groups=0)", "transport(levels=0)", "transport(relative=0.0)"):
        with pytest.raises(ConfigError, match="expected"):
            trajectory_probe(text)
    with pytest.raises(ConfigError, match="at least 2 levels"):
        trace(course("euler", 1), IDS[:4], [trajectory_probe("order")])
