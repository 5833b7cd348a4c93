"""A network that casts its time to bfloat16 is found where that moves indices together, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.probes import probe
from sigmascope.evals.schedules import EDM, Cosine, RectifiedFlow, Schedule, Table
from sigmascope.fixtures.oracles import Oracle, as_denoiser
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, PAIR, SIGMAS, curve_of, data_of

TABLE = Table.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), off_grid="snap")
INDICES = torch.tensor([0, 100, 200, 255, 300, 302, 513, 600, 700, 802, 901, 999])


def rounded(dtype: torch.dtype, network_dtype: torch.dtype) -> Denoiser:
    """O1 on the table, its time cast to `dtype` on the way in."""

    def network(x_t: Tensor, time: Tensor) -> Tensor:
        level = TABLE(time.to(dtype).double().clamp(max=999))
        x0 = GAUSSIAN.denoise(x_t.double() / level.alpha[:, None], level.sigma)
        return ((x_t - level.alpha[:, None] * x0) / level.sigma_t[:, None]).to(x_t.dtype)

    return wrap(network, TABLE, "eps", (16,), dtype=network_dtype)


@pytest.mark.parametrize("network_dtype", [torch.float32, torch.float64])
def test_a_time_in_bfloat16_is_found_above_its_integers(network_dtype: torch.dtype) -> None:
    sigmas = TABLE(INDICES.double()).sigma
    data = data_of(GAUSSIAN, 10)
    curve = curve_of(rounded(torch.bfloat16, network_dtype), data, probe("time_resolution"), "frozen", sigmas=sigmas)
    assert len(curve) == len(INDICES)
    seen = torch.stack([INDICES - 1, INDICES, INDICES + 1]).clamp(max=999).bfloat16()
    lost = ((seen[1] == seen[0]) | ((seen[1] == seen[2]) & (INDICES < 999))).numpy()
    assert curve["value"].to_numpy().tolist() == lost.astype(float).tolist()
    assert lost[INDICES > 512].all()
    assert not lost[INDICES < 256].any()
    for enough in (torch.float16, torch.float32):
        curve = curve_of(rounded(enough, network_dtype), data, probe("time_resolution"), "frozen", sigmas=sigmas)
        assert (curve["value"] == 0.0).all()


def test_a_continuous_time_in_bfloat16_is_found_everywhere() -> None:
    def network(x: Tensor, sigma: Tensor) -> Tensor:
        return GAUSSIAN.denoise(x, sigma.bfloat16().double())

    denoiser = wrap(network, EDM(), "x0", (16,), dtype=torch.float64)
    curve = curve_of(denoiser, data_of(GAUSSIAN, 10), probe("time_resolution"), "frozen")
    # a step of 2^-10 stays within a spacing of 2^-8 or more unless it starts at an edge
    assert (curve["value"] == 1.0).all()
    assert len(curve) == len(SIGMAS)


@pytest.mark.parametrize("schedule", [EDM(), RectifiedFlow(), Cosine(), TABLE], ids=str)
@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE, PAIR], ids=["gaussian", "mixture", "two points"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_oracle_sees_its_time(oracle: Oracle, schedule: Schedule, dtype: torch.dtype) -> None:
    sigmas = torch.logspace(-1.9, 1.1, 12, dtype=torch.float64)
    denoiser = as_denoiser(oracle, schedule, "x0", dtype=dtype)
    curve = curve_of(denoiser, data_of(oracle, 40), probe("time_resolution(images=40)"), "frozen", sigmas=sigmas)
    assert (curve["value"] == 0.0).all()
    assert len(curve) >= 6  # two points stand still at small sigma, and are not scored there


def test_a_network_that_needs_no_time_is_not_scored() -> None:
    blind = wrap(lambda x, sigma: 0.5 * x, EDM(), "x0", (16,), dtype=torch.float64)
    assert curve_of(blind, data_of(GAUSSIAN, 10), probe("time_resolution"), "frozen").empty


def test_the_last_entry_may_be_pure_noise() -> None:
    """Zero terminal SNR: the entry above the last finite one is none to compare with."""
    table = Table.from_alphas_cumprod(torch.linspace(0.99, 0.0, 50, dtype=torch.float64))
    sigmas = table(torch.tensor([0.0, 20.0, 48.0])).sigma
    denoiser = as_denoiser(GAUSSIAN, table, "x0")
    curve = curve_of(denoiser, data_of(GAUSSIAN, 10), probe("time_resolution"), "frozen", sigmas=sigmas)
    assert np.array_equal(curve["value"], np.zeros(3))
