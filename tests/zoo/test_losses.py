"""The denoising error per level is the peer's own training loss: same images, same levels, same noise, within 1%.

Each peer's loss is a weight times the error of x0, and the weight is the paper's: 1/sigma^2 for an eps loss, EDM's
lambda(sigma), (1 + 1/sigma)^2 for a flow's. The peer's own function computes all of its side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from sigmascope.evals.data import DataSet
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Evaluations, Subject, evaluate
from torch import Tensor

from . import ddpm, flows, lucidrains, nvlabs
from .zoo import ZOO, Animal

Loss = Callable[[Animal, Evaluations, pytest.MonkeyPatch], Tensor]
"""The peer's loss of each row `(B,)`, before its weight is taken off."""


def _lucidrains(animal: Animal, seen: Evaluations, patch: pytest.MonkeyPatch) -> Tensor:
    loss: Tensor = animal.network.p_losses(
        seen.x0, seen.level.time.long(), noise=seen.eps.clone(), loss_reduction="none"
    )
    return loss


def _guided(animal: Animal, seen: Evaluations, patch: pytest.MonkeyPatch) -> Tensor:
    labels = seen.cond["class_labels"]
    diffusion = animal.peer.__closure__  # the diffusion object that the animal's peer function holds
    assert diffusion is not None
    own = next(cell.cell_contents for cell in diffusion if hasattr(cell.cell_contents, "training_losses"))
    loss: Tensor = own.training_losses(
        animal.network, seen.x0, seen.level.time.long(), model_kwargs={"y": labels}, noise=seen.eps
    )["mse"]
    return loss


def _edm(animal: Animal, seen: Evaluations, patch: pytest.MonkeyPatch) -> Tensor:
    """EDM's loss draws its own level and noise: it is handed these."""
    from modulus.metrics.diffusion.loss import EDMLoss

    own = EDMLoss()
    drawn = (seen.level.sigma.log() - own.P_mean) / own.P_std
    patch.setattr(torch, "randn", lambda *shape, **options: drawn.float().reshape(-1, 1, 1, 1))
    patch.setattr(torch, "randn_like", lambda like: seen.eps)

    class Net(torch.nn.Module):
        def forward(self, x: Tensor, sigma: Tensor, labels: object, augment_labels: object) -> Tensor:
            found: Tensor = animal.network(x, sigma)
            return found

    loss: Tensor = own(Net(), seen.x0).flatten(1).mean(1)
    patch.undo()
    return loss


def _torchcfm(animal: Animal, seen: Evaluations, patch: pytest.MonkeyPatch) -> Tensor:
    """Noise at t = 0 and data at t = 1; the regression target is the matcher's own."""
    from torchcfm.conditional_flow_matching import ConditionalFlowMatcher

    time = seen.level.time.float()
    t, x_t, velocity = ConditionalFlowMatcher(sigma=0.0).sample_location_and_conditional_flow(seen.eps, seen.x0, t=time)
    loss: Tensor = (animal.network(t, x_t) - velocity).square().flatten(1).mean(1)
    return loss


def _eps_weight(sigma: Tensor) -> Tensor:
    return sigma**-2


def _edm_weight(sigma: Tensor) -> Tensor:
    return (sigma**2 + 0.25) / (0.5 * sigma) ** 2


def _flow_weight(sigma: Tensor) -> Tensor:
    return (1 + 1 / sigma) ** 2


CASES: dict[str, tuple[Loss, Callable[[Tensor], Tensor]]] = {
    "lucidrains_eps": (_lucidrains, _eps_weight),
    "lucidrains_x0": (_lucidrains, _eps_weight),
    "lucidrains_v": (_lucidrains, _eps_weight),
    "guided_diffusion_learned_variance": (_guided, _eps_weight),
    "edm": (_edm, _edm_weight),
    "torchcfm_unet": (_torchcfm, _flow_weight),
}
FAMILIES = (ddpm, flows, lucidrains, nvlabs)
"""Imported for the animals that they register."""


def batches(animal: Animal) -> Iterator[Evaluations]:
    """A batch for each of six levels, as the probes see it."""
    denoiser = animal.denoiser()
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(24, *denoiser.event_shape, generator=generator) * 2 - 1
    labels = torch.arange(24) % 4 if denoiser.traits.classes else None
    sigmas = torch.tensor([0.05, 0.2, 0.6, 1.5, 4.0, 9.0], dtype=torch.float64)
    yield from evaluate(Subject(denoiser, DataSet(images, labels, "zoo"), sigmas, Noise(0)), 1, batch_size=24)


@pytest.mark.parametrize("name", CASES)
def test_the_error_is_the_peers_own_loss(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    animal = ZOO[name]()
    loss, weight = CASES[name]
    seen_levels = 0
    for seen in batches(animal):
        with torch.no_grad():
            theirs = loss(animal, seen, monkeypatch).double() / weight(seen.level.sigma)
        assert float(seen.error.mean()) == pytest.approx(float(theirs.mean()), rel=0.01)
        seen_levels += 1
    assert seen_levels == 6
