"""Intervals: closed forms, coverage by simulation with binomial tolerances, and what must be refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sigmascope.errors import ConfigError, DataError
from sigmascope.metrics import intervals
from sigmascope.metrics.intervals import Influence, bootstrap_mean, cluster_means, paired_log_ratio, verdict
from sigmascope.metrics.tails import above, below, skewness


def tolerance(p: float, repetitions: int) -> float:
    """Four standard deviations of a binomial share."""
    return 4 * math.sqrt(p * (1 - p) / repetitions)


def errors(n: int, k: int, seed: int, effect: float = 0.0, rho: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal errors of n images at k levels; an image is hard at all levels; candidate = baseline * exp(effect)."""
    rng = np.random.default_rng(seed)
    image, noise, own = rng.standard_normal((n, 1)), rng.standard_normal((n, k)), rng.standard_normal((2, n, k))
    common = 0.3 * image + 0.3 * noise
    first, second = (np.exp(common + 0.3 * math.sqrt(1 - rho**2) * part) for part in own)
    return first, second * math.exp(effect)


def test_cluster_means() -> None:
    values = np.array([[1.0, 10], [2, 20], [3, 30], [5, 50]])
    np.testing.assert_array_equal(cluster_means(values, [7, 3, 7, 3]), [[3.5, 35], [2, 20]])
    np.testing.assert_array_equal(cluster_means(values[:, 0], ["b", "a", "b", "a"]), [3.5, 2])
    with pytest.raises(DataError, match=r"one cluster per row, got values \(4, 2\) and clusters \(3,\)"):
        cluster_means(values, [1, 2, 3])


def test_bootstrap_covers_as_the_percentile_bootstrap_does() -> None:
    """On normal data its half-width is 1.96 sd(ddof 0)/sqrt(n), so its coverage is P(|t| < 1.96 sqrt((n-1)/n)), n - 1
    degrees of freedom. Every column is a repetition: resampling weights are shared, which moves all of them by the
    noise of a quantile of 4,000 resamples, about 3% of the width, half a point of coverage."""
    n, repetitions = 30, 3000
    expected = 1 - 2 * stats.t.sf(1.96 * math.sqrt((n - 1) / n), n - 1)
    found = bootstrap_mean(np.random.default_rng(0).standard_normal((n, repetitions)), resamples=4000)
    covered = ((found.low <= 0) & (found.high >= 0)).mean()
    assert abs(covered - expected) < tolerance(expected, repetitions) + 0.005


def test_rows_are_the_unit() -> None:
    """Ten draws of each image, equal within it: as 300 rows they give an interval sqrt(10) too narrow, covering .46."""
    n, repetitions = 30, 1500
    images = np.random.default_rng(1).standard_normal((n, repetitions))
    draws, clusters = images.repeat(10, axis=0), np.arange(n).repeat(10)
    wrong = bootstrap_mean(draws, resamples=500)
    right = bootstrap_mean(cluster_means(draws, clusters), resamples=500)
    naive = 1 - 2 * stats.norm.sf(1.96 / math.sqrt(10))
    assert ((wrong.low <= 0) & (wrong.high >= 0)).mean() < naive + tolerance(naive, repetitions) + 0.02
    assert ((right.low <= 0) & (right.high >= 0)).mean() > 0.9


def test_bootstrap_is_a_function_of_its_seed_and_not_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = errors(20, 3, 0)[0]
    first = bootstrap_mean(table, seed=4)
    np.testing.assert_array_equal(bootstrap_mean(table, seed=4).low, first.low)
    assert (bootstrap_mean(table, seed=5).low != first.low).any()
    monkeypatch.setattr(intervals, "_BLOCK", 700)
    np.testing.assert_allclose(bootstrap_mean(table, seed=4).low, first.low, rtol=1e-14)
    np.testing.assert_allclose(first.value, table.mean(axis=0), rtol=1e-15)
    assert ((first.low < first.value) & (first.value < first.high)).all()


def test_identical_tables_have_ratio_one_and_no_width() -> None:
    table = errors(20, 4, 0)[0]
    table[:, 2] = 0  # an oracle may be exact at a level
    found = paired_log_ratio(table, table.copy())
    for name in ("ratio", "low", "high", "band_low", "band_high"):
        np.testing.assert_array_equal(getattr(found, name), 1)
    for name in ("lower", "upper", "influence"):
        np.testing.assert_array_equal(getattr(found, name), 0)


