"""Moments: the same numbers however the stream is cut, against two-pass NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sigmascope.errors import DataError
from sigmascope.metrics.moments import Moments

EPS = np.finfo(np.float64).eps


def features(n: int = 96, d: int = 7, offset: float = 3.0) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + offset)


def stream(batches: list[torch.Tensor]) -> Moments:
    moments = Moments.empty(batches[0].shape[1])
    for batch in batches:
        moments = moments.update(batch)
    return moments


def test_against_two_pass_numpy() -> None:
    x = features()
    moments = Moments.of(x)
    # Sums about 0 keep a relative n * eps of sum x^2, which is what the covariance is compared with.
    bound = len(x) * EPS * float(x.square().sum()) / len(x)
    np.testing.assert_allclose(moments.mean, x.numpy().mean(axis=0), rtol=0, atol=bound)
    np.testing.assert_allclose(moments.covariance, np.cov(x.numpy().T, ddof=1), rtol=0, atol=bound)


def test_no_other_normalisation_passes() -> None:
    x = features(n=20)
    planted = np.cov(x.numpy().T, ddof=0)
    assert np.abs(Moments.of(x).covariance.numpy() - planted).max() > 1e-3


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 96), max_size=8), order=st.permutations(range(9)))
def test_batches_order_and_processes_do_not_matter(cuts: list[int], order: list[int]) -> None:
    x = features()
    edges = [0, *sorted(cuts), len(x)]
    batches = [x[a:b] for a, b in itertools.pairwise(edges)]
    shuffled = [batches[i] for i in order if i < len(batches)]
    whole, streamed = Moments.of(x), stream(shuffled)
    ranks = stream(shuffled[::2]).merge(stream(shuffled[1::2] or [x[:0]]))
    for other in (streamed, ranks):
        assert other.n == whole.n
        torch.testing.assert_close(other.mean, whole.mean, rtol=1e-12, atol=0)
        torch.testing.assert_close(other.covariance, whole.covariance, rtol=1e-12, atol=1e-12)


def test_float32_features_are_summed_in_float64() -> None:
    x = features(offset=1000.0).float()
    expected = np.cov(x.double().numpy().T)
    np.testing.assert_allclose(Moments.of(x).covariance, expected, rtol=0, atol=len(x) * EPS * 1e6 * 10)


def test_cancellation_stays_within_the_documented_digits() -> None:
    x = features(offset=1e4)
    error = np.abs(Moments.of(x).covariance.numpy() - np.cov(x.numpy().T)).max()
    ratio = 1e8 / float(x.var(dim=0).min())
    assert error < len(x) * EPS * ratio * float(x.var(dim=0).max())


def test_covariance_is_symmetric_to_the_bit() -> None:
    covariance = stream(list(features().float().split(5))).covariance
    assert torch.equal(covariance, covariance.T)


def test_what_cannot_be_measured_raises() -> None:
    with pytest.raises(DataError, match="at least 1 sample, got 0"):
        _ = Moments.empty(3).mean
    with pytest.raises(DataError, match="at least 2 samples, got 1"):
        _ = Moments.of(torch.zeros(1, 3)).covariance
    with pytest.raises(DataError, match=r"expected features \(n, d\), got \(3,\)"):
        Moments.of(torch.zeros(3))
    with pytest.raises(DataError, match="1 rows that aren't"):
        Moments.of(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]))
    with pytest.raises(DataError, match="moments of 3 dimensions, got 4"):
        Moments.empty(3).merge(Moments.empty(4))
