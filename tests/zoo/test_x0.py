"""Every model of the zoo, declared in a few fields, gives its peer's own x0: at native time and at canonical sigma."""

from __future__ import annotations

import pytest
import torch
from sigmascope.evals.denoiser import Declaration
from sigmascope.evals.levels import broadcast

from . import ddpm, diffusers_models, flows, lucidrains, nvlabs, sigmas
from .zoo import ZOO, rows

FAMILIES = (ddpm, diffusers_models, flows, lucidrains, nvlabs, sigmas)
FIELDS = 5


def test_the_zoo_is_large_enough() -> None:
    assert len(ZOO) >= 60


@pytest.mark.parametrize("name", ZOO)
def test_x0_is_the_peers(name: str) -> None:
    animal = ZOO[name]()
    assert len(animal.fields) <= FIELDS
    assert_declared(animal.fields)
    ours = animal.denoiser()
    times = torch.tensor(animal.times, dtype=torch.float64).repeat_interleave(2)
    generator = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(len(times), *ours.event_shape, generator=generator) for _ in range(2))
    level = ours.level(time=times)
    x_t = broadcast(level.alpha, x0) * 0.5 * x0 + broadcast(level.sigma_t, x0) * eps
    native = ours.unit * x_t + ours.center * rows(level.alpha, x_t)
    with torch.set_grad_enabled(ours.grad):
        theirs = animal.peer(native, times, ours)
    theirs = (theirs.detach().float() - ours.center) / ours.unit
    assert theirs.std() > 1e-3
    for asked in (level, ours.level(sigma=level.sigma)):
        found = ours(x_t, asked, animal.cond)
        for row in range(len(times)):
            worst = (found[row] - theirs[row]).abs().max() / theirs[row].abs().max()
            assert worst < animal.tolerance, (float(times[row]), float(worst))


def assert_declared(fields: object) -> None:
    """Nobody writes half a wrapper: no function stands where a formula can; a path may be the peer's own schedule."""
    assert isinstance(fields, dict)
    preset = fields.get("preset")
    assert preset is None or isinstance(preset, Declaration)
    for name, value in fields.items():
        assert name in ("preset", "path") or not callable(value), name
