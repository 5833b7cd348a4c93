"""What a plan will cost, told before it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from .planned_cells import class_labels
from .planning import Plan
from .samplers import GRIDS


@dataclass(frozen=True)
class Cost:
    seconds: float
    memory_bytes: int


def estimate(plan: Plan) -> Cost:
    """Time and memory of a plan, from one timed micro-batch per model and the size of what a batch carries."""
    seconds = 0.0
    for name, denoiser in plan.denoisers.items():
        count = denoiser.micro_batch
        x = torch.zeros(count, *denoiser.event_shape, device=denoiser.device)
        labels = class_labels(denoiser, torch.arange(count))
        sigma = float(GRIDS["log_snr"](denoiser.schedule, 2)[1])
        cond = {} if labels is None else {"class_labels": labels}
        denoiser.denoise(x, sigma, cond)  # warm up
        began = time.perf_counter()
        denoiser.denoise(x, sigma, cond)
        if denoiser.device.type == "cuda":
            torch.cuda.synchronize(denoiser.device)
        each = (time.perf_counter() - began) / count
        seconds += each * sum(cell.evaluations for cell in plan.cells if cell.model == name)
    parameters = sum(denoiser.traits.parameters for denoiser in plan.denoisers.values())
    values = max(denoiser.dimensions for denoiser in plan.denoisers.values())
    carried = plan.batch_size * values * 8 * 8  # state, noise, prediction: about eight float64 copies
    return Cost(seconds, 4 * parameters + carried + plan.data.images.numel() * 4)
