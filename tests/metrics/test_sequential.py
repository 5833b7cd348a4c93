"""Anytime-valid bounds: the formula against its definition and an independent boundary, error rates by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sigmascope.errors import ConfigError
from sigmascope.metrics.intervals import holm_shares, verdict
from sigmascope.metrics.sequential import (
    FIRST,
    anytime_log_ratio,
    half_width,
    settled,
    tuned,
)

MARGIN, LOOKS = math.log1p(0.02), (64, 96, 144, 216, 324)


def test_the_half_width_solves_the_mixture_martingale() -> None:
    """The one-sided normal mixture: with a half-normal prior of variance eta^2 on the drift, the likelihood ratio
    against no drift is integrated numerically. At a sum of t * half_width it is 1 / alpha or just above: the closed
    form bounds a normal distribution function in it from below."""
    t, alpha, eta2 = 200.0, 0.05, 0.02
    total = t * float(half_width(t, alpha, eta2))
    drift = np.linspace(0.0, 8 * math.sqrt(eta2), 20_001)
    weight = 2 * stats.norm.pdf(drift, scale=math.sqrt(eta2))
    martingale = np.trapezoid(weight * np.exp(drift * total - drift**2 * t / 2), drift)
    assert 1 / alpha <= martingale < 1.2 / alpha


def test_tuning_makes_its_own_count_the_best() -> None:
    here = float(half_width(500, 0.05, tuned(500, 0.05)))
    assert here <= min(float(half_width(500, 0.05, tuned(other, 0.05))) for other in (100, 400, 600, 2500))


def test_holm_rejects_what_the_textbook_does() -> None:
    """Holm 1979's procedure at alpha .05 on four tests: .010 <= .0125, .013 <= .0167, then .030 > .025 stops it."""
    p = np.array([0.030, 0.010, 0.005, 0.040])
    assert (p <= holm_shares(p, 0.05)).tolist() == [False, True, True, False]
    assert holm_shares(p, 0.05).tolist() == pytest.approx([0.025, 0.05 / 3, 0.0125, 0.025])


def stream(rng: np.random.Generator, change: np.ndarray, count: int = LOOKS[-1]) -> tuple[np.ndarray, np.ndarray]:
    """Skewed errors that images share, and 10% of each model's own, correlated over levels."""
    shared = rng.gamma(3.0, 1 / 3, (count, 1)) * rng.gamma(8.0, 1 / 8, (count, len(change)))
    noise = 0.07 * (rng.standard_normal((count, 1)) + rng.standard_normal((count, len(change))))
    return shared, shared * np.exp(change) * (1.0 + noise)


def outcome(baseline: np.ndarray, candidate: np.ndarray) -> tuple[str, int]:
    """Look by look, every level asked about all images; the verdict and where it fell."""
    eta2 = tuned(LOOKS[-1] / 4, 0.05)
    for count in LOOKS:
        seen = anytime_log_ratio(baseline[:count], candidate[:count], 0.95, eta2)
        found = settled(seen, MARGIN)
        if found.verdict:
            break
    verdicts = [verdict(low, high, MARGIN) for low, high in zip(seen.lower, seen.upper, strict=True)]
    return ("fail" if "fail" in verdicts else "pass" if set(verdicts) == {"pass"} else "inconclusive"), count


def test_false_alarms_are_not_above_alpha_in_500_runs() -> None:
    """The bounds are conservative, so the count itself stays below alpha: 25 of 500. At a true rate of .05 that would
    hold with a probability of .55, at naive peeking's .12 never."""
    rng = np.random.default_rng(0)
    assert [outcome(*stream(rng, np.zeros(6)))[0] for _ in range(500)].count("fail") <= 25


@pytest.mark.slow
def test_misses_are_not_above_alpha_in_500_runs() -> None:
    """Worse by just the margin at one level, which must not pass; as above."""
    rng = np.random.default_rng(5)
    worse = np.array([MARGIN, 0.0])
    assert [outcome(*stream(rng, worse))[0] for _ in range(500)].count("pass") <= 25


def test_large_changes_are_settled_early() -> None:
    """Worse by 10% at a level whose paired spread is 10%: the first look's half-width is about 0.05."""
    rng = np.random.default_rng(1)
    found = [outcome(*stream(rng, np.array([0.1, 0.0, 0.0]))) for _ in range(20)]
    assert {verdict_ for verdict_, _ in found} == {"fail"}
    assert np.mean([count for _, count in found]) <= 2 * FIRST


def test_a_sure_change_within_the_margin_is_given_time_to_pass() -> None:
    """1% worse with next to no spread: sure at the first look, and no regression by a margin of 2%."""
    rng = np.random.default_rng(2)
    baseline = rng.gamma(3.0, 1 / 3, (64, 1))
    candidate = baseline * (1.01 + 0.001 * rng.standard_normal((64, 1)))
    seen = anytime_log_ratio(baseline, candidate, 0.95, tuned(128, 0.05))
    assert seen.lower[0] > 0
    found = settled(seen, MARGIN)
    assert (found.passed.all(), found.failed.any()) == (True, False)


def test_the_same_model_passes_at_once() -> None:
    errors = np.random.default_rng(3).gamma(3.0, 1 / 3, (64, 4))
    seen = anytime_log_ratio(errors, errors, 0.95, 0.1)
    assert (seen.upper == 0).all()
    assert settled(seen, MARGIN).verdict


def test_a_margin_of_nothing_is_refused() -> None:
    errors = np.random.default_rng(4).gamma(3.0, 1 / 3, (64, 1))
    with pytest.raises(ConfigError, match="above 0"):
        settled(anytime_log_ratio(errors, errors, 0.95, 0.1), 0.0)
