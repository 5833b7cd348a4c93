"""Our solvers beside diffusers' schedulers of the same name, on the same levels, from the same noise."""

from __future__ import annotations

import pytest
import torch
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import Solver, State, sample, solver
from sigmascope.evals.schedules import Table
from sigmascope.fixtures.oracles import Mixture, as_denoiser

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept context:DeprecationWarning"),
]

IDS, NOISE = torch.arange(8), Noise(5)
DENOISER = as_denoiser(
    Mixture(torch.tensor([0.8, -0.5, 0.3, 0.1], dtype=torch.float64), 0.3),
    Table.from_betas(torch.linspace(1e-4, 0.02, 1000)),
    "eps",
    micro_batch=8,
)
PAIRS = [
    ("unipc", "UniPCMultistepScheduler(solver_order=2)"),
    ("dpmpp_2m", "DPMSolverMultistepScheduler"),
    ("lms", "LMSDiscreteScheduler"),
    ("euler", "EulerDiscreteScheduler"),
    ("heun", "HeunDiscreteScheduler"),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_diffusers_agrees(ours: str, theirs: str) -> None:
    """On a nonlinear denoiser. The state starts as diffusers starts it; the levels are its own, float32."""
    options = "timestep_spacing='trailing'"
    name = theirs[:-1] + f", {options})" if "(" in theirs else f"{theirs}({options})"
    reference = sample(DENOISER, solver(f"diffusers:{name}"), IDS, NOISE, steps=12, dtype=torch.float64)
    # float32 steps beyond the table's end by its last bit
    sigmas = torch.unique_consecutive(reference.sigmas).clamp(max=DENOISER.schedule.sigma_max)
    method = solver(ours)
    begin = float(sigmas[0])
    # theirs starts x_t from unit variance, so the scaled state from sqrt(1 + sigma^2); or from init_noise_sigma
    factor = 1.0 if "Discrete" in theirs else (1 + begin**2) ** 0.5 / begin
    found = sample(
        DENOISER,
        _scaled(method, factor),
        IDS,
        NOISE,
        steps=12,
        grid=lambda schedule, steps: sigmas,
        dtype=torch.float64,
    )
    assert float((found.images - reference.images).abs().max()) < 1e-4 * float(reference.images.abs().max())


def _scaled(method: Solver, factor: float) -> Solver:
    """The solver, begun at `factor` times its state."""
    begin = method.init

    def init(*given: object) -> State:
        state = begin(*given)
        return State(factor * state.x, state.memory)

    method.init = init
    return method