def test_a_level_without_a_ratio_is_not_scored() -> None:
    b, c = errors(20, 3, 0)
    whole = paired_log_ratio(b[:, [0, 2]], c[:, [0, 2]])
    b[:, 1] = 0
    found = paired_log_ratio(b, c)
    for name in ("ratio", "low", "high", "band_low", "band_high", "lower", "upper"):
        assert np.isnan(getattr(found, name)[1])
        np.testing.assert_allclose(getattr(found, name)[[0, 2]], getattr(whole, name), rtol=1e-12)


def test_one_column_by_hand() -> None:
    b, c = errors(25, 1, 3, effect=0.1)
    found = paired_log_ratio(b, c)
    log = math.log(c.mean() / b.mean())
    error = np.std(c / c.mean() - b / b.mean(), ddof=1) / 5
    assert found.ratio[0] == pytest.approx(math.exp(log), rel=1e-14)
    skew = skewness(c / c.mean() - b / b.mean())
    low, high, upper = below(0.025, 25, skew), above(0.025, 25, skew), above(0.05, 25, skew)
    assert found.high[0] == pytest.approx(math.exp(log + high[0] * error), rel=1e-12)
    assert found.low[0] == pytest.approx(math.exp(log - low[0] * error), rel=1e-12)
    assert found.upper[0] == pytest.approx(log + upper[0] * error, rel=1e-12)
    # One column needs no correction: its band is its interval, but for the quantile of 2,000 resamples, whose tail is
    # off by 4 sd of sqrt(p q / n) at most.
    widest = below((0.05 - 4 * math.sqrt(0.05 * 0.95 / 2000)) / 2, 25, skew)[0]
    assert low[0] * (1 - 1e-12) <= (log - math.log(found.band_low[0])) / error <= widest
    assert found.lower[0] == pytest.approx(math.log(found.band_low[0]), rel=1e-12)


def test_what_decides_is_the_interval_that_is_shown() -> None:
    """A lower bound above 0 is a band above 1, however many tables share alpha; where a few images are far worse, the
    upper end reaches further than elsewhere."""
    b, c = errors(40, 6, 8)
    c[:3, 2] *= 6
    for families in (1, 1.5, 2, 3):
        found = paired_log_ratio(b, c, families=families)
        assert (found.lower <= np.log(found.band_low) + 1e-12).all()
    reach = np.log(found.band_high / found.ratio) / found.error
    assert reach[2] > reach[[0, 1, 3, 4, 5]].max()


def test_influence_is_the_derivative_of_the_log_ratio() -> None:
    b, c = errors(15, 2, 5)
    found, step = paired_log_ratio(b, c).influence, 1e-6
    for i in (0, 7):
        weights = np.full(15, (1 - step) / 15)
        weights[i] += step
        moved = np.log((weights @ c) / (weights @ b)) - np.log(c.mean(axis=0) / b.mean(axis=0))
        np.testing.assert_allclose(moved / step, found[i], atol=1e-4)  # forward difference: error of order step * psi^2


@pytest.mark.parametrize("rho", [0.95, 0.0])
def test_coverage_of_pairs_alone_and_all_at_once(rho: float) -> None:
    n, k, repetitions, effect = 60, 8, 500, 0.05
    alone, together, above, below = [], [], [], []
    for seed in range(repetitions):
        found = paired_log_ratio(*errors(n, k, seed, effect, rho), resamples=400, seed=seed)
        ratio = math.exp(effect)
        alone.append((found.low[0] <= ratio) & (ratio <= found.high[0]))
        together.append(((found.band_low <= ratio) & (ratio <= found.band_high)).all())
        above.append((found.lower <= effect).all())
        below.append(found.upper[0] >= effect)
    # At least 0.95 (0.975 above: the band's own end), and at most what n / 2.5 degrees instead of 59 add where tails
    # are light: for 8 levels together some 2%, as their t at 24 degrees is 5% wider. Beside binomial noise, 400
    # resamples put 0.25 sd of noise, about half a point, into a critical value; log-normal errors are skewed at n = 60,
    # which costs the simultaneous bounds about a point.
    one, two = (stats.t.cdf(stats.t.isf(tail, n / 2.5), n - 1) for tail in (0.05, 0.025))
    for covered, most in ((alone, 2 * two - 1), (below, one), (together, 0.97), (above, 0.985)):
        assert 0.95 - tolerance(0.95, repetitions) - 0.015 < np.mean(covered)
        assert np.mean(covered) < most + tolerance(0.95, repetitions) + 0.015


