"""The Brownian path: exact increments, exact covariance, and stochastic solvers that converge sample by sample."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmascope.errors import ConfigError
from sigmascope.evals.noise import Noise
from sigmascope.evals.samplers import BrownianPath, State, StepNoise, solver
from sigmascope.evals.samplers.brownian import TICKS, octaves, weights
from sigmascope.fixtures.oracles import Gaussian, as_denoiser
from torch import Tensor

NOISE = Noise(3)
levels = st.floats(1e-3, 1e3)


def path(ids: Tensor | None = None) -> BrownianPath:
    return BrownianPath(NOISE, torch.arange(5) if ids is None else ids, (3,))


@settings(deadline=None, max_examples=40)
@given(st.lists(levels, min_size=3, max_size=5))
def test_increments_add_up(sigmas: list[float]) -> None:
    """However an interval is cut, and in whatever order the parts are asked for; to rounding."""
    ticks = {round(TICKS * math.log2(sigma)): sigma for sigma in sigmas}
    cuts = sorted(ticks.values(), reverse=True)
    if len(cuts) < 2:
        return
    whole = path().increment(cuts[0], cuts[-1])
    parts = [path().increment(s, t) for s, t in reversed(list(pairwise(cuts)))]
    torch.testing.assert_close(sum(parts, torch.zeros(5, 3).double()), whole, rtol=0, atol=1e-12)


def test_covariance_is_brownian_motions() -> None:
    """Within an octave W(t) is a sum of weights on independent normals: sum w(s) w(t) = min(s, t), no sampling."""
    ticks = [0, 1, 2, 3, 255, 256, 341, 512, 513, 777, 1022, 1023]
    for a, b in [*combinations(ticks, 2), *zip(ticks, ticks, strict=True)]:
        at_a, at_b = weights(5 * TICKS + a), weights(5 * TICKS + b)
        assert sum(at_a[node] * at_b.get(node, 0.0) for node in at_a) == pytest.approx(min(a, b) / TICKS, abs=1e-15)
    assert not set(weights(-1)) & set(weights(TICKS))  # octaves share nothing


def test_draws_are_standard_normal_and_independent_over_disjoint_intervals() -> None:
    """n = 30,000: mean 1/sqrt(n), variance sqrt(2/n), correlation 1/sqrt(n); 4.5 errors on 9 looks: 6e-5."""
    noise = StepNoise(NOISE, torch.arange(10_000), 0, (3,), torch.float64)
    cuts = [80.0, 11.0, 10.9, 0.3]
    draws = [noise.between(s, t).flatten() for s, t in pairwise(cuts)]
    n = draws[0].numel()
    for draw in draws:
        assert abs(float(draw.mean())) < 4.5 / math.sqrt(n)
        assert abs(float(draw.var()) - 1) < 4.5 * math.sqrt(2 / n)
    for one, other in combinations(draws, 2):
        assert abs(float((one * other).mean())) < 4.5 / math.sqrt(n)


def test_a_path_is_a_function_of_seed_and_sample_alone() -> None:
    """Not of the step, the batch, the order, or what was asked before."""
    ids = torch.arange(40, 47)
    whole = BrownianPath(NOISE, ids, (3,))
    for _ in range(3):
        whole.increment(50.0, 0.1)
    expected = whole.increment(7.0, 0.9)
    assert torch.equal(BrownianPath(NOISE, ids, (3,)).increment(7.0, 0.9), expected)
    order = torch.tensor([3, 0, 6])
    assert torch.equal(BrownianPath(NOISE, ids[order], (3,)).increment(7.0, 0.9), expected[order])
    assert not torch.equal(BrownianPath(Noise(4), ids, (3,)).increment(7.0, 0.9), expected)
    steps = [StepNoise(NOISE, ids, step, (3,), torch.float64).between(7.0, 0.9) for step in (0, 8)]
    assert torch.equal(*steps)


def test_memory_is_bounded_by_asking_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = path().increment(900.0, 0.002)
    monkeypatch.setattr("sigmascope.evals.samplers.brownian._AT_ONCE", 15)
    assert torch.equal(path().increment(900.0, 0.002), expected)


@pytest.mark.parametrize(
    ("sigma", "sigma_next", "message"),
    [
        (1.0, 1.0, "expected 0 < sigma_next < sigma"),
        (1.0, 2.0, "expected 0 < sigma_next < sigma"),
        (1.0, 0.0, "expected 0 < sigma_next < sigma"),
        (math.inf, 1.0, "expected 0 < sigma_next < sigma"),
        (1.0, 0.9999, "take fewer steps"),
    ],
)
def test_impossible_intervals_are_refused(sigma: float, sigma_next: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        path().increment(sigma, sigma_next)
    assert octaves(8.0, 0.5) == 4.0


# --- strong convergence -----------------------------------------------------------------------------------------------

GAUSSIAN = Gaussian(torch.zeros(4, dtype=torch.float64), torch.tensor([1.0, 0.25, 0.04, 4.0], dtype=torch.float64))
IDS = torch.arange(32)
CHURN = "edm_churn(s_churn=5.0, s_tmin=0.0, s_tmax=inf, s_noise=1.0)"


def integrated(name: str, steps: int, independent: bool = False) -> Tensor:
    """From 20 to 0.05. `independent` breaks the coupling: every step count gets a path of its own."""
    sigmas = torch.linspace(math.log(20.0), math.log(0.05), steps + 1, dtype=torch.float64).exp()
    method, denoiser = solver(name), as_denoiser(GAUSSIAN)
    noise = Noise(100 + steps) if independent else NOISE
    start = 20.0 * NOISE.normal(IDS, "initial", 0, (4,), torch.float64)
    memory = method.init(denoiser, sigmas, steps, start).memory
    state = State(start, memory)
    for index, (s, t) in enumerate(pairwise(sigmas.tolist())):
        state = method.step(denoiser, state, s, t, {}, StepNoise(noise, IDS, index, (4,), torch.float64))
    return state.x


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("ddpm", "dpmpp_3m_sde", "dpmpp_sde", CHURN)]


@pytest.mark.parametrize("name", ["ddim(eta=0.5)", "dpmpp_2m_sde", *_SLOW])
def test_stochastic_solvers_converge_sample_by_sample(name: str) -> None:
    """Additive noise: strong order 1. Root mean square distances of N to 2N steps halve, each time N doubles.

    Gaussian noise known on a grid only leaves an error of order 1 whatever the solver's deterministic order; 32 x 4
    numbers leave sqrt(1/2/128) = 6% on each root mean square, and so 0.1 on the slope over two octaves: allow 2.5 such.
    """
    found = {steps: integrated(name, steps) for steps in (16, 32, 64, 128)}
    gaps = [float((found[n] - found[2 * n]).square().mean().sqrt()) for n in (16, 32, 64)]
    slope = np.polyfit(np.log([16, 32, 64]), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.25), gaps
    apart = integrated(name, 64, independent=True) - integrated(name, 128, independent=True)
    assert float(apart.square().mean().sqrt()) > 5 * gaps[-1]
