"""Denoiser: batches that cannot matter, counts that are true, and networks that break their contract by name."""

from __future__ import annotations

from collections.abc import Callable

import diffusers
import pytest
import torch
from sigmascope.errors import ConfigError, ModelError
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.noise import Noise
from sigmascope.evals.schedules import EDM, RectifiedFlow, Table
from torch import Tensor, nn

BETAS = torch.linspace(1e-4, 0.02, 1000)
UNet = Callable[..., diffusers.UNet2DModel]


def on_unet(unet: diffusers.UNet2DModel, micro_batch: int) -> Denoiser:
    return wrap(
        unet,
        Table.from_betas(BETAS),
        "eps",
        (1, 8, 8),
        call=lambda x, t, cond: unet(x, t, return_dict=False, **cond)[0],
        micro_batch=micro_batch,
    )


@pytest.mark.parametrize("micro_batch", [8, 64])
def test_results_do_not_depend_on_the_batch(tiny_unet: UNet, micro_batch: int) -> None:
    """Bit-identical: every call of the network has the same shape, and a row's neighbours do not reach it."""
    denoiser = on_unet(tiny_unet(), micro_batch)
    x = Noise(0).normal(torch.arange(64), "initial", 0, (1, 8, 8))
    level = denoiser.schedule(torch.linspace(0, 999, 64).double().floor())
    whole = denoiser(x, level)
    assert whole.std() > 0.1
    for size, count in ((1, 12), (7, 64), (64, 64)):
        parts = [denoiser(x[rows], level[rows]) for rows in torch.arange(count).split(size)]
        assert torch.equal(torch.cat(parts), whole[:count]), size
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(denoiser(x[order], level[order]), whole[order])


def test_labels_travel_with_their_rows(tiny_unet: UNet) -> None:
    denoiser = on_unet(tiny_unet(num_class_embeds=10), 8)
    x = Noise(0).normal(torch.arange(11), "initial", 0, (1, 8, 8))
    labels, level = torch.arange(11) % 10, denoiser.schedule(500.0)
    whole = denoiser(x, level, {"class_labels": labels})
    for row in range(11):
        alone = denoiser(x[row : row + 1], level, {"class_labels": labels[row : row + 1]})
        assert torch.equal(alone[0], whole[row])
    assert not torch.equal(denoiser(x, level, {"class_labels": labels.flip(0)}), whole)


def test_padding_is_not_counted() -> None:
    calls: list[int] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        calls.append(len(x))
        assert len(t) == len(x)
        return x

    denoiser = wrap(network, EDM(), "x0", (2,), micro_batch=4)
    denoiser(torch.zeros(9, 2), denoiser.level(1.0))
    assert calls == [4, 4, 4]
    assert denoiser.evaluations == 9
    denoiser.denoise(torch.zeros(1, 2), 2.0)
    assert denoiser.evaluations == 10


def test_padding_never_reaches_the_result() -> None:
    """A network that looks across its batch is the only one to notice; one that doesn't gets its own rows back."""
    denoiser = wrap(lambda x, t: 2 * x + t[:, None], EDM(), "x0", (1,), micro_batch=4)
    sigmas = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    x = torch.arange(5.0)[:, None]
    assert torch.equal(denoiser(x, denoiser.level(sigmas)), 2 * x + sigmas[:, None])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda x, t: x / (t[:, None] > 5), r"finite values, got NaN or infinity for 2 of 2 inputs at sigma \[3\.0\]"),
        (lambda x, t: torch.where(x > 0.5, torch.nan, x), r"for 1 of 2 inputs at sigma \[3\.0\]"),
        (lambda x, t: x[:, :1], r"expected the network to return \(4, 2\) floats, got \(4, 1\)"),
        (lambda x, t: x[:1], r"expected the network to return \(4, 2\) floats, got \(1, 2\)"),
        (lambda x, t: (x, t), r"got a tuple of 2; say what to take of it with pick"),
        (lambda x, t: None, r"got NoneType"),
        (lambda x, t: x > 0, r"got \(4, 2\) torch\.bool"),
    ],
)
def test_a_broken_network_is_named_with_its_level(network: Callable[..., object], message: str) -> None:
    denoiser = wrap(network, EDM(), "x0", (2,), micro_batch=4)
    x = torch.tensor([[0.25, 0.25], [1.0, 0.25]])
    with pytest.raises(ModelError, match=message):
        denoiser(x, denoiser.level(3.0))


