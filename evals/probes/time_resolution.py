"""Time resolution: does the network tell neighbouring times apart?

The same input at a time t and at the times beside it, t - 1 and t + 1 of a table's indices or t (1 -+ 2^-10):

    frozen   share of images with an answer that is bitwise the same at t and at a time beside it: 0 for a network that
             sees its time in full

A network that casts its time to bfloat16 has 8 bits of it: indices above 256 are 2 apart, above 512 they are 4 apart,
and 999 becomes 1000; fp16's 11 bits are enough for a table of a thousand. An answer may stand still on its own account,
where noise is so small or so large that time makes no difference. So a row counts only where time does: where a step
32 times as far changes the answer by so much that a 32nd of it is 8 roundings or more; else it is not scored.

Four further evaluations, of few images: what rounds the time does so for all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..levels import Level, broadcast
from ..schedules import Schedule, Table
from .probe import PROBES, Evaluations, Probe, Quantity, Subject, counts

_NEAR, _FAR, _ROUNDINGS = 2.0**-10, 32.0, 8.0


@PROBES.register("time_resolution")
class TimeResolution(Probe):
    name = "time_resolution"
    evaluations = 4
    quantities = (Quantity("frozen", ("frozen",), optimal=0.0),)

    def __init__(self, images: int = 4) -> None:
        counts("time_resolution", images=images)
        self.images = images

    def observe(self, seen: Evaluations, subject: Subject) -> dict[str, Tensor]:
        denoiser, level = subject.denoiser, seen.level
        # float64, or the answer would be rounded to the state's float32 on its way back
        x_t = (broadcast(level.alpha, seen.x0) * seen.scaled).double()

        def answer(told: Level) -> Tensor:
            return denoiser.raw(x_t, level, seen.cond, told).flatten(1)

        own = answer(level)
        before, after, far = (denoiser.level(time=time) for time in _beside(denoiser.schedule, level.time))
        same = (answer(before) == own).all(1) | (answer(after) == own).all(1)
        change = (answer(far) - own).abs().amax(1)
        steps = ((far.time - level.time) / (after.time - level.time)).abs().to(own.device)
        visible = change / steps > _ROUNDINGS * torch.finfo(denoiser.dtype).eps * own.abs().amax(1)
        return {"frozen": torch.where(same & ~visible, torch.nan, same.double())}


def _beside(schedule: Schedule, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(a step before, a step after, 32 steps away), on the other side where there is no room."""
    low, high = sorted((schedule.first, schedule.last))
    if isinstance(schedule, Table):
        high -= float(torch.isinf(schedule.log_sigma[-1]))
        near = torch.ones_like(time)
    else:
        near = _NEAR * time.abs()
    before = torch.where(time - near >= low, time - near, time + near)
    after = torch.where(time + near <= high, time + near, time - near)
    away = _FAR * near
    far = torch.where(time - away >= low, time - away, (time + away).clamp(max=high))
    return before, after, far
