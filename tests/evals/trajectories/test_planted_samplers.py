"""Faults planted in samplers are named with their interval; healthy samplers get no finding."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pandas as pd
import pytest
import torch
from sigmascope.evals.denoiser import Cond, Denoiser
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import DDIM, GRIDS, SOLVERS, DPMSolverPP2M, Euler, Grid, Heun, Solver, State, StepNoise
from sigmascope.evals.samplers.grids import grid_name
from sigmascope.evals.schedules import EDM, VP, Cosine, RectifiedFlow, Schedule
from sigmascope.evals.trajectories import Course, trace, trajectory_probe
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from sigmascope.reports.sampler_findings import SamplerFinding, judge_steps, much_longer
from torch import Tensor

from .recursions import data

GAUSSIAN = Gaussian(torch.zeros(4, dtype=torch.float64), torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64))
DATA = data(GAUSSIAN, 300)
OWN = [name for name in SOLVERS if name not in ("langevin", "predictor_corrector")]


def findings(
    make: Callable[[], Solver],
    steps: int = 18,
    grid: str | Grid = "karras",
    schedule: Schedule | None = None,
    probes: tuple[str, ...] = ("dry_run", "local_error"),
) -> list[SamplerFinding]:
    named = GRIDS[grid] if isinstance(grid, str) else grid
    course = Course(as_denoiser(GAUSSIAN, schedule), make, steps, named, Noise(0), data=DATA)
    return judge_steps(trace(course, torch.arange(12), [trajectory_probe(name) for name in probes]))


@pytest.mark.parametrize("sampler", OWN)
def test_every_sampler_of_our_own_rehearses_without_a_finding(sampler: str) -> None:
    assert findings(SOLVERS[sampler], 4, probes=("dry_run",)) == []


@pytest.mark.parametrize("sampler", ["heun", "flow_midpoint", "dpmpp_3m", "unipc"])
def test_so_they_do_from_pure_noise(sampler: str) -> None:
    assert findings(SOLVERS[sampler], 4, "linear", RectifiedFlow(), ("dry_run",)) == []


@pytest.mark.parametrize("make", [Euler, Heun])
@pytest.mark.parametrize(("schedule", "grid"), [(EDM(), "karras"), (RectifiedFlow(), "linear"), (EDM(), "log_snr")])
def test_regular_grids_have_no_interval_that_is_too_long(
    make: Callable[[], Solver], schedule: Schedule, grid: str
) -> None:
    assert findings(make, 10, grid, schedule, ("local_error",)) == []


@pytest.mark.parametrize(("make", "start"), [(Euler, 10), (Euler, 18), (Heun, 14), (DPMSolverPP2M, 14)])
def test_an_interval_ten_times_too_long_is_named(make: Callable[[], Solver], start: int) -> None:
    levels = GRIDS["log_snr"](EDM(), 40)[:-1].tolist()
    cut = levels[: start + 1] + levels[start + 10 :]
    (found,) = findings(make, len(cut), grid_name(cut))
    assert found.rule.probe == "local_error"
    assert found.intervals == (start,)
    assert (found.sigma, found.sigma_next) == pytest.approx((levels[start], levels[start + 10]), rel=1e-5)
    assert f"step {start + 1}, from sigma" in found.text


@pytest.mark.parametrize("grid", ["karras", "log_snr", "linear"])
@pytest.mark.parametrize("schedule", [EDM(), RectifiedFlow(), VP(), Cosine()], ids=lambda one: type(one).__name__)
def test_no_grid_of_ours_has_an_interval_much_longer_than_its_neighbours(schedule: Schedule, grid: str) -> None:
    for steps in (1, 2, 3, 4, 5, 8, 18, 100):
        levels = GRIDS[grid](schedule, steps).numpy()
        assert not much_longer(pd.DataFrame({"sigma": levels[:-1], "sigma_next": levels[1:]})).any(), steps


def shift(sigmas: Tensor, factor: float = 3.0) -> Tensor:
    """t -> s t / (1 + (s - 1) t) in flow time, as flow models shift their grids: in sigma a factor s."""
    return factor * sigmas


class ShiftedTwice(Euler):
    """Shifts the levels of a grid that is shifted already, all but the last."""

    def levels(self, denoiser: Denoiser, grid: Grid | None, steps: int) -> Tensor:
        given = super().levels(denoiser, grid, steps)
        return torch.cat((given[:1], shift(given[1:])))


def shifted_once(schedule: Schedule, steps: int) -> Tensor:
    return shift(GRIDS["linear"](schedule, steps))


def test_a_grid_that_is_shifted_twice_is_named() -> None:
    assert findings(Euler, 10, shifted_once, RectifiedFlow(), ("dry_run",)) == []
    (found,) = findings(ShiftedTwice, 10, shifted_once, RectifiedFlow(), ("dry_run",))
    assert found.rule.quantity == "shifted"
    assert found.intervals == tuple(range(1, 10))  # the first level, pure noise, is where it should be
    assert found.value == pytest.approx(math.log(3.0))


def asked_wrongly(base: type[Solver], factor: float) -> type[Solver]:
    """In its last step the solver sends a wrong time."""

    class WrongLast(base):  # type: ignore[misc, valid-type]
        def step(
            self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
        ) -> State:
            if sigma_next == 0:
                seen = denoiser.denoise(state.x, factor * sigma, cond)
                return State(seen.x0 if base is DPMSolverPP2M else state.x - sigma * seen.eps)
            stepped: State = super().step(denoiser, state, sigma, sigma_next, cond, noise)
            return stepped

    return WrongLast


@pytest.mark.parametrize("base", [Euler, Heun, DPMSolverPP2M])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_time_in_the_last_step_is_named(base: type[Solver], factor: float) -> None:
    levels = (50.0, 10.0, 3.0, 1.0, 0.3, 0.1)
    wrong = asked_wrongly(base, factor)
    (found,) = findings(wrong, 6, grid_name(levels), probes=("dry_run",))
    assert found.rule.quantity == "asked"
    assert found.intervals == (5,)
    assert (found.sigma, found.sigma_next) == (0.1, 0.0)
    assert found.value == pytest.approx(math.log(2.0))


class StaleClip(DDIM):
    """Clips x0 and keeps eps, as diffusers' DDIM does by default."""

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        seen = denoiser.denoise(state.x, sigma, cond)
        return State(seen.x0.clamp(-1, 1) + sigma_next * self._eps(state.x, sigma, seen.x0.clamp(-1, 1), seen.eps))

    def _eps(self, x: Tensor, sigma: float, clipped: Tensor, eps: Tensor) -> Tensor:
        return eps