def test_nan_in_one_level_of_many_names_that_level() -> None:
    denoiser = wrap(lambda x, t: x / (t[:, None] != 5), EDM(), "x0", (2,), micro_batch=4)
    with pytest.raises(ModelError, match=r"1 of 3 inputs at sigma \[5\.0\]"):
        denoiser(torch.ones(3, 2), denoiser.level(torch.tensor([1.0, 5.0, 70.0])))


def test_impossible_requests_are_refused() -> None:
    denoiser = wrap(lambda x, t: x, EDM(), "x0", (2,), micro_batch=4)
    with pytest.raises(ConfigError, match=r"x_t: expected rows of shape \(2,\), got \(3, 5\)"):
        denoiser(torch.zeros(3, 5), denoiser.level(1.0))
    with pytest.raises(ConfigError, match="sigma: expected within"):
        denoiser.denoise(torch.zeros(3, 2), 81.0)
    with pytest.raises(ConfigError, match="one for each of 2 rows, got 3"):
        denoiser(torch.zeros(2, 2), denoiser.level(torch.ones(3)))
    with pytest.raises(ConfigError, match=r"class_labels: expected 2 rows, got \(1,\)"):
        denoiser(torch.zeros(2, 2), denoiser.level(1.0), {"class_labels": torch.zeros(1)})
    with pytest.raises(ConfigError, match="micro_batch"):
        wrap(lambda x, t: x, EDM(), "x0", (2,), micro_batch=0)
    with pytest.raises(ConfigError, match="unknown parameterization"):
        wrap(lambda x, t: x, EDM(), "noise", (2,))


def test_a_module_is_evaluated_never_trained() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    denoiser = wrap(module, EDM(), "x0", (2,), call=lambda x, t, cond: module(x))
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    first = denoiser(x, denoiser.level(1.0))
    assert not module.training
    assert torch.equal(denoiser(x, denoiser.level(1.0)), first)
    assert torch.equal(first, module[0](x.detach()).detach())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert denoiser.traits.parameters == 6


def test_network_runs_in_its_dtype_and_time_in_at_least_float32() -> None:
    """bfloat16 spaces integers 4 apart above 512: timestep 999 would become 1000."""
    seen: list[tuple[torch.dtype, torch.dtype, list[float]]] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append((x.dtype, t.dtype, t.tolist()))
        return x

    x = torch.zeros(1, 2)
    for dtype, time in (
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ):
        denoiser = wrap(network, Table.from_betas(BETAS), "eps", (2,), micro_batch=1, dtype=dtype)
        assert denoiser(x, denoiser.schedule(999.0)).dtype == torch.float32
        assert seen.pop() == (dtype, time, [999.0])


def test_the_network_receives_the_time_it_keeps() -> None:
    received: list[float] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        received.append(float(t[0]))
        return torch.zeros_like(x)

    denoiser = wrap(network, EDM(), "F", (2,), time=lambda level: level.sigma.log() / 4)
    denoiser.denoise(torch.zeros(1, 2), 3.0)
    assert received == pytest.approx([torch.tensor(3.0).log().item() / 4], rel=2**-23)


def test_denoise_speaks_in_the_scaled_state() -> None:
    """A flow network for the point mass at 1: u = (x_t - x0)/t."""
    denoiser = wrap(lambda x, t: (x - 1) / t[:, None], RectifiedFlow(), "flow", (2,), dtype=torch.float64)
    scaled = torch.tensor([[3.0, -1.0]], dtype=torch.float64)
    seen = denoiser.denoise(scaled, 4.0)
    torch.testing.assert_close(seen.x0, torch.ones_like(scaled), rtol=0, atol=1e-14)
    torch.testing.assert_close(seen.eps, (scaled - 1) / 4, rtol=0, atol=1e-14)
