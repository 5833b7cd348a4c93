"""The one sampling loop: it owns the grid, the batches, the noise and the count; solvers own a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import ConfigError, ModelError
from ..denoiser import Cond, Denoiser
from ..noise import Noise
from .brownian import BrownianPath
from .grids import GRIDS, Grid
from .solver import Solver, State, StepNoise


@dataclass(frozen=True)
class Samples:
    """What sampling gives back."""

    images: Tensor
    """`(N, *event_shape)` on the CPU, in the data's range but not clipped to it."""
    sample_ids: Tensor
    """`(N,)`: row i is a function of (seed, sample_ids[i]) and the model."""
    sigmas: Tensor
    """The levels visited, `(steps + 1,)`."""
    evaluations: int
    """Network evaluations per sample."""


def sample(
    denoiser: Denoiser,
    solver: Solver,
    sample_ids: Tensor,
    noise: Noise,
    *,
    steps: int,
    grid: Grid | None = GRIDS["karras"],
    cond: Cond | None = None,
    batch_size: int = 256,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int], None] = lambda rows: None,
    observe: Callable[[Tensor, int, float, State], None] | None = None,
) -> Samples:
    """Run the sampler from pure noise to data for each sample id.

    Args:
        sample_ids: `(N,)` int64; each row's noise depends on its id alone.
        cond: conditioning for all N samples, row by row.
        batch_size: samples carried at once. It bounds memory and cannot change the result.
        dtype: of the state; float32 or better whatever the network's precision.
        progress: called with the number of network evaluations done.
        observe: called after each step with (sample ids, step, sigma reached, state), for trajectories.

    Raises ConfigError for no sample at all or a grid that can't be had, ModelError when the state stops being finite.
    """
    if len(sample_ids) == 0:
        raise ConfigError("sample_ids: expected at least one, got none")
    cond = cond or {}
    sigmas = solver.levels(denoiser, grid, steps)
    done, before = [], denoiser.evaluations
    for start in range(0, len(sample_ids), batch_size):
        rows = slice(start, start + batch_size)
        ids = sample_ids[rows].to(denoiser.device)
        part = {name: tensor[rows].to(denoiser.device) for name, tensor in cond.items()}
        unit = noise.normal(ids, "initial", 0, denoiser.event_shape, dtype)
        path = BrownianPath(noise, ids, denoiser.event_shape)
        counted = denoiser.evaluations
        state: State | None = None
        for index, (sigma, sigma_next) in enumerate(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True)):
            if state is None and math.isinf(sigma) and not solver.own_clock:
                memory = solver.init(denoiser, sigmas, steps, unit).memory
                state = State(solver.start(denoiser, unit, sigma_next, part), memory)
            else:
                state = state or solver.init(denoiser, sigmas, steps, unit)
                step_noise = StepNoise(noise, ids, index, denoiser.event_shape, dtype, path)
                state = solver.step(denoiser, state, sigma, sigma_next, part, step_noise)
            if observe is not None:
                observe(ids, index, sigma_next, state)
            progress(denoiser.evaluations - counted)
            counted = denoiser.evaluations
        assert state is not None
        images = solver.finish(state)
        if not bool(torch.isfinite(images).all()):
            raise ModelError(f"{denoiser.traits.spec}: sampling with {steps} steps ended in NaN or infinity")
        done.append(images.cpu())
    evaluations = (denoiser.evaluations - before) // len(sample_ids)
    return Samples(torch.cat(done), sample_ids.cpu(), sigmas, evaluations)
