"""Every model of the zoo, declared in a few fields, gives its peer's own x0: at native time and at canonical sigma."""

from __future__ import annotations

import pytest
import torch
from sigmascope.evals.levels import broadcast

from .peers import ZOO

TOLERANCE = 2e-3
"""Of the largest value: a float32 network twice, through two arrangements of the same formula."""


def test_the_zoo_is_large_enough() -> None:
    assert len(ZOO) >= 20


@pytest.mark.parametrize("name", ZOO)
def test_x0_is_the_peers(name: str) -> None:
    animal = ZOO[name]()
    ours = animal.denoiser
    assert len(ours.traits.declaration) <= 8
    times = torch.tensor(animal.times, dtype=torch.float64).repeat_interleave(2)
    generator = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(len(times), *ours.event_shape, generator=generator) for _ in range(2))
    level = ours.level(time=times)
    x_t = broadcast(level.alpha, x0) * 0.5 * x0 + broadcast(level.sigma_t, x0) * eps
    native = ours.unit * x_t + ours.center * broadcast(level.alpha, x_t)
    with torch.set_grad_enabled(ours.grad):
        theirs = animal.peer(native, times, ours)
    theirs = (theirs.detach() - ours.center) / ours.unit
    assert theirs.std() > 1e-3
    for asked in (level, ours.level(sigma=level.sigma)):
        found = ours(x_t, asked, animal.cond)
        for row in range(len(times)):
            worst = (found[row] - theirs[row]).abs().max() / theirs[row].abs().max()
            assert worst < TOLERANCE, (float(times[row]), float(worst))