def test_bounds_of_each_level_alone_do_not_cover_all_at_once() -> None:
    """The planted fault that the simultaneous bounds exist for."""
    covered = []
    for seed in range(200):
        found = paired_log_ratio(*errors(60, 8, seed, rho=0.0), resamples=50)
        covered.append(((found.low <= 1) & (found.high >= 1)).all())
    assert np.mean(covered) < 0.95 - tolerance(0.95, 200)


def test_pairing_is_what_makes_the_interval_narrow() -> None:
    b, c = errors(60, 4, 0, rho=0.999)
    paired = paired_log_ratio(b, c)
    shuffled = paired_log_ratio(b, np.random.default_rng(0).permutation(c))
    assert (np.log(shuffled.high / shuffled.low) > 5 * np.log(paired.high / paired.low)).all()


def test_scale_does_not_matter() -> None:
    b, c = errors(30, 3, 2)
    first, scaled = paired_log_ratio(b, c), paired_log_ratio(b * [1e-9, 1, 1e9], c * [1e-9, 1, 1e9])
    np.testing.assert_allclose(first.band_high, scaled.band_high, rtol=1e-12)


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (-0.02, 0.009, "pass"),
        (0.001, 0.009, "pass"),  # surely worse, and surely by less than the margin
        (0.001, 0.01, "fail"),
        (0.02, 0.05, "fail"),
        (0.0, 0.05, "inconclusive"),
        (-0.02, 0.05, "inconclusive"),
        (math.nan, math.nan, "inconclusive"),
        (-math.inf, math.inf, "inconclusive"),
    ],
)
def test_verdict(lower: float, upper: float, expected: str) -> None:
    assert verdict(lower, upper, margin=0.01) == expected


def test_verdicts_hold_their_error_rates() -> None:
    """No worse at any of 8 levels: some level fails in at most 5% of repetitions. Worse by the margin at one: it passes
    in at most 5%. Binomial tolerance, and a point and a half for skewness as above."""
    margin, repetitions = 0.03, 400
    failed, passed = [], []
    for seed in range(repetitions):
        found = paired_log_ratio(*errors(60, 8, seed), resamples=300, seed=seed)
        failed.append("fail" in [verdict(*bounds, margin) for bounds in zip(found.lower, found.upper, strict=True)])
        worse = paired_log_ratio(*errors(60, 1, seed, effect=margin), resamples=50, seed=seed)
        passed.append(verdict(worse.lower[0], worse.upper[0], margin) == "pass")
    limit = 0.05 + tolerance(0.05, repetitions) + 0.015
    assert np.mean(failed) < limit
    assert np.mean(passed) < limit


def test_influence_interval() -> None:
    psi = np.array([-3.0, -1, 1, 3])
    one = Influence(10.0, 2.0, psi)
    assert one.corrected == 8
    assert one.standard_error == pytest.approx(math.sqrt(20 / 3 / 4))
    found = one.interval(0.9)
    assert (found.low, found.value, found.high) == pytest.approx(
        (8 - 1.6448536 * one.standard_error, 8, 8 + 1.6448536 * one.standard_error)
    )


def test_what_has_no_interval_raises() -> None:
    b, c = errors(20, 3, 0)
    with pytest.raises(DataError, match=r"at least 2 rows \(independent images\), got 1"):
        bootstrap_mean(b[:1])
    with pytest.raises(DataError, match="at least 2 rows"):
        paired_log_ratio(b[:1], c[:1])
    with pytest.raises(DataError, match=r"table \(rows, columns\), got shape \(20,\)"):
        bootstrap_mean(b[:, 0])
    with pytest.raises(DataError, match=r"equal shapes, got baseline \(20, 3\) and candidate \(19, 3\)"):
        paired_log_ratio(b, c[1:])
    with pytest.raises(DataError, match=r"errors of 0 or more, got -1\.0"):
        paired_log_ratio(b, np.full_like(c, -1))
    with pytest.raises(DataError, match="finite values, got 20 that aren't"):
        paired_log_ratio(b * [1, math.nan, 1], c)
    with pytest.raises(ConfigError, match="confidence between 0 and 1, got 95"):
        bootstrap_mean(b, confidence=95)
    with pytest.raises(ConfigError, match="at least 1 resample, got 0"):
        bootstrap_mean(b, resamples=0)
    with pytest.raises(ConfigError, match="margin of 0 or more, got nan"):
        verdict(0, 1, math.nan)
