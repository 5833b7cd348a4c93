"""Fréchet distance: closed forms, 50-digit arithmetic, sqrtm, the peers' numbers; influence against derivatives."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import mpmath
import numpy as np
import pytest
import torch
from scipy import linalg
from sigmascope.errors import DataError
from sigmascope.metrics.frechet import FrechetDistance, Gaussian, frechet_distance, frechet_influence
from sigmascope.metrics.moments import Moments

HERE = Path(__file__).parent


def draw(n: int, d: int, seed: int, offset: float = 0.5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / math.sqrt(d) + offset)


def white(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Samples of mean 0 and covariance (ddof 1) I, to rounding."""
    x = np.random.default_rng(seed).standard_normal((n, d))
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T


def rotation(d: int, seed: int = 3) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def test_equal_covariances_leave_the_shift() -> None:
    x, shift = draw(50, 8, 0), torch.arange(8.0, dtype=torch.float64)
    assert frechet_distance(x + shift, x) == pytest.approx(float(shift @ shift), rel=1e-12)


def commuting(n: int = 40, d: int = 8) -> tuple[torch.Tensor, torch.Tensor, float]:
    a, b = np.linspace(0.2, 2, d), np.linspace(1.5, 0.1, d)
    base, turn = white(n, d), rotation(d)
    return torch.from_numpy(base * a @ turn), torch.from_numpy(base * b @ turn), float(((a - b) ** 2).sum())


def test_commuting_covariances() -> None:
    x, y, expected = commuting()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("fault", ["ddof 0", "one trace", "standard deviations"])
def test_planted_faults_are_caught(fault: str) -> None:
    x, y, expected = commuting()
    g, r = Gaussian(x), Gaussian(y)
    if fault == "ddof 0":
        g.covariance = g.covariance * (g.n - 1) / g.n
    elif fault == "one trace":
        g.covariance = 2 * g.covariance
    else:
        g.covariance, r.covariance = (linalg.sqrtm(c).real for c in (g.covariance, r.covariance))
    assert abs(frechet_distance(g, r) - expected) > 1e-3


@pytest.mark.parametrize("exponent", [0, 2, 4, 8])
def test_scaled_features_of_any_spectrum(exponent: int) -> None:
    """y = c x has covariance c^2 S, so the distance is (1 - c)^2 (tr S + |mu|^2), however ill-conditioned S is."""
    d = 48
    x = white(150, d) * np.arange(1, d + 1.0) ** (-exponent / 2) @ rotation(d) + 0.3
    expected = 0.25 * (np.trace(np.cov(x.T)) + (x.mean(axis=0) ** 2).sum())
    assert frechet_distance(torch.from_numpy(x), torch.from_numpy(1.5 * x)) == pytest.approx(expected, rel=1e-12)


def test_against_sqrtm() -> None:
    """sqrtm of the product loses about cond(SR) * eps; both covariances are well conditioned here."""
    x, y = draw(400, 16, 1), draw(300, 16, 2, offset=0.0)
    s, r = np.cov(x.numpy().T), np.cov(y.numpy().T)
    shift = x.numpy().mean(axis=0) - y.numpy().mean(axis=0)
    expected = shift @ shift + np.trace(s) + np.trace(r) - 2 * np.trace(linalg.sqrtm(s @ r)).real
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def exact(x: np.ndarray, y: np.ndarray) -> float:
    """In 50 digits, from the features: roots of the eigenvalues of F' R F, F the centred generated samples."""
    with mpmath.workdps(50):
        a, b = mpmath.matrix(x.tolist()), mpmath.matrix(y.tolist())
        factors, means = [], []
        for table in (a, b):
            n = table.rows
            mean = [mpmath.fsum(table[i, j] for i in range(n)) / n for j in range(table.cols)]
            scaled = [[(table[i, j] - mean[j]) / mpmath.sqrt(n - 1) for j in range(table.cols)] for i in range(n)]
            factors.append(mpmath.matrix(scaled))
            means.append(mean)
        f, g = factors
        product = f * g.T
        roots = [mpmath.sqrt(max(value, 0)) for value in mpmath.eigsy(product * product.T, eigvals_only=True)]
        traces = mpmath.fsum(v**2 for v in f) + mpmath.fsum(v**2 for v in g)
        shift = mpmath.fsum((p - q) ** 2 for p, q in zip(*means, strict=True))
        return float(shift + traces - 2 * mpmath.fsum(roots))


@pytest.mark.parametrize(("n", "m"), [(5, 40), (40, 5), (5, 6), (12, 12), (40, 40)])
def test_against_fifty_digits_also_with_fewer_samples_than_dimensions(n: int, m: int) -> None:
    x, y = draw(n, 12, 4), draw(m, 12, 5)
    assert frechet_distance(x, y) == pytest.approx(exact(x.numpy(), y.numpy()), rel=1e-12)
    # Moments of few samples have lost the features: the root of a covariance known to eps is known to sqrt(eps).
    assert frechet_distance(Moments.of(x), Moments.of(y)) == pytest.approx(exact(x.numpy(), y.numpy()), rel=1e-7)


def test_singular_covariances() -> None:
    """Sets on orthogonal subspaces have nothing in common: |shift|^2 + tr S + tr R."""
    x, y = draw(60, 8, 6, offset=0.0), draw(60, 8, 7, offset=0.0)
    x[:, 4:], y[:, :4] = 0, 0
    gaussians = [Gaussian(features) for features in (x, y)]
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + sum(np.trace(g.covariance) for g in gaussians)
    assert frechet_distance(*gaussians) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(x, torch.zeros(60, 8)) == pytest.approx(
        float(x.mean(0).square().sum() + x.var(0).sum()), rel=1e-12
    )