class Clip(StaleClip):
    """The same, with the eps that belongs to the clipped x0."""

    def _eps(self, x: Tensor, sigma: float, clipped: Tensor, eps: Tensor) -> Tensor:
        return (x - clipped) / sigma


class LateClip(StaleClip):
    """Only below sigma 1."""

    def step(
        self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
    ) -> State:
        kind = StaleClip if sigma < 1.0 else DDIM
        return kind.step(self, denoiser, state, sigma, sigma_next, cond, noise)


def test_stale_noise_after_clipping_is_told_from_clipping() -> None:
    (stale,) = findings(StaleClip, 8, probes=("dry_run",))
    assert stale.rule.quantity == "stale_eps"
    assert stale.intervals == tuple(range(7))  # the step to 0 makes no use of eps
    (clips,) = findings(Clip, 8, probes=("dry_run",))
    assert clips.rule.quantity == "clipping"
    late = findings(LateClip, 6, grid_name((50.0, 10.0, 3.0, 0.9, 0.3, 0.1)), probes=("dry_run",))
    assert [(one.rule.quantity, one.intervals) for one in late] == [("stale_eps", (3, 4))]


def test_a_step_with_wrong_coefficients_is_named() -> None:
    class Overshoots(Euler):
        def step(
            self, denoiser: Denoiser, state: State, sigma: float, sigma_next: float, cond: Cond, noise: StepNoise
        ) -> State:
            right = super().step(denoiser, state, sigma, sigma_next, cond, noise)
            return State(state.x + 1.01 * (right.x - state.x)) if 0.5 < sigma < 5 else right

    levels = (50.0, 10.0, 3.0, 1.0, 0.3, 0.1)
    found = findings(Overshoots, 6, grid_name(levels), probes=("dry_run",))
    assert [(one.rule.quantity, one.intervals) for one in found] == [("deviation", (2, 3))]
    assert found[0].value == pytest.approx(0.01, rel=1e-6)


def test_neighbouring_intervals_make_one_finding() -> None:
    ends = [(one.sigma, one.sigma_next) for one in findings(StaleClip, 8, probes=("dry_run",))]
    sigmas = GRIDS["karras"](EDM(), 8)
    assert ends == [(float(sigmas[0]), float(sigmas[7]))]
    assert all(high > low for high, low in itertools.pairwise(sigmas.tolist()))
