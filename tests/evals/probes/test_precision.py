"""The precision budget: rounding has a law, weights come back as they were, and a wide format costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.probes import probe
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures.oracles import as_denoiser
from torch import nn

from .proving import GAUSSIAN, SIGMAS, curve_of, data_of


class Linear(nn.Module):
    """A network that is one matrix, in float32: whatever autocast and rounding do to it can be done by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.linspace(-0.3, 0.3, 256).reshape(16, 16))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def linear() -> tuple[Denoiser, Linear]:
    module = Linear()
    return wrap(module, EDM(), "x0", (16,), micro_batch=64), module


def test_rounding_eps_to_bfloat16_costs_x0_by_the_rounding_times_sigma() -> None:
    """Far above the data eps_hat is the noise itself, standard normal, whose rounding error NumPy measures apart."""
    normals = np.random.default_rng(0).standard_normal(200_000)
    mantissa, exponent = np.frexp(normals)
    rounding = np.ldexp(np.round(mantissa * 2**8) / 2**8, exponent) - normals
    expected = np.mean(rounding**2)
    curve = curve_of(
        as_denoiser(GAUSSIAN, EDM(), "eps"), data_of(GAUSSIAN, 400), probe("precision(images=400)"), "output"
    )
    top = curve.iloc[-2:]
    reach = 4.5 * (top["error"] / top["sigma"] ** 2 + np.std(rounding**2) / np.sqrt(len(normals)))
    assert ((top["value"] / top["sigma"] ** 2 - expected).abs() < reach).all()
    assert np.sqrt(expected) == pytest.approx(0.0017, abs=5e-5)  # the figure people quote


def test_a_parameterization_without_gain_can_afford_bfloat16_at_any_level() -> None:
    """An x0 network's rounding is 2^-9 of x0 at most; an eps network's grows with sigma."""
    data = data_of(GAUSSIAN, 100)
    x0 = curve_of(as_denoiser(GAUSSIAN, EDM(), "x0"), data, probe("precision"), "output")
    eps = curve_of(as_denoiser(GAUSSIAN, EDM(), "eps"), data, probe("precision"), "output")
    largest = 4.5**2  # of a mode's square, in variances
    assert (x0["value"] <= 2.0**-18 * largest * (1 + 0.25)).all()
    assert eps["value"].iloc[-1] > 1000 * x0["value"].iloc[-1]


def test_the_network_in_bfloat16_is_the_network_by_hand() -> None:
    denoiser, module = linear()
    data = data_of(GAUSSIAN, 64)
    curve = curve_of(denoiser, data, probe("precision"), "network")
    assert len(curve) == len(SIGMAS)
    weight = module.layer.weight.detach()
    x = torch.randn(4096, 16, generator=torch.Generator().manual_seed(0)) * float(SIGMAS[-1])
    by_hand = (x.bfloat16() @ weight.bfloat16().T).double() - (x @ weight.T).double()
    expected = float(by_hand.square().mean())
    # at the top level the input is the noise times sigma, up to the data: 1/80 of it
    assert curve["value"].iloc[-1] == pytest.approx(expected, rel=0.2)


def test_eight_bit_weights_are_rounded_for_a_moment_only() -> None:
    denoiser, module = linear()
    before = module.layer.weight.detach().clone()
    curve = curve_of(denoiser, data_of(GAUSSIAN, 64), probe("precision(dtype='float8_e4m3fn')"), "network")
    assert torch.equal(module.layer.weight, before)
    scale = before.abs().max() / torch.finfo(torch.float8_e4m3fn).max
    rounding = ((before / scale).to(torch.float8_e4m3fn).float() * scale - before).double()
    # E |dW x|^2 / d with x of covariance sigma^2 + data's: the noise alone at the top
    expected = float(SIGMAS[-1]) ** 2 * float(rounding.square().sum()) / 16
    assert curve["value"].iloc[-1] == pytest.approx(expected, rel=0.3)
    denoiser.predict(torch.zeros(2, 16), denoiser.level(1.0))  # the guard is at its post and content


def test_what_has_no_module_is_not_scored() -> None:
    curve = curve_of(as_denoiser(GAUSSIAN), data_of(GAUSSIAN, 10), probe("precision"), "network")
    assert curve.empty


def test_an_unknown_format_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"expected a dtype among bfloat16, float16.*got 'int4'"):
        probe("precision(dtype='int4')")