@pytest.mark.parametrize("n", [3, 16, 17, 200])
@pytest.mark.parametrize("dead", [0, 6])
def test_identical_sets_are_at_distance_zero(n: int, dead: int) -> None:
    x = draw(n, 16, 8)
    x[:, :dead] = 0.7
    for one, other in ((x, x), (x, x.flip(0)), (Moments.of(x), Moments.of(x.flip(0))), (x, Moments.of(x))):
        assert 0 <= frechet_distance(one, other) < (1e-9 if type(one) is type(other) else 1e-6)


def test_reference_factor_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Gaussian(draw(100, 6, 9))
    first = frechet_distance(draw(80, 6, 10), reference)
    monkeypatch.setattr(linalg, "cholesky", None)
    assert frechet_distance(draw(80, 6, 10), reference) == first


@pytest.mark.parametrize("peer", ["torch_fidelity", "pytorch_fid"])
def test_parity_with_peers(peer: str) -> None:
    """Their eigenvalues of a product of conditioning 1e4 are good to about 1e-11."""
    generated, real = runpy.run_path(str(HERE / "make_golden.py"))["seeded_features"]()
    golden = json.loads((HERE / "golden.json").read_text())
    assert frechet_distance(generated, real) == pytest.approx(golden[f"frechet_{peer}"], rel=1e-9)


def test_metric_streams_batches_and_processes() -> None:
    x, y = draw(90, 6, 11).float(), draw(70, 6, 12).float()
    whole = frechet_distance(x, y)
    ranks = [FrechetDistance(6) for _ in range(2)]
    for i, batch in enumerate(x.split(13)):
        ranks[i % 2].update(batch, real=False)
    for i, batch in enumerate(y.split(9)):
        ranks[i % 2].update(batch, real=True)
    for name, value in ranks[1].metric_state.items():  # what dist_reduce_fx="sum" does
        setattr(ranks[0], name, getattr(ranks[0], name) + value)
    value = ranks[0].compute()
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(whole, rel=1e-11)
    ranks[0].reset()
    assert ranks[0].moments(real=True).n == 0


def weighted_distance(x: np.ndarray, weights: np.ndarray, reference: Gaussian) -> float:
    mean = weights @ x
    centred = x - mean
    gaussian = Gaussian(torch.from_numpy(x))
    gaussian.mean, gaussian.covariance = mean, (centred * weights[:, None]).T @ centred
    return frechet_distance(gaussian, reference)


def test_influence_is_the_derivative_in_each_sample() -> None:
    """psi_i = d/de of the distance of (1 - e) P + e delta_i, by central differences. The functional's covariance has
    ddof 0, the estimate's 1: they differ by 1/n, so the values by 2/n at most (T goes with the root of S)."""
    n = 200
    x, reference = draw(n, 5, 13).numpy(), Gaussian(draw(300, 5, 14))
    psi = frechet_influence(torch.from_numpy(x), reference).psi
    step = 1e-5
    derivatives = []
    for i in range(0, n, 20):
        ends = []
        for sign in (1, -1):
            weights = np.full(n, (1 - sign * step) / n)
            weights[i] += sign * step
            ends.append(weighted_distance(x, weights, reference))
        derivatives.append((ends[0] - ends[1]) / (2 * step))
    np.testing.assert_allclose(psi[::20], derivatives, rtol=0, atol=2 / n * np.abs(psi).max())
    assert psi.mean() == pytest.approx(0, abs=1e-12)


def test_bias_and_coverage_by_simulation() -> None:
    """N(0, I) against a fixed reference N(m, diag(r^2)): the distance is |m|^2 + sum (1 - r)^2."""
    n, d, repetitions = 120, 4, 600
    r, m = np.array([0.5, 0.8, 1.0, 1.6]), np.array([0.4, 0.0, -0.2, 0.0])
    truth = (m @ m) + ((1 - r) ** 2).sum()
    reference = Gaussian(torch.from_numpy(white(50, d) * r + m))
    rng = np.random.default_rng(15)
    found = [frechet_influence(torch.from_numpy(rng.standard_normal((n, d))), reference) for _ in range(repetitions)]
    values, biases = (np.array([getattr(one, name) for one in found]) for name in ("value", "bias"))
    noise = values.std() / math.sqrt(repetitions)
    # The next term of the expansion is of order bias / n * d; four standard errors of the mean lie on top.
    assert abs(values.mean() - truth - biases.mean()) < 4 * noise + biases.mean() * 2 * d / n
    assert values.mean() - truth > 8 * noise  # uncorrected it would be seen
    covered = np.mean([one.interval().low <= truth <= one.interval().high for one in found])
    # Binomial: 4 sqrt(.05 * .95 / 600) = .036; psi is skewed, which costs about a point at n = 120.
    assert 0.95 - 0.036 - 0.01 < covered < 0.95 + 0.036
    assert np.mean([one.standard_error for one in found]) == pytest.approx(
        values.std(), rel=4 / math.sqrt(2 * 600) + 0.05
    )


def test_too_few_samples_raise() -> None:
    with pytest.raises(DataError, match="more samples than dimensions, got 5 samples of 5 dimensions"):
        frechet_influence(draw(5, 5, 0), draw(50, 5, 1))
    with pytest.raises(DataError, match="at least 2 samples, got 1"):
        frechet_distance(torch.zeros(1, 3), draw(50, 3, 1))
    with pytest.raises(DataError, match="reference's 3 dimensions, got 4"):
        frechet_distance(draw(50, 4, 1), draw(50, 3, 1))
