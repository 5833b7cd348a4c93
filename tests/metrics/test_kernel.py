"""Kernel distance and CMMD: loops by hand, the peers' numbers, unbiasedness and coverage by simulation."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from sigmascope.errors import ConfigError, DataError
from sigmascope.metrics import kernel, two_sets
from sigmascope.metrics.cmmd import CMMD, cmmd
from sigmascope.metrics.kernel import (
    KernelDistance,
    kernel_distance,
    kernel_distance_influence,
    kernel_distance_subsets,
)
from sigmascope.metrics.protocols import PROTOCOLS, Subsets
from torchmetrics.image.kid import KernelInceptionDistance

HERE = Path(__file__).parent
SEEDED = runpy.run_path(str(HERE / "make_golden.py"))
GOLDEN = json.loads((HERE / "golden.json").read_text())


def draw(n: int, d: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)) + shift)


def by_hand(x: np.ndarray, r: np.ndarray, unbiased: bool = True) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(t: np.ndarray) -> float:
        pairs = [k(a, b) for i, a in enumerate(t) for j, b in enumerate(t) if i != j or not unbiased]
        return sum(pairs) / len(pairs)

    return within(x) + within(r) - 2 * sum(k(a, b) for a in x for b in r) / (len(x) * len(r))


@pytest.mark.parametrize("size", [4, 1024])
def test_against_a_loop_in_blocks_and_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "blocks", lambda n: two_sets.blocks(n, size))
    x, r = draw(11, 5, 0, 0.3), draw(9, 5, 1)
    assert kernel_distance(x, r) == pytest.approx(by_hand(x.numpy(), r.numpy()), rel=1e-12)
    assert abs(by_hand(x.numpy(), r.numpy(), unbiased=False) - kernel_distance(x, r)) > 0.1  # the biased one is seen


@pytest.mark.parametrize("whole", [True, False])
def test_subsets_are_torch_fidelity_s(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generated, real = SEEDED["seeded_features"]()
    if not whole:
        monkeypatch.setattr(kernel, "_from_whole", lambda x, r, drawn: torch.stack([
            kernel._of_subset(x[a], r[b]) for a, b in drawn
        ]))  # fmt: skip
    found = kernel_distance_subsets(generated, real, Subsets(20, 60))
    # Kernel values here reach 1e5 times the distance: float64 leaves 1e-11 of it.
    assert tuple(found) == pytest.approx(GOLDEN["kid_torch_fidelity"], rel=1e-9)
    other = kernel_distance_subsets(generated, real, Subsets(20, 60, seed=2021))
    assert other.mean != pytest.approx(found.mean, rel=1e-3)


def test_clean_fid_s_subsets() -> None:
    generated, real = SEEDED["seeded_features"]()
    found = kernel_distance_subsets(generated, real, Subsets(20, 60, seed=0, first="real", fit=True))
    assert found.mean == pytest.approx(GOLDEN["kid_clean"], rel=1e-9)


@pytest.mark.filterwarnings("ignore:Metric .Kernel Inception Distance. will save")
def test_torchmetrics_subsets() -> None:
    """Its own class in this very process, on the same features in float64."""
    x, r = draw(40, 6, 0, 0.2), draw(50, 6, 1)
    subsets = Subsets(7, 25, seed=0, library="torch", first="real")
    peer = KernelInceptionDistance(feature=torch.nn.Flatten(), subsets=7, subset_size=25)
    peer.update(x.double(), real=False)
    peer.update(r.double(), real=True)
    torch.manual_seed(0)
    expected = [float(value) for value in peer.compute()]
    # torchmetrics sums in float64 but keeps the kernel's coefficients as Python floats: rounding alone.
    assert tuple(kernel_distance_subsets(x, r, subsets)) == pytest.approx(expected, rel=1e-9)
    named = PROTOCOLS["torchmetrics"].kid
    assert named is not None
    assert (named.library, named.first, named.seed) == ("torch", "real", 0)


def test_float32_features_are_multiplied_in_float64() -> None:
    """Sets so alike that the distance is 1e-4 of a kernel value: float32 products would leave it three digits."""
    x, r = draw(200, 256, 2, 2.0).float(), draw(200, 256, 3, 2.0).float()
    exact = kernel_distance(x.double(), r.double())
    assert abs(exact) < 1e-3 * float((x @ r.T / 256 + 1).pow(3).mean())
    assert kernel_distance(x, r) == pytest.approx(exact, rel=1e-12)


def test_unbiased_and_covered_by_simulation() -> None:
    """N(c e_1, I) against a fixed set, where E (x'y/d + 1)^3 is a polynomial: with y fixed, x'y/d is normal."""
    n, m, d, repetitions, c = 80, 60, 16, 500, 3.0
    r = draw(m, d, 0).numpy()

    def cube(mean: np.ndarray | float, variance: np.ndarray | float) -> np.ndarray | float:
        return (1 + mean) ** 3 + 3 * (1 + mean) * variance

    across = np.mean(cube(c * r[:, 0] / d, (r**2).sum(axis=1) / d**2))
    # E over y of cube(c y_1/d, |y|^2/d^2), y_1 of mean c: third moments of a normal.
    within = cube(c**2 / d, c**2 / d**2) + 3 / d**2 * (d + c**2 + c / d * (c**3 + (d + 2) * c))
    gram = (r @ r.T / d + 1) ** 3
    truth = within - 2 * across + (gram.sum() - np.trace(gram)) / (m * (m - 1))
    offset = torch.eye(d, dtype=torch.float64)[0] * c
    found = [kernel_distance_influence(draw(n, d, 10 + i) + offset, torch.from_numpy(r)) for i in range(repetitions)]
    values = np.array([one.value for one in found])
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(repetitions)
    covered = np.mean([one.interval().low <= truth <= one.interval().high for one in found])
    # Binomial: 4 sqrt(.05 .95 / 500) = .039; skewness at n = 80 and the second order left out cost up to 3 points.
    assert 0.95 - 0.039 - 0.03 < covered < 0.95 + 0.039


def test_influence_is_the_change_when_a_sample_is_left_out() -> None:
    """A U-statistic of degree 2: leaving i out changes it by -psi_i / (n - 2), with psi over the n - 1 others."""
    x, r = draw(30, 3, 4), draw(20, 3, 5, 0.2)
    whole = kernel_distance_influence(x, r)
    for i in range(0, 30, 7):
        rest = torch.cat([x[:i], x[i + 1 :]])
        change = kernel_distance(rest, r) - whole.value
        across = -2 * (((rest @ r.T) / 3 + 1) ** 3).mean() + 2 * (((x @ r.T) / 3 + 1) ** 3).mean()
        within = change - float(across)
        own = float((((x[i] @ rest.T) / 3 + 1) ** 3).mean())
        mean = float(((x @ x.T / 3 + 1) ** 3).sum() - ((x * x).sum(1) / 3 + 1).pow(3).sum()) / (30 * 29)
        assert within == pytest.approx(-2 * (own - mean) / 28, rel=1e-8)
        other = float((((x[i] @ r.T) / 3 + 1) ** 3).mean() - ((x @ r.T / 3 + 1) ** 3).mean())
        assert whole.psi[i] == pytest.approx(2 * (own - mean) - 2 * other, rel=1e-8)


def test_metric_equals_the_functions() -> None:
    x, r = draw(31, 4, 6, 0.3), draw(25, 4, 7)
    plain, parts = KernelDistance(), KernelDistance(Subsets(5, 12))
    for metric in (plain, parts):
        for batch in x.split(7):
            metric.update(batch, real=False)
        metric.update(r, real=True)
    influence = kernel_distance_influence(x, r)
    assert [float(v) for v in plain.compute()] == pytest.approx([influence.value, influence.standard_error], rel=1e-12)
    assert [float(v) for v in parts.compute()] == pytest.approx(
        kernel_distance_subsets(x, r, Subsets(5, 12)), rel=1e-12
    )


def test_cmmd_against_a_loop_and_its_digits() -> None:
    x, r = draw(13, 6, 8, 0.4), draw(17, 6, 9)

    def mean(a: torch.Tensor, b: torch.Tensor) -> float:
        a, b = (t / t.norm(dim=1, keepdim=True) for t in (a, b))
        return float(torch.exp(-torch.cdist(a, b).square() / (2 * 10**2)).mean())

    expected = 1000 * (mean(x, x) + mean(r, r) - 2 * mean(x, r))
    assert cmmd(x, r) == pytest.approx(expected, rel=1e-9)
    assert cmmd(x, x) == pytest.approx(0, abs=1e-11)
    metric = CMMD()
    metric.update(x, real=False)
    metric.update(r, real=True)
    assert float(metric.compute()) == cmmd(x, r)


def test_what_cannot_be_scored_raises() -> None:
    with pytest.raises(ConfigError, match="subset of 2 to 9 samples"):
        kernel_distance_subsets(draw(9, 2, 0), draw(20, 2, 1), Subsets(5, 10))
    with pytest.raises(DataError, match="3 dimensions, got 2"):
        kernel_distance(draw(9, 2, 0), draw(9, 3, 1))
    with pytest.raises(DataError, match="1 rows not so"):
        kernel_distance(torch.tensor([[0.0], [math.nan]]), draw(9, 1, 1))
    metric = CMMD()
    metric.update(draw(3, 2, 0), real=False)
    with pytest.raises(DataError, match="no real ones"):
        metric.compute()
