"""Products of the Jacobian: O2's analytic one and torch's own, to the errors that the step is derived from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError
from sigmascope.evals.data import DataSet
from sigmascope.evals.denoiser import Denoiser, wrap
from sigmascope.evals.levels import log_snr_levels
from sigmascope.evals.loading import load
from sigmascope.evals.noise import Noise
from sigmascope.evals.probes import Subject, evaluate, jacobian, probe
from sigmascope.evals.schedules import EDM
from sigmascope.fixtures import digits
from sigmascope.fixtures.oracles import Mixture, as_denoiser
from sigmascope.fixtures.train_digits import MODELS
from torch import Tensor

from .proving import GAUSSIAN, MIXTURE, SIGMAS, curve_of, data_of, rows_of

SINGLE = Mixture(MIXTURE.mode.float(), MIXTURE.spread)


def network_of(mixture: Mixture, predicts: str, dtype: torch.dtype) -> Denoiser:
    """O2 computed in `dtype` throughout."""

    def network(x: Tensor, sigma: Tensor) -> Tensor:
        x0 = mixture.denoise(x, sigma)
        return x0 if predicts == "x0" else (x - x0) / sigma.reshape(-1, 1)

    return wrap(network, EDM(), predicts, (16,), micro_batch=256, dtype=dtype)


@pytest.mark.parametrize("predicts", ["x0", "eps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_are_the_mixture_s_to_the_step_s_error(predicts: str, dtype: torch.dtype) -> None:
    """J = (c^2 + (s^2 / V) m m' sech^2(m.x / V)) / V, against truncation and rounding as the module derives them.

    Truncation is bounded by h^2 / 6 of the largest |tanh'''| = 2; rounding by K u (1 + 1/s) / eta for each entry.
    """
    mixture = SINGLE if dtype == torch.float32 else MIXTURE
    subject = Subject(network_of(mixture, predicts, dtype), data_of(MIXTURE, 64), SIGMAS, Noise(0))
    for seen in evaluate(subject, 1):
        v = torch.where(subject.normal(seen, "test") < 0, -1.0, 1.0).double()
        found = jacobian.product(subject, seen, seen.scaled, v)[1]
        sigma, x, m = seen.level.sigma[:, None], seen.scaled.double(), MIXTURE.mode
        total = MIXTURE.spread**2 + sigma**2
        slope = 1.0 / torch.cosh((x @ m)[:, None] / total) ** 2
        along = (v @ m)[:, None]
        exact = (MIXTURE.spread**2 * v + sigma**2 / total * m * along * slope) / total
        h = jacobian.step(sigma, dtype)
        truncation = h**2 / 6.0 * 2.0 * sigma**2 / total * m.abs() * (along.abs() / total) ** 3
        rounding = 8.0 * 2.0 ** (-24 if dtype == torch.float32 else -53) * (1.0 + sigma) / h
        assert ((found - exact).abs() <= truncation + rounding).all()
        # and the two together are what `rounding` states, within the factor by which O2 bends more than a unit bends
        stated = jacobian.rounding(sigma, dtype) * (1.0 + (sigma * along / total) ** 2)
        assert ((found - exact).square().mean().sqrt() <= stated.square().mean().sqrt()).all()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func.jvp's own
def test_products_are_those_of_torch() -> None:
    subject = Subject(network_of(MIXTURE, "x0", torch.float64), data_of(MIXTURE, 32), SIGMAS[4:8], Noise(0))
    for seen in evaluate(subject, 1):
        v = subject.normal(seen, "test").double()
        sigma, x = seen.level.sigma, seen.scaled.double()
        value, exact = torch.func.jvp(lambda x, sigma=sigma: MIXTURE.denoise(x, sigma), (x,), (v,))
        mean, found = jacobian.product(subject, seen, x, v)
        # h = 1e-5 sigma leaves 1e-10 of a third derivative; v and m/V are within 5
        assert torch.allclose(found, exact, rtol=0, atol=1e-7)
        assert torch.allclose(mean, value, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["digits-eps", "digits-v"])
def test_a_trained_network_is_no_further_off_than_is_stated(name: str) -> None:
    """The bundled U-Nets, in float32 beside themselves in float64: the rounding is real, and K = 8 covers it."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        denoiser = load(f"diffusers:{MODELS / name}")
        assert denoiser.guard is not None
        for module in denoiser.guard.modules:
            module.to(dtype)
        denoiser.guard, denoiser.dtype = None, dtype
        data = DataSet(*digits.heldout(), "digits").first(8)
        subject = Subject(denoiser, data, log_snr_levels(0.05, 50.0, 4), Noise(0))
        (seen,) = evaluate(subject, 1)
        signs = torch.where(subject.normal(seen, "test") < 0, -1.0, 1.0).double()
        found[dtype] = jacobian.product(subject, seen, seen.scaled, signs)[1].unflatten(0, (4, 8))
    off = (found[torch.float32] - found[torch.float64]).square().flatten(1).mean(1).sqrt()
    assert (off < jacobian.rounding(subject.sigmas, torch.float32)).all()
    assert (off > 0).all()


def test_networks_in_half_precision_are_refused() -> None:
    half = wrap(lambda x, sigma: x, EDM(), "x0", (16,), dtype=torch.bfloat16)
    for name in ("sure", "dimension", "symmetry"):
        with pytest.raises(ConfigError, match=r"expected a network in float32 or float64, got torch\.bfloat16"):
            rows_of(half, data_of(GAUSSIAN, 20), [probe(name)])
        with pytest.raises(ConfigError, match="expected images of at least 1, got 0"):
            probe(f"{name}(images=0)")


@pytest.mark.parametrize("predicts", ["x0", "eps", "v"])
def test_float32_networks_have_a_trace_at_every_level(predicts: str) -> None:
    denoiser = as_denoiser(GAUSSIAN, None, predicts, dtype=torch.float32)
    freedom = curve_of(denoiser, data_of(GAUSSIAN, 400), probe("dimension(images=400)"), "freedom")
    expected = [float((GAUSSIAN.variances / (GAUSSIAN.variances + s**2)).sum()) for s in SIGMAS]
    # J is diagonal, so nothing is random: 16 entries, each off by no more than is stated
    assert (np.abs(freedom["value"] - expected) < 16 * jacobian.rounding(SIGMAS, torch.float32).numpy()).all()
