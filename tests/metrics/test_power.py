"""Sample sizes: against the textbook's closed form, and against what simulated experiments do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sigmascope.errors import DataError
from sigmascope.metrics.intervals import paired_log_ratio, verdict
from sigmascope.metrics.power import Design, needed, settling
from sigmascope.metrics.tails import above, below, skewness


def test_needed_is_the_textbooks() -> None:
    """Two-sided alpha .05, power .8, sd 1, distance .5: n = 31.4 (Chow, Shao & Wang 2008: 32)."""
    assert needed(1.0, 0.5, stats.norm.ppf(0.975), 0.8) == pytest.approx(31.395, abs=0.01)
    assert math.isinf(needed(1.0, 0.0, 1.96))


def test_one_column_needs_the_closed_form() -> None:
    """Monte Carlo over 4,000 draws: the 90% point of a normal is known to 0.027, 2% of z_a + z_b = 2.93, 4% of n. The
    bounds are those of so many images: Student's t, which n / 2.5 degrees make 0.2% wider at 350 degrees. Passing is
    one-sided, failing by the end of the two-sided interval."""
    psi = np.random.default_rng(0).standard_normal((500, 1))
    design = Design(psi)
    passing, failing = (needed(float(psi.std(ddof=1)), 0.1, stats.norm.ppf(level)) for level in (0.95, 0.975))
    assert design.images(0.0, 0.1) == pytest.approx(passing, rel=0.1)
    assert design.images(0.1, 0.1) == pytest.approx(failing, rel=0.1)
    to_pass, to_fail = design.alone(0.1, 0.1)
    assert to_pass[0] == pytest.approx(passing, rel=0.02)
    assert to_fail[0] == pytest.approx(failing, rel=0.06)  # the quantile of 4,000 draws, as above
    assert math.isinf(design.images(0.05, 0.05 + 1e-9, most=1e6))


def test_alone_is_the_fixed_point_of_bounds_at_that_number_of_images() -> None:
    psi = np.random.default_rng(3).lognormal(0.0, 1.0, (300, 1)) * [1.0, -1.0, 2.0]
    to_pass, to_fail = Design(psi).alone(0.5, 0.4, 0.8)
    skew, spread = skewness(psi), psi.std(axis=0, ddof=1)
    for images, distance, reach in (
        (to_pass, 0.4, above(0.05, to_pass, skew)),
        (to_fail, 0.5, below(float(stats.norm.sf(Design(psi).critical)), to_fail, skew)),
    ):
        # a skewness of 2 and more is far from the 0.4 sqrt(6 / n) that samples of 100 and more seem to have at 0
        np.testing.assert_allclose(images, ((reach + stats.norm.ppf(0.8)) * spread / distance) ** 2, rtol=0.05)
    assert to_pass[0] > to_pass[1]  # rare large losses: an upper bound has to reach for them
    assert to_fail[1] > to_fail[0]


def test_chances_are_what_experiments_show() -> None:
    """300 experiments of 200 images and 8 correlated levels, one of them 2% worse at a margin of 2%: the share of each
    verdict is within four binomial standard errors of what the pilot predicted (a chance below 1 in 10,000 each)."""
    rng = np.random.default_rng(1)
    change = np.array([0.02] + [0.0] * 7)

    def world(n: int) -> tuple[np.ndarray, np.ndarray]:
        common = rng.gamma(4.0, 0.25, (n, 1)) * np.ones((1, 8))
        noise = 0.1 * rng.standard_normal((n, 1)) + 0.1 * rng.standard_normal((n, 8))
        return common, common * np.exp(change) * (1 + noise)

    pilot = paired_log_ratio(*world(2000), resamples=10)
    found = Design(pilot.influence).chances(200, change, math.log1p(0.02))
    fails = 0
    for _ in range(300):
        pair = paired_log_ratio(*world(200), resamples=400)
        verdicts = [verdict(low, high, math.log1p(0.02)) for low, high in zip(pair.lower, pair.upper, strict=True)]
        fails += "fail" in verdicts
    assert 0.1 < found.fails < 0.9
    assert abs(fails / 300 - found.fails) < 4 * math.sqrt(found.fails * (1 - found.fails) / 300)


def test_an_inconclusive_verdict_is_settled_by_the_nearer_side() -> None:
    bounds = {"error": 0.01, "lower": -0.02, "upper": 0.02}
    passing = settling(0.0, margin=0.019, count=100, **bounds)
    assert passing == pytest.approx(needed(0.1, 0.019, 2.0))
    assert settling(0.018, 0.01, -0.002, 0.038, 0.019, 100) == pytest.approx(needed(0.1, 0.018, 2.0))
    assert settling(0.0, 0.01, -0.02, 0.0191, 0.019, 100) >= 101


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="at least 2 images"):
        Design(np.array([[1.0, np.nan], [2.0, 1.0]]))
